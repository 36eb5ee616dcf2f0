package httpx

import (
	"net/url"
	"strings"
)

const redacted = "REDACTED"

// RedactURL returns u fit to be shown: without userinfo and fragment, and with
// the keys of its query but not their values, which are where tokens, signatures
// and upload states live.
func RedactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	shown := *u
	shown.User = nil
	shown.Fragment, shown.RawFragment = "", ""
	if strings.Contains(u.Opaque, "@") {
		shown.Opaque = redacted // user:password@host that lost its slashes
	}
	shown.RawQuery = redactQuery(u.RawQuery)
	return shown.String()
}

// Redact is RedactURL for a URL that may be malformed; of such a one nothing is
// shown but that it is.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(malformed URL)"
	}
	return RedactURL(u)
}

// redactQuery keeps keys and their order. A part without a key is all value.
func redactQuery(raw string) string {
	if raw == "" {
		return ""
	}
	parts := strings.Split(raw, "&")
	for i, part := range parts {
		if key, _, ok := strings.Cut(part, "="); ok {
			parts[i] = key + "=" + redacted
		} else if part != "" {
			parts[i] = redacted
		}
	}
	return strings.Join(parts, "&")
}
