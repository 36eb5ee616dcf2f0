package registry

import (
	"net/http"
	"strings"
)

// bearerChallenge finds the parameters of the first Bearer challenge among the
// WWW-Authenticate headers of an answer.
func bearerChallenge(h http.Header) (params map[string]string, ok bool) {
	for _, value := range h.Values("WWW-Authenticate") {
		for value != "" {
			var scheme string
			scheme, params, value = nextChallenge(value)
			if strings.EqualFold(scheme, "bearer") {
				return params, true
			}
		}
	}
	return nil, false
}

// nextChallenge reads one challenge (RFC 9110, 11.6.1) off the front of s. The
// next one begins at a word that no "=" follows.
func nextChallenge(s string) (scheme string, params map[string]string, rest string) {
	s = strings.TrimLeft(s, " \t,")
	end := strings.IndexAny(s, " \t,")
	if end < 0 {
		return s, nil, ""
	}
	scheme, s = s[:end], s[end:]
	params = map[string]string{}
	for {
		s = strings.TrimLeft(s, " \t,")
		end := strings.IndexAny(s, " \t,=")
		if end <= 0 || s[end] != '=' {
			return scheme, params, s
		}
		key := strings.ToLower(s[:end])
		params[key], s = paramValue(s[end+1:])
	}
}

// paramValue reads a token or a quoted string.
func paramValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, " \t,")
		if end < 0 {
			return s, ""
		}
		return s[:end], s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), "" // the closing quote is missing
}
