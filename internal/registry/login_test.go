package registry_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
)

// canary is a password that must be seen nowhere but at its own server.
const canary = "s3cr3t-canary"

// A trap is a foreign server that notes what it was shown.
type trap struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

func startTrap(t *testing.T, tls bool, answer http.HandlerFunc) *trap {
	tr := &trap{}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		tr.mu.Lock()
		tr.seen = append(tr.seen, fmt.Sprint(r.Method, " ", r.URL, r.Header, string(body)))
		tr.mu.Unlock()
		answer(w, r)
	})
	if tls {
		tr.Server = httptest.NewTLSServer(h)
	} else {
		tr.Server = httptest.NewServer(h)
	}
	t.Cleanup(tr.Close)
	return tr
}

// leaked returns what it should not have been shown.
func (tr *trap) leaked() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var bad []string
	for _, s := range tr.seen {
		if strings.Contains(s, "Authorization") || strings.Contains(s, canary) ||
			strings.Contains(s, base64.StdEncoding.EncodeToString([]byte("admin:"+canary))) {
			bad = append(bad, s)
		}
	}
	return bad
}

// Contract 0.1/7, 3.9.
func TestLocationElsewhereIsRefused(t *testing.T) {
	other := startTrap(t, false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) })
	for label, rewrite := range map[string]func(u *url.URL){
		"foreign host": func(u *url.URL) { *u = *mustParse(other.URL + "/v2/a/blobs/uploads/1?_state=" + canary) },
		"https":        func(u *url.URL) { u.Scheme = "https" },
		"other port":   func(u *url.URL) { u.Host = mustParse(other.URL).Host },
		"userinfo":     func(u *url.URL) { u.User = url.UserPassword("evil", canary) },
		"other name":   func(u *url.URL) { u.Host = "localhost:" + u.Port() },
		"none":         func(u *url.URL) { *u = url.URL{} },
	} {
		t.Run(label, func(t *testing.T) {
			reg := registrytest.Start(t, registrytest.Options{
				Username: "admin", Password: canary,
				Wrap: func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						rec := httptest.NewRecorder()
						next.ServeHTTP(rec, r)
						if u, err := url.Parse(rec.Header().Get("Location")); err == nil && u.Host != "" {
							rewrite(u)
							rec.Header().Set("Location", u.String())
						}
						maps.Copy(w.Header(), rec.Header())
						w.WriteHeader(rec.Code)
						_, _ = w.Write(rec.Body.Bytes())
					})
				},
			})
			o := options(t, reg.URL)
			o.Username, o.Password = "admin", canary
			src := &source{data: content(1000)}
			_, _, err := registry.New(o).PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
			matches(t, err, "refused|did not say where")
			if strings.Contains(err.Error(), canary) || src.opened.Load() != 1 {
				t.Errorf("opened %d times: %v", src.opened.Load(), err)
			}
			if bad := other.leaked(); len(bad) != 0 || len(other.seen) != 0 {
				t.Errorf("the other server was asked: %q", other.seen)
			}
		})
	}
}

func mustParse(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// Contract 0.1/3.
// A wrong password is tried once, however many workers wait, and never again.
func TestWrongPasswordIsTriedOnce(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Username: "admin", Password: "right"})
	o := options(t, reg.URL)
	o.Username, o.Password = "admin", canary
	r := registry.New(o)
	src := &source{data: content(100)}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, _, err := r.PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
			if se, ok := errors.AsType[*httpx.StatusError](err); !ok || se.Code != 401 || strings.Contains(err.Error(), canary) {
				t.Errorf("error: %v", err)
			}
		})
	}
	wg.Wait()
	matches(t, r.Ping(t.Context()), "401 Unauthorized")
	if n := len(reg.Requests()); n != 1 {
		t.Errorf("%d requests with the wrong password", n)
	}
}

// Contract 0.1/3, 8.
func TestBlockedLoginIsNotAskedAgain(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(429)
		_, _ = io.WriteString(w, "<html>Too many authentication attempts</html>")
		return true
	})})
	o := options(t, reg.URL)
	o.Username, o.Password = "admin", "x"
	r := registry.New(o)
	for range 3 {
		matches(t, r.Ping(t.Context()), "429")
	}
	if n := len(reg.Requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// Once the login is proven, workers do not wait for each other.
func TestGoodLoginDoesNotSerialise(t *testing.T) {
	both := make(chan struct{})
	var waiting atomic.Int32
	reg := registrytest.Start(t, registrytest.Options{Username: "u", Password: "p", Wrap: before(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			if waiting.Add(1) == 2 {
				close(both)
			}
			<-both
		}
		return false
	})})
	o := options(t, reg.URL)
	o.Username, o.Password = "u", "p"
	r := registry.New(o)
	if err := r.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { _, _ = r.StatBlob(t.Context(), "a", describe(nil).Digest) })
	}
	wg.Wait()
}

// Contract 0.1/2.
// tokens stands in front of a registry and lets through what has a token for it.
// Wrong credentials are shown twice at most: as Basic, and to the token server.
// A token server that was named, and the registry's own host over https, get the login.
// Redirects: followed, but not with the login, and not for a body.
func TestRedirects(t *testing.T) {
	data := content(1000)
	store := startTrap(t, false, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = w.Write(data)
		}
	})
	reg := registrytest.Start(t, registrytest.Options{Username: "admin", Password: canary, Wrap: before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") || isUpload(r) {
			http.Redirect(w, r, store.URL+"/object?sig="+canary[:4], http.StatusTemporaryRedirect)
			return true
		}
		return false
	})})
	o := options(t, reg.URL)
	o.Username, o.Password = "admin", canary
	r := registry.New(o)
	rc, err := r.OpenBlob(t.Context(), "a", describe(data))
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	src := &source{data: data}
	_, _, err = r.PushBlob(t.Context(), "a", describe(data), nil, src.open)
	matches(t, err, "307")
	if bad := store.leaked(); len(bad) != 0 || len(store.seen) != 1 {
		t.Errorf("seen %q", store.seen)
	}
}

// Contract 0.1/2.
// A server that sends everybody to another URL does not get the login there, and
// the password is not to blame.
func TestRedirectedLogin(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Username: "admin", Password: canary})
	away := true
	front := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, r *http.Request) bool {
		if away {
			http.Redirect(w, r, reg.URL.String()+r.URL.Path, http.StatusMovedPermanently)
		}
		return away
	})})
	o := options(t, front.URL)
	o.Username, o.Password = "admin", canary
	r := registry.New(o)
	matches(t, r.Ping(t.Context()), "401 .*a redirect led there")
	if q := reg.Requests(); len(q) != 1 || q[0].Authorized {
		t.Errorf("requests: %v", q)
	}
	away = false
	if err := r.Ping(t.Context()); err != nil {
		t.Errorf("the login is not given up for that: %v", err)
	}
}
