package httpx

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	canaryUser   = "canary-user"
	canarySecret = `c4/n+a r"y&<é>\-hush`
)

// carrying is a request with every kind of secret.
func carrying(t *testing.T) *http.Request {
	t.Helper()
	form := url.Values{"refresh_token": {"form-" + canarySecret}, "grant_type": {"refresh_token"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://127.0.0.1/v2/a/blobs/uploads/1?_state=state-hush&sig="+url.QueryEscape("sig-"+canarySecret)+"&digest=sha256:abc&bare-hush", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(canaryUser, canarySecret)
	req.Header.Add("Authorization", "Bearer token-hush")
	req.AddCookie(&http.Cookie{Name: "NXSESSIONID", Value: "cookie-hush"})
	return req
}

func TestScrub(t *testing.T) {
	req := carrying(t)
	raw := []byte(canarySecret)
	asJSON, _ := json.Marshal(canarySecret)
	for name, text := range map[string]string{
		"plain": canarySecret, "query": url.QueryEscape(canarySecret), "path": url.PathEscape(canarySecret), "json": string(asJSON),
		"html": html.EscapeString(canarySecret), "hex": hex.EncodeToString(raw), "HEX": fmt.Sprintf("%X", raw),
		"base64": base64.StdEncoding.EncodeToString(raw), "base64 of URLs": base64.URLEncoding.EncodeToString(raw),
		"basic":   "Basic " + base64.StdEncoding.EncodeToString([]byte(canaryUser+":"+canarySecret)),
		"basic 2": base64.RawURLEncoding.EncodeToString([]byte(canaryUser + ":" + canarySecret)), "userinfo": canaryUser + ":" + canarySecret,
		"bearer": "Bearer token-hush", "cookie": "cookie-hush", "state": "_state=state-hush", "a key alone": "bare-hush",
		"signature": "sig-" + canarySecret, "signature as sent": url.QueryEscape("sig-" + canarySecret), "form": url.QueryEscape("form-" + canarySecret),
	} {
		got := Scrub("before "+text+" after", req)
		if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, redacted) || strings.Contains(got, "hush") {
			t.Errorf("%s: %q", name, got)
		}
	}
	for text, want := range map[string]string{
		"user canary-user lacks it":              "user REDACTED lacks it",
		"canary-user canary-user":                "REDACTED REDACTED",
		"canary-users, my-canary-user":           "canary-users, my-canary-user",
		"blob sha256:abc unknown":                "blob sha256:abc unknown",
		"grant_type=refresh_token is not known":  "grant_type=refresh_token is not known",
		"the server is read-only, digest=sha256": "the server is read-only, digest=sha256",
		"":                                       "",
	} {
		if got := Scrub(text, req); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	if got := Scrub("no request", nil); got != "no request" {
		t.Error(got)
	}
}

// A login of one or two letters is left: nothing else would be readable.
func TestScrubOfShortSecrets(t *testing.T) {
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?x=a", nil)
	req.SetBasicAuth("a", "e")
	if got := Scrub("a server error", req); got != "a server error" {
		t.Error(got)
	}
}

// A server that repeats the request gives nothing away: not in an error, not in the log of
// tries, not where its answer is no HTTP, not where the secret lies across the cut.
func TestEchoes(t *testing.T) {
	echo := func(r *http.Request) string {
		var b bytes.Buffer
		_ = r.Write(&b)
		return r.URL.String() + "\n" + b.String()
	}
	for name, answer := range map[string]http.HandlerFunc{
		"text": func(w http.ResponseWriter, r *http.Request) { http.Error(w, echo(r), http.StatusServiceUnavailable) },
		"html": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<p>"+html.EscapeString(echo(r)))
		},
		"json": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"asked": echo(r)})
		},
		"across the cut": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, password, _ := r.BasicAuth()
			_, _ = io.WriteString(w, strings.Repeat("x", maxStatusBody-7)+password)
		},
		"no HTTP": func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(c, echo(r))
				_ = c.Close()
			}
		},
		"reason": func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 403 "+r.Header.Get("Authorization")+"\r\nContent-Length: 0\r\n\r\n")
				_ = c.Close()
			}
		},
	} {
		srv := httptest.NewServer(answer)
		var log bytes.Buffer
		transport := NewTransport(Options{Attempts: 2, Backoff: func(int) time.Duration { return time.Millisecond }, Log: slog.New(slog.NewTextHandler(&log, nil))})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/?_state=state-hush", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(canaryUser, canarySecret)
		resp, err := Do(NewClient(transport), req)
		if err == nil {
			err = CheckStatus(resp)
		}
		transport.CloseIdleConnections()
		srv.Close()
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		said := err.Error() + log.String()
		if strings.Contains(said, "hush") || strings.Contains(said, "c4/n") || strings.Contains(said, canaryUser) ||
			strings.Contains(said, base64.StdEncoding.EncodeToString([]byte(canaryUser + ":" + canarySecret))[:12]) {
			t.Errorf("%s: %s", name, said)
		}
	}
}

func TestScrubbedErrorKeepsItsCause(t *testing.T) {
	why := errors.New("it said state-hush")
	err := scrubbed(why, carrying(t))
	if !errors.Is(err, why) || strings.Contains(err.Error(), "hush") {
		t.Error(err)
	}
	if clean := errors.New("nothing"); scrubbed(clean, carrying(t)).Error() != clean.Error() {
		t.Error("an error without secrets is another one")
	}
}
