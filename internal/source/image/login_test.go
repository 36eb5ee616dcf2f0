package image

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"airbundle/internal/httpx"
	"airbundle/internal/registrytest"
	"airbundle/internal/report"
)

func contextWithCause(t *testing.T) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(t.Context())
	return ctx, func() { cancel(context.Canceled) }
}

// dockerConfig writes a docker config with one login and makes it the process's.
func dockerConfig(t *testing.T, host, user, password string) {
	t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	path := writeFile(t, "config.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, auth))
	t.Setenv("DOCKER_CONFIG", filepath.Dir(path))
	t.Setenv("HOME", t.TempDir())
}

func TestBasicFromDockerConfig(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Username: "joe", Password: "secret"})
	source := push(t, reg, "a/b:v1", newIndex(t, types.OCIImageIndex), basic("joe", "secret"))
	dockerConfig(t, reg.Host, "joe", "secret")
	if m, b := readWhole(t, sourceFor(reg), source); m != 4 || b != 9 {
		t.Errorf("%d manifests, %d blobs", m, b)
	}
}

func TestNoCredentials(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Username: "joe", Password: "secret"})
	_, err := sourceFor(reg).Resolve(t.Context(), reg.Host+"/a/b:v1")
	if s, ok := errors.AsType[*httpx.StatusError](err); !ok || s.Code != http.StatusUnauthorized || report.Classify(err) != report.ClassRefused {
		t.Errorf("%v is not the right StatusError", err)
	}
}

// resolveMany resolves 20 sources in 5 repositories at once and returns the errors.
func resolveMany(t *testing.T, s *Source, host string) []error {
	t.Helper()
	errs := make([]error, 20)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = s.Resolve(t.Context(), host+"/a/"+string(rune('a'+i%5))+":v1")
		})
	}
	wg.Wait()
	return errs
}

func TestWrongPasswordIsTriedOnce(t *testing.T) {
	basicReg := registrytest.Start(t, registrytest.Options{Username: "joe", Password: "secret"})
	tokens := &tokenServer{user: "joe", password: "secret"}
	bearerReg := registrytest.Start(t, registrytest.Options{Wrap: tokens.wrap})
	for _, tt := range []struct {
		kind, says string
		reg        *registrytest.Registry
	}{
		{"basic", "authentication required", basicReg},
		{"bearer", "incorrect username or password", bearerReg},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			reg := tt.reg
			dockerConfig(t, reg.Host, "joe", "wrong")
			s := sourceFor(reg)
			errs := slices.Concat(resolveMany(t, s, reg.Host), resolveMany(t, s, reg.Host))
			for _, err := range errs {
				if s, ok := errors.AsType[*httpx.StatusError](err); !ok || s.Code != http.StatusUnauthorized {
					t.Fatalf("%v is not the right StatusError", err)
				}
				wantError(t, err, reg.Host+" refused the credentials", tt.says)
			}
			tried := 0
			for _, q := range reg.Requests() {
				if q.Authorized {
					tried++
				}
			}
			if tried != 1 {
				t.Errorf("the wrong password was sent %d times", tried)
			}
		})
	}
}

// A good login stays good when one repository is closed to it.
func TestOneClosedRepository(t *testing.T) {
	tokens := &tokenServer{user: "joe", password: "secret", closed: "a/closed"}
	reg := registrytest.Start(t, registrytest.Options{Wrap: tokens.wrap})
	source := push(t, reg, "a/b:v1", newImage(t, types.OCIManifestSchema1), basic("joe", "secret"))
	dockerConfig(t, reg.Host, "joe", "secret")
	s := sourceFor(reg)
	for range 2 {
		_, err := s.Resolve(t.Context(), reg.Host+"/a/closed:v1")
		if st, ok := errors.AsType[*httpx.StatusError](err); !ok || st.Code != http.StatusUnauthorized {
			t.Fatalf("%v is not the right StatusError", err)
		}
	}
	if m, b := readWhole(t, s, source); m != 1 || b != 3 {
		t.Errorf("%d manifests, %d blobs", m, b)
	}
}

// A tokenServer turns a registry into one with bearer tokens, served at /token of
// the same host. With user empty it gives tokens to everybody.
type tokenServer struct {
	user, password string
	closed         string // repository that no token opens
	serial, given  atomic.Int64
}

func (ts *tokenServer) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/token" {
			ts.token(w, req)
			return
		}
		want := "Bearer token-" + string(rune('a'+ts.serial.Load()))
		closed := ts.closed != "" && strings.Contains(req.URL.Path, ts.closed)
		if req.Header.Get("Authorization") != want || closed {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test",scope="repository:a/b:pull"`, req.Host))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, req)
	})
}

func (ts *tokenServer) token(w http.ResponseWriter, req *http.Request) {
	u, p, _ := req.BasicAuth()
	if ts.user != "" && (u != ts.user || p != ts.password) {
		http.Error(w, `{"details":"incorrect username or password"}`, http.StatusUnauthorized)
		return
	}
	ts.given.Add(1)
	_, _ = io.WriteString(w, fmt.Sprintf(`{"token":"token-%c"}`, 'a'+ts.serial.Load()))
}

func TestAnonymousToken(t *testing.T) {
	tokens := &tokenServer{}
	reg := registrytest.Start(t, registrytest.Options{Wrap: tokens.wrap})
	source := push(t, reg, "a/b:v1", newIndex(t, types.OCIImageIndex))
	s := sourceFor(reg)
	tokens.given.Store(0)
	if m, b := readWhole(t, s, source); m != 4 || b != 9 {
		t.Errorf("%d manifests, %d blobs", m, b)
	}
	if n := tokens.given.Load(); n != 1 {
		t.Errorf("%d tokens for one repository, want 1", n)
	}
	tokens.serial.Add(1) // the token expires
	if m, b := readWhole(t, s, source); m != 4 || b != 9 {
		t.Errorf("with an expired token: %d manifests, %d blobs", m, b)
	}
	if n := tokens.given.Load(); n != 2 {
		t.Errorf("%d tokens after one expired, want 2", n)
	}
}

func TestTokenWithCredentials(t *testing.T) {
	tokens := &tokenServer{user: "joe", password: "secret"}
	reg := registrytest.Start(t, registrytest.Options{Wrap: tokens.wrap})
	source := push(t, reg, "a/b:v1", newImage(t, types.OCIManifestSchema1), basic("joe", "secret"))
	dockerConfig(t, reg.Host, "joe", "secret")
	if m, b := readWhole(t, sourceFor(reg), source); m != 1 || b != 3 {
		t.Errorf("%d manifests, %d blobs", m, b)
	}
}

// Blobs often come from another host. Credentials do not go there, and what the
// other host says in its URL does not go into errors.
func TestRedirect(t *testing.T) {
	img := newImage(t, types.OCIManifestSchema1)
	for kind, wrap := range map[string]func(http.Handler) http.Handler{
		"basic":  nil,
		"bearer": (&tokenServer{user: "joe", password: "secret"}).wrap,
	} {
		t.Run(kind, func(t *testing.T) {
			store := registrytest.Start(t, registrytest.Options{})
			push(t, store, "a/b:v1", img)
			o := registrytest.Options{Wrap: wrap}
			if wrap == nil {
				o.Username, o.Password = "joe", "secret"
			}
			target := store.URL.String()
			inner := o.Wrap
			o.Wrap = func(next http.Handler) http.Handler {
				if inner != nil {
					next = inner(next)
				}
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") {
						http.Redirect(w, req, target+req.URL.Path+"?X-Signature=hush", http.StatusTemporaryRedirect)
						return
					}
					next.ServeHTTP(w, req)
				})
			}
			reg := registrytest.Start(t, o)
			source := push(t, reg, "a/b:v1", img, basic("joe", "secret"))
			dockerConfig(t, reg.Host, "joe", "secret")
			s := New(Options{PlainHTTP: []string{reg.Host, store.Host}})
			if m, b := readWhole(t, s, source); m != 1 || b != 3 {
				t.Errorf("%d manifests, %d blobs", m, b)
			}
			for _, q := range store.Requests() {
				if q.Authorized {
					t.Errorf("credentials went to another host: %v", q)
				}
			}
			desc := descriptorOf(t, img)
			closed := registrytest.Start(t, registrytest.Options{Username: "other", Password: "other"})
			target = closed.URL.String()
			s = New(Options{PlainHTTP: []string{reg.Host, closed.Host}})
			_, err := s.Blob(t.Context(), source, desc)
			wantError(t, err, closed.Host, "401")
			if _, err := s.Resolve(t.Context(), source); err != nil {
				t.Errorf("the no of another host was taken for one of the registry: %v", err)
			}
			for name, to := range map[string]string{"gone": store.URL.String() + "/gone", "down": "http://127.0.0.1:1", "without TLS": "http://localhost:1"} {
				target = to
				s := New(Options{PlainHTTP: []string{reg.Host, store.Host, "127.0.0.1:1"}})
				_, err := s.Blob(t.Context(), source, desc)
				wantError(t, err, desc.Digest.String())
				if strings.Contains(err.Error(), "hush") {
					t.Errorf("%s: error shows a signature: %v", name, err)
				}
			}
		})
	}
}

// The library quotes what a token server answers, which may be another token.
func TestTokenAnswerStaysSecret(t *testing.T) {
	var srv *httptest.Server
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/token" {
			_, _ = io.WriteString(w, `{"refresh_token":"hush"}`)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+srv.URL+`/token",service="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	_, err := New(Options{PlainHTTP: []string{host}}).Resolve(t.Context(), host+"/a/b:v1")
	wantError(t, err, "no token")
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("error shows a token: %v", err)
	}
}

// A registry must not send our credentials to a place of its choice without TLS.
func TestForeignRealm(t *testing.T) {
	var asked atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer thief.Close()
	realm := strings.Replace(thief.URL, "127.0.0.1", "localhost", 1) + "/token"
	reg := registrytest.Start(t, registrytest.Options{Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
	}})
	dockerConfig(t, reg.Host, "joe", "secret")
	_, err := sourceFor(reg).Resolve(t.Context(), reg.Host+"/a/b:v1")
	wantError(t, err, "plain HTTP to localhost")
	if asked.Load() != 0 {
		t.Error("the realm was asked")
	}
}

// A keychain is a function as authn.Keychain.
type keychain func(authn.Resource) (authn.Authenticator, error)

func (k keychain) Resolve(r authn.Resource) (authn.Authenticator, error) { return k(r) }

func TestKeychainThatHangs(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	s := New(Options{Keychain: keychain(func(authn.Resource) (authn.Authenticator, error) {
		<-block
		return authn.Anonymous, nil
	})})
	s.hub.patience = time.Millisecond
	_, err := s.Resolve(t.Context(), "host.invalid/a/b:v1")
	wantError(t, err, "credentials for host.invalid", "no answer within 1ms")
	if c := report.Classify(err); c != report.ClassLocal {
		t.Errorf("class %d, want %d", c, report.ClassLocal)
	}
	s.hub.patience = time.Hour
	ctx, cancel := contextWithCause(t)
	cancel()
	if _, err = s.Resolve(ctx, "host.invalid/a/b:v1"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want canceled", err)
	}
}

func TestHelperOutputStaysSecret(t *testing.T) {
	bin := t.TempDir()
	helper := filepath.Join(bin, "docker-credential-test")
	if err := os.WriteFile(helper, []byte("#!/bin/sh\necho hush\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	path := writeFile(t, "config.json", `{"credHelpers":{"host.invalid":"test"}}`)
	t.Setenv("DOCKER_CONFIG", filepath.Dir(path))
	t.Setenv("HOME", t.TempDir())
	_, err := New(Options{}).Resolve(t.Context(), "host.invalid/a/b:v1")
	wantError(t, err, "credentials for host.invalid", "exit status 1")
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("error shows the output of a helper: %v", err)
	}
}

func TestBadDockerConfig(t *testing.T) {
	for label, config := range map[string]string{
		"no JSON": `{"auths":`, "other type": `{"auths":[]}`, "auth no base64": `{"auths":{"host.invalid":{"auth":"%%hush%%"}}}`,
		"no such helper": `{"credHelpers":{"host.invalid":"nowhere-to-be-found"}}`,
	} {
		path := writeFile(t, "config.json", config)
		t.Setenv("DOCKER_CONFIG", filepath.Dir(path))
		t.Setenv("HOME", t.TempDir())
		_, err := New(Options{}).Resolve(t.Context(), "host.invalid/a/b:v1")
		if c := report.Classify(err); c != report.ClassLocal {
			t.Errorf("%s: class %d of %v", label, c, err)
		}
		wantError(t, err, "credentials for host.invalid")
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: error shows a secret: %v", label, err)
		}
	}
}

// The docker config knows Docker Hub by a name of its own, and its tokens come from another host.
func TestDockerHubCredentials(t *testing.T) {
	dockerConfig(t, "https://index.docker.io/v1/", "joe", "secret")
	var asked []string
	s := New(Options{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		kind, _, _ := strings.Cut(req.Header.Get("Authorization"), " ")
		asked = append(asked, strings.TrimSpace(kind+" "+req.URL.Host+req.URL.Path))
		rec := httptest.NewRecorder()
		switch {
		case req.URL.Host == "auth.docker.io":
			_, _ = io.WriteString(rec, `{"token":"t"}`)
		case req.URL.Path == "/v2/":
			rec.Header().Set("WWW-Authenticate", `Bearer realm="https://auth.docker.io/token",service="registry.docker.io"`)
			rec.WriteHeader(http.StatusUnauthorized)
		default:
			rec.WriteHeader(http.StatusNotFound)
		}
		return rec.Result(), nil
	})})
	_, err := s.Resolve(t.Context(), "busybox")
	wantError(t, err, "404")
	want := []string{"index.docker.io/v2/", "Basic auth.docker.io/token", "Bearer index.docker.io/v2/library/busybox/manifests/latest"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}
