package httpx

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// minSecret is the shortest text that is taken out of messages; single letters would leave
// nothing of them.
const minSecret = 3

// publicQuery are the keys of queries whose values are no secrets, and of use in messages.
var publicQuery = []string{
	"digest", "mount", "from", "n", "last", "scope", "service", "repository", "group", "name", "version", "path", "format",
	"sort", "direction", "grant_type", "client_id", "access_type", "continuationToken", "userId", "source",
}

// Scrub takes out of a server's words what req brought there and no message may repeat: the
// login, a token, cookies, the values of the query and of a form, the login of a proxy.
// Error pages of some proxies and debug modes repeat the request that they are about. They
// are found as they are, percent-encoded, escaped for JSON or HTML, in hex and in base64.
func Scrub(text string, req *http.Request) string {
	if req == nil || text == "" {
		return text
	}
	names, secrets := carried(req)
	var forms []string
	for _, s := range secrets {
		forms = append(forms, formsOf(s)...)
	}
	// The longest first, so that no rest of one is left by another that is its beginning.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, f := range slices.Compact(forms) {
		if len(f) >= minSecret {
			pairs = append(pairs, f, redacted)
		}
	}
	text = strings.NewReplacer(pairs...).Replace(text)
	for _, n := range names {
		// A name may be a common word: only where it stands alone.
		if len(n) >= minSecret {
			alone := regexp.MustCompile(`(^|[^\w-])` + regexp.QuoteMeta(n) + `($|[^\w-])`)
			text = alone.ReplaceAllString(alone.ReplaceAllString(text, "${1}"+redacted+"${2}"), "${1}"+redacted+"${2}")
		}
	}
	return text
}

// carried collects the user names and the secrets of a request.
func carried(req *http.Request) (names, secrets []string) {
	login := func(u *url.Userinfo) {
		if u == nil {
			return
		}
		password, _ := u.Password()
		names, secrets = append(names, u.Username()), append(secrets, password)
		if password != "" {
			secrets = append(secrets, u.Username()+":"+password)
		}
	}
	for _, header := range []string{"Authorization", "Proxy-Authorization"} {
		for _, value := range req.Header.Values(header) {
			_, credentials, _ := strings.Cut(value, " ")
			secrets = append(secrets, credentials)
			if raw, err := base64.StdEncoding.DecodeString(credentials); err == nil {
				if user, password, ok := strings.Cut(string(raw), ":"); ok {
					login(url.UserPassword(user, password))
				}
			}
		}
	}
	for _, c := range req.Cookies() {
		secrets = append(secrets, c.Value)
	}
	if req.URL != nil {
		login(req.URL.User)
		secrets = append(secrets, queryValues(req.URL.RawQuery)...)
		if p, err := http.ProxyFromEnvironment(req); err == nil && p != nil {
			login(p.User)
		}
	}
	return names, append(secrets, formValues(req)...)
}

// queryValues are the values of a query that are not known to be harmless, as they stand.
func queryValues(raw string) (values []string) {
	for part := range strings.SplitSeq(raw, "&") {
		key, value, ok := strings.Cut(part, "=")
		switch {
		case !ok:
			values = append(values, part)
		case !slices.Contains(publicQuery, key):
			values = append(values, value)
			if plain, err := url.QueryUnescape(value); err == nil {
				values = append(values, plain)
			}
		}
	}
	return values
}

// formValues are those of a form that was sent, such as a refresh token.
func formValues(req *http.Request) []string {
	if req.GetBody == nil || !strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil
	}
	defer body.Close()
	raw, _ := io.ReadAll(io.LimitReader(body, 64<<10)) // forms of ours are in memory
	return queryValues(string(raw))
}

// formsOf are the ways in which a server may repeat a secret.
func formsOf(s string) []string {
	if len(s) < minSecret {
		return nil
	}
	escaped, _ := json.Marshal(s) // a string: cannot fail
	var lenient strings.Builder
	e := json.NewEncoder(&lenient)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // likewise
	raw := []byte(s)
	return []string{
		s, url.QueryEscape(s), url.PathEscape(s), html.EscapeString(s),
		unquoted(string(escaped)), unquoted(strings.TrimSuffix(lenient.String(), "\n")),
		hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)),
		// Without padding it is found with it as well.
		base64.RawStdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
	}
}

func unquoted(s string) string { return s[1 : len(s)-1] }

// scrubbed takes the secrets of a request out of the text of an error: net/http quotes the
// line of an answer that is none. What caused it can still be told.
func scrubbed(err error, req *http.Request) error {
	text := err.Error()
	if clean := Scrub(text, req); clean != text {
		return &scrubbedError{clean, err}
	}
	return err
}

type scrubbedError struct {
	text string
	err  error
}

func (e *scrubbedError) Error() string { return e.text }
func (e *scrubbedError) Unwrap() error { return e.err }
