package messages

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airbundle/test/origin"
)

// TestRedirectsOfABuild: a registry with a login leads what is asked for elsewhere. Where
// that is followed, nothing of the login arrives there; from https to http it never is.
func TestRedirectsOfABuild(t *testing.T) {
	_, f := demo(t)
	ca := newAuthority(t, "Ours")
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, ca.pem, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		to    func(own, foreign, plain string) string // before the path
		code  int
		asked bool // the foreign host is
		says  string
	}{
		{"another host", func(_, foreign, _ string) string { return "https://" + foreign }, 0, true, ""},
		{"another host, with a login", func(_, foreign, _ string) string { return "https://" + userinfo + ":7@" + foreign }, 0, true, ""},
		{"without TLS", func(_, _, plain string) string { return "http://" + plain }, 7, false, "from https to http refused"},
		{"itself", func(own, _, _ string) string { return "https://" + own }, 6, false, "10 redirects"},
		{"no URL", func(string, string, string) string { return "https://%zz" }, 6, false, ""},
		{"a file", func(string, string, string) string { return "file:///etc/passwd?" }, 6, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := origin.Start(t, f, origin.Options{})
			var saw seen
			foreign, plainTLS := ca.server(t, saw.of(o), "127.0.0.1", time.Now().Add(time.Hour))
			http1 := httptest.NewServer(saw.of(o))
			t.Cleanup(http1.Close)
			var asked atomic.Int32
			var own string
			own, plain := ca.server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				name, pass, _ := r.BasicAuth()
				switch {
				case name != user || pass != password:
					w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
					w.WriteHeader(http.StatusUnauthorized)
				case strings.Contains(r.URL.Path, "/blobs/"):
					w.Header().Set("Set-Cookie", "session="+token+"; Path=/")
					w.Header().Set("Location", tt.to(own, foreign, strings.TrimPrefix(http1.URL, "http://"))+r.URL.Path+"?sig="+query)
					w.WriteHeader(http.StatusTemporaryRedirect)
				default:
					o.ServeHTTP(w, r)
				}
			}), "127.0.0.1", time.Now().Add(time.Hour))
			p := newProcess(t, "DOCKER_CONFIG="+dockerConfig(t, own))
			raw, err := o.Lock.Encode()
			if err != nil {
				t.Fatal(err)
			}
			lock := filepath.Join(p.dir, "there.lock.yaml")
			if err := os.WriteFile(lock, []byte(strings.ReplaceAll(string(raw), "source: "+o.Host, "source: "+own)), 0o644); err != nil {
				t.Fatal(err)
			}
			p.after = 2 * time.Minute
			r := p.run(t, "bundler", "build", lock, "-o", "x.bundle.tar", "--ca-file", caFile)
			if r.code != tt.code || !strings.Contains(r.err, tt.says) || tt.code != 0 && !strings.Contains(r.err, own) {
				t.Errorf("exit %d, want %d, %q: %s%s", r.code, tt.code, tt.says, r.out, r.err)
			}
			text := saw.String()
			for _, header := range []string{"Authorization", "Cookie", "Referer"} {
				if strings.Contains(text, header) {
					t.Errorf("the other host saw a header %s: %s", header, text)
				}
			}
			for _, l := range leaks(strings.ReplaceAll(text, query, "")) { // which the registry itself told it
				t.Errorf("the other host saw %s", l)
			}
			if (text != "") != tt.asked {
				t.Errorf("the other host was asked: %q", text)
			}
			if n := plain.Load() + plainTLS.Load(); n > 0 || asked.Load() > 400 {
				t.Errorf("%d connections without TLS, %d requests", n, asked.Load())
			}
			p.noLeak(t, r)
			t.Logf("exit %d, %d requests", r.code, asked.Load())
		})
	}
}
