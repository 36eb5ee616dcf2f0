package messages

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"airbundle/internal/registrytest"
	"airbundle/test/origin"
)

// A tokenServer stands before a registry and wants tokens, each of which is good for some
// requests; from one on it answers in another way.
type tokenServer struct {
	next http.Handler
	good int              // requests that one token is good for
	most int              // tokens that are given
	then http.HandlerFunc // to who asks for more

	mu     sync.Mutex
	given  int
	left   map[string]int
	logins int // requests with the password
	bodies int // of uploads that were refused in their middle
}

// ServeHTTP implements http.Handler.
func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, pass, basic := r.BasicAuth()
	s.mu.Lock()
	if basic {
		s.logins++
	}
	if r.URL.Path == "/token" {
		right, fresh := basic && name == user && pass == password, s.given < s.most
		if right && fresh {
			s.given++
		}
		issued := fmt.Sprintf("%s-%d", token, s.given)
		if right && fresh {
			s.left[issued] = s.good
		}
		s.mu.Unlock()
		switch {
		case !right:
			w.WriteHeader(http.StatusUnauthorized)
		case !fresh:
			s.then(w, r)
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"token": issued, "expires_in": 60})
		}
		return
	}
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	left := s.left[bearer]
	s.left[bearer]--
	s.mu.Unlock()
	if left > 0 {
		s.next.ServeHTTP(w, r)
		return
	}
	if r.Method == http.MethodPut && r.ContentLength > 0 {
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
		s.mu.Lock()
		s.bodies++
		s.mu.Unlock()
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="registry",scope="repository:x:pull"`)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"the token has expired"}]}`)
}

// TestTokensThatExpire: tokens run out in the middle of pushes and builds, uploads among
// them. With new ones all is done; without, the end is honest, and the password has not
// been shown in vain again and again.
func TestTokensThatExpire(t *testing.T) {
	bundle, f := demo(t)
	answer := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body+asked(r))
		}
	}
	for _, tt := range []struct {
		name  string
		good  int
		most  int
		then  http.HandlerFunc
		push  int // exit codes
		build int
		vain  int // requests with the password that got no token, at most; the first one asks for the challenge
	}{
		{"never", 1000, 1000, nil, 0, 0, 1},
		{"after 8 requests", 8, 1000, nil, 0, 0, 1},
		{"after 5 requests", 5, 1000, nil, 0, 0, 1},
		{"refused", 3, 3, answer(401, "no"), 7, 7, 9},
		{"forbidden", 3, 3, answer(403, "no"), 7, 7, 9},
		{"no JSON", 3, 3, answer(200, "<html>"), 7, 7, 100},
		{"no token", 3, 3, answer(200, `{"token":""} `), 7, 7, 100},
		{"broken", 3, 3, answer(500, "oops"), 6, 6, 100},
	} {
		for _, program := range []string{"seeder", "bundler"} {
			if tt.name == "broken" && !full() {
				continue // half a minute of patience
			}
			t.Run(tt.name+"/"+program, func(t *testing.T) {
				t.Parallel()
				s := &tokenServer{good: tt.good, most: tt.most, then: tt.then, left: map[string]int{}}
				front := httptest.NewServer(s)
				t.Cleanup(front.Close)
				host := strings.TrimPrefix(front.URL, "http://")
				p, code := newProcess(t, "DOCKER_CONFIG="+dockerConfig(t, host)), tt.push
				args := []string{"push", bundle, "--registry", host, "--plain-http", host, "--username", user, "--password-stdin"}
				p.stdin = password + "\n"
				if program == "seeder" {
					s.next = registrytest.Start(t, registrytest.Options{}).Server.Config.Handler
				} else {
					o := origin.Start(t, f, origin.Options{})
					s.next, code = o, tt.build
					raw, err := o.Lock.Encode()
					if err != nil {
						t.Fatal(err)
					}
					lock := filepath.Join(p.dir, "there.lock.yaml")
					if err := os.WriteFile(lock, []byte(strings.ReplaceAll(string(raw), "source: "+o.Host, "source: "+host)), 0o644); err != nil {
						t.Fatal(err)
					}
					args, p.stdin = []string{"build", lock, "-o", "x.bundle.tar", "--plain-http", host}, ""
				}
				r := p.run(t, program, args...)
				if r.code != code {
					t.Errorf("exit %d, want %d, after %d tokens: %s%s", r.code, code, s.given, r.out, r.err)
				}
				if code != 0 && !strings.Contains(r.err+r.out, host) {
					t.Errorf("%s is not named: %s", host, r.err)
				}
				if vain := s.logins - s.given; vain > tt.vain {
					t.Errorf("the password was shown %d times in vain", vain)
				}
				if code == 0 && tt.good < 10 && program == "seeder" && (s.given < 8 || s.bodies == 0) {
					t.Errorf("%d tokens, %d uploads refused in the middle: none ran out", s.given, s.bodies)
				}
				t.Logf("exit %d, %d tokens, %d uploads refused in the middle", r.code, s.given, s.bodies)
				p.noLeak(t, r)
				if _, err := os.Stat(filepath.Join(p.dir, "x.bundle.tar")); program == "bundler" && (err == nil) != (code == 0) {
					t.Errorf("exit %d, and the bundle: %v", r.code, err)
				}
			})
		}
	}
}
