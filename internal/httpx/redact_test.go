package httpx

import (
	"net/url"
	"strings"
	"testing"

	"airbundle/internal/fuzztest"
)

func TestRedact(t *testing.T) {
	tests := []struct{ raw, want string }{
		{"", ""},
		{"https://host/a/b", "https://host/a/b"},
		{"https://user:hunter2@host:5000/a", "https://host:5000/a"},
		{"https://token@host/a", "https://host/a"},
		{"https://host/u?_state=abc&digest=sha256:1", "https://host/u?_state=REDACTED&digest=REDACTED"},
		{"https://host/u?token=a%26b&token=c", "https://host/u?token=REDACTED&token=REDACTED"},
		{"https://host/u?X-Amz-Signature=ab=cd==", "https://host/u?X-Amz-Signature=REDACTED"},
		{"https://host/u?a=1;b=2", "https://host/u?a=REDACTED"},
		{"https://host/u?sp3cial", "https://host/u?REDACTED"},
		{"https://host/u?empty=", "https://host/u?empty=REDACTED"},
		{"https://host/u?&", "https://host/u?&"},
		{"https://host/a#access_token=abc", "https://host/a"},
		{"https://user:p%zz@host/", "(malformed URL)"},
		{"https://host/%zz?token=abc", "(malformed URL)"},
		{"http:user:pw@host/", "http:REDACTED"},
		{"user:pw@host/path", "user:REDACTED"},
		{"file:rel/path", "file:rel/path"},
		{"file:///etc/x", "file:///etc/x"},
		{"/v2/x/blobs/uploads/u?_state=abc", "/v2/x/blobs/uploads/u?_state=REDACTED"},
	}
	for _, tt := range tests {
		if got := Redact(tt.raw); got != tt.want {
			t.Errorf("Redact(%q) = %q, want %q", tt.raw, got, tt.want)
		}
	}
}

func TestRedactURL(t *testing.T) {
	if got := RedactURL(nil); got != "" {
		t.Errorf("RedactURL(nil) = %q", got)
	}
	u := &url.URL{Scheme: "https", Host: "host", Path: "/a", User: url.UserPassword("u", "p"), RawQuery: "k=v", Fragment: "f"}
	before := u.String()
	if got, want := RedactURL(u), "https://host/a?k=REDACTED"; got != want {
		t.Errorf("RedactURL = %q, want %q", got, want)
	}
	if u.String() != before {
		t.Errorf("RedactURL changed its argument to %s", u)
	}
}

// FuzzRedact hides a secret in each place where one may stand.
func FuzzRedact(f *testing.F) {
	f.Add("https://", "host/path", "k")
	f.Add("http:", "//h/p?q=", "")
	f.Add("", "a:b", "x&y")
	fuzztest.Run(f, func(t *testing.T, scheme, host, key string) {
		const secret = "S3CR3TS3CR3T"
		if strings.ContainsAny(key, "=#") {
			return // would end the query or begin another value
		}
		for _, raw := range []string{
			"https://user:" + secret + "@" + strings.Trim(host, "/\\?#@") + "/",
			"https://host/" + "?" + key + "=" + secret,
			"https://host/" + "?" + secret + "&" + key,
			scheme + "https://host/#" + secret,
		} {
			if got := Redact(raw); strings.Contains(got, secret) && !strings.Contains(scheme, "?") {
				t.Errorf("Redact(%q) = %q", raw, got)
			}
		}
	})
}
