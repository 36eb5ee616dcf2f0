package httpx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Contract 0.1 rule 12, 8: what is repeated, and of what.
func TestRetryStatus(t *testing.T) {
	const replay, once = true, false
	tests := []struct {
		method  string
		body    bool
		getBody bool
		fail    []int // statuses before 200
		want    int
		tries   int32
	}{
		{http.MethodGet, once, once, []int{503, 502, 500, 504, 408}, 200, 6},
		{http.MethodHead, once, once, []int{503, 429}, 200, 3},
		{http.MethodGet, once, once, []int{503, 503, 503, 503, 503, 503}, 503, 6},
		{http.MethodGet, once, once, []int{401}, 401, 1},
		{http.MethodGet, once, once, []int{403}, 403, 1},
		{http.MethodGet, once, once, []int{404}, 404, 1},
		{http.MethodGet, once, once, []int{400}, 400, 1},
		{http.MethodGet, once, once, []int{402}, 402, 1},
		{http.MethodGet, once, once, []int{405}, 405, 1},
		{http.MethodGet, once, once, []int{409}, 409, 1},
		{http.MethodGet, once, once, []int{411}, 411, 1},
		{http.MethodGet, once, once, []int{415}, 415, 1},
		{http.MethodGet, once, once, []int{416}, 416, 1},
		{http.MethodGet, once, once, []int{422}, 422, 1},
		{http.MethodGet, once, once, []int{501}, 501, 1},
		{http.MethodGet, once, once, []int{302}, 302, 1},
		{http.MethodPut, replay, replay, []int{503, 503}, 200, 3},
		{http.MethodPut, replay, once, []int{503}, 503, 1},
		{http.MethodPut, once, once, []int{503}, 503, 1}, // end of an upload session
		{http.MethodDelete, once, once, []int{503}, 503, 1},
		{http.MethodPost, replay, replay, []int{503}, 503, 1},
		{http.MethodPatch, replay, replay, []int{503}, 503, 1},
		{http.MethodPut, replay, replay, []int{400}, 400, 1},
		{http.MethodPut, replay, replay, []int{413}, 413, 1},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %v body=%v GetBody=%v", tt.method, tt.fail, tt.body, tt.getBody), func(t *testing.T) {
			var tries atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				n := int(tries.Add(1))
				got, err := io.ReadAll(r.Body)
				if err != nil || (string(got) == "content") != tt.body {
					t.Errorf("try %d: body %q, %v", n, got, err)
				}
				if n <= len(tt.fail) {
					w.WriteHeader(tt.fail[n-1])
				}
			})
			req := newRequest(t, tt.method, s.URL, nil)
			if tt.body {
				req = newRequest(t, tt.method, s.URL, strings.NewReader("content"))
			}
			if !tt.getBody {
				req.GetBody = nil
			}
			resp, err := fast(t, Options{}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != tt.want || tries.Load() != tt.tries {
				t.Errorf("got %d after %d tries, want %d after %d", resp.StatusCode, tries.Load(), tt.want, tt.tries)
			}
		})
	}
}

// Contract 0.1/12.
// TestRetryConnection resets connections at the request, which is an error without
// an answer.
func TestRetryConnection(t *testing.T) {
	tests := []struct {
		method  string
		getBody bool
		resets  int
		tries   int32
		fails   bool
	}{
		{http.MethodGet, true, 3, 4, false},
		{http.MethodGet, true, 99, 4, true},
		{http.MethodPut, true, 2, 3, false},
		{http.MethodPut, false, 2, 1, true},
		{http.MethodPost, true, 2, 1, true},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %d resets GetBody=%v", tt.method, tt.resets, tt.getBody), func(t *testing.T) {
			var tries atomic.Int32
			addr := serveRaw(t, func(n int, conn *net.TCPConn, req *http.Request) {
				tries.Add(1)
				got, _ := io.ReadAll(req.Body)
				if n <= tt.resets {
					_ = conn.SetLinger(0)
					return
				}
				if req.Method == http.MethodPut && string(got) != "content" {
					t.Errorf("try %d: body %q", n, got)
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			})
			req := newRequest(t, tt.method, addr, nil)
			if tt.method != http.MethodGet {
				req = newRequest(t, tt.method, addr, strings.NewReader("content"))
			}
			if !tt.getBody {
				req.GetBody = nil
			}
			resp, err := fast(t, Options{Attempts: 4}).RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if (err != nil) != tt.fails || tries.Load() != tt.tries {
				t.Fatalf("got %v after %d tries, want error=%v after %d", err, tries.Load(), tt.fails, tt.tries)
			}
			if tt.fails {
				ua := wantUnavailable(t, err)
				want := UnavailableError{Host: strings.TrimPrefix(addr, "http://"), Attempts: int(tt.tries)}
				if ua.Host != want.Host || ua.Attempts != want.Attempts || ua.Err == nil {
					t.Errorf("got %+v, want host and attempts of %+v", ua, want)
				}
			}
		})
	}
}

func TestRefusedAndUnknownHosts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, err = fetch(t, fast(t, Options{Attempts: 3}), "http://"+addr)
	if ua := wantUnavailable(t, err); ua.Attempts != 3 || !strings.Contains(err.Error(), addr) {
		t.Errorf("refused: got %v, want 3 attempts and %s", err, addr)
	}
	if Permanent(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}}) {
		t.Error("a name server in trouble is taken for permanent")
	}
	if !Permanent(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}) {
		t.Error("a host that does not exist is tried again")
	}
}

// TestClosedWithoutAnswer: the bare io.EOF of net/http must not get out.
func TestClosedWithoutAnswer(t *testing.T) {
	addr := serveRaw(t, func(int, *net.TCPConn, *http.Request) {})
	_, err := fetch(t, fast(t, Options{Attempts: 2}), addr)
	wantUnavailable(t, err)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want io.ErrUnexpectedEOF inside", err)
	}
}

// Contract 0.1/3, 8.
func TestLockedOut(t *testing.T) {
	const page = "<html><title>429 - Nexus</title>Too many authentication attempts</html>"
	tests := []struct {
		name, status, body string
		tries              int
	}{
		{"reason", "429 Too many authentication attempts", "", 1},
		{"body", "429 Too Many Requests", page, 1},
		{"rate limit", "429 Too Many Requests", "toomanyrequests: you have reached your unauthenticated pull rate limit", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var tries atomic.Int32
			addr := serveRaw(t, func(_ int, conn *net.TCPConn, _ *http.Request) {
				tries.Add(1)
				fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Length: %d\r\nRetry-After: 0\r\nConnection: close\r\n\r\n%s", tt.status, len(tt.body), tt.body)
			})
			resp, err := get(t, fast(t, Options{Attempts: 3}), addr)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != tt.body || resp.StatusCode != 429 {
				t.Errorf("got %d %q, %v; want 429 and the whole body", resp.StatusCode, got, err)
			}
			if int(tries.Load()) != tt.tries {
				t.Errorf("%d tries, want %d", tries.Load(), tt.tries)
			}
		})
	}
}

// Contract 8.
// TestLockedOutPausesNobody: its Retry-After is about one user, who must stop.
func TestLockedOutPausesNobody(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "100")
		http.Error(w, "Too many authentication attempts", http.StatusTooManyRequests)
	})
	tr := fast(t, Options{})
	for range 2 {
		began := time.Now()
		if _, err := fetch(t, tr, s.URL); err != nil || time.Since(began) > 5*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	}
}

func TestSourceError(t *testing.T) {
	damaged := errors.New("archive is damaged")
	for _, replay := range []bool{false, true} {
		var tries atomic.Int32
		s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			tries.Add(1)
			_, _ = io.Copy(io.Discard, r.Body)
		})
		body := func() io.Reader {
			return io.MultiReader(strings.NewReader("some bytes"), errReader{damaged})
		}
		req := newRequest(t, http.MethodPut, s.URL, body())
		req.ContentLength = 1000
		if replay {
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(body()), nil }
		}
		resp, err := fast(t, Options{}).RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, damaged) || errors.As(err, new(*UnavailableError)) || tries.Load() > 1 {
			t.Errorf("replay=%v: got %v after %d tries, want the source's own error after one", replay, err, tries.Load())
		}
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestGetBodyFails(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	gone := errors.New("medium removed")
	req := newRequest(t, http.MethodPut, s.URL, strings.NewReader("content"))
	req.GetBody = func() (io.ReadCloser, error) { return nil, gone }
	resp, err := fast(t, Options{}).RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
}

// TestIdleConnectionDied: net/http itself replays on a fresh connection, with a
// body that is watched too.
func TestIdleConnectionDied(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	answer := func(_ int, conn *net.TCPConn, req *http.Request) {
		got, _ := io.ReadAll(req.Body)
		mu.Lock()
		bodies = append(bodies, string(got))
		mu.Unlock()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") // promises to stay, then leaves
	}
	addr := serveRaw(t, answer)
	tr := fast(t, Options{Attempts: 2})
	for i := range 4 {
		resp, err := tr.RoundTrip(newRequest(t, http.MethodPut, addr, strings.NewReader(fmt.Sprint("body ", i))))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if diff := cmp.Diff([]string{"body 0", "body 1", "body 2", "body 3"}, bodies); diff != "" {
		t.Errorf("bodies received (-want +got):\n%s", diff)
	}
}

func TestRetryLog(t *testing.T) {
	var tries atomic.Int32
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if tries.Add(1) <= 2 {
			http.Error(w, "secret-in-body", http.StatusBadGateway)
		}
	})
	var log bytes.Buffer
	tr := fast(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	req := newRequest(t, http.MethodGet, strings.Replace(s.URL, "//", "//user:hunter2@", 1)+"/blob?_state=s3cr3t", nil)
	req.Header.Set("Authorization", "Basic c2VjcmV0")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "502") || !strings.Contains(lines[0], "attempt=1") {
		t.Errorf("log has %d lines, want one for each of 2 retries:\n%s", len(lines), log.String())
	}
	for _, secret := range []string{"user", "hunter2", "s3cr3t", "c2VjcmV0"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("log shows %q:\n%s", secret, log.String())
		}
	}
}

// Contract 8.
func TestDefaultBackoff(t *testing.T) {
	for attempt, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second, 1000: 30 * time.Second} {
		for range 20 {
			if got := Backoff(attempt); got < want*3/4 || got > want*5/4 {
				t.Errorf("Backoff(%d) = %v, want %v give or take a quarter", attempt, got, want)
			}
		}
	}
}

// An answer that was asked for is not asked for again; all others are.
func TestFinalStatus(t *testing.T) {
	for _, tt := range []struct {
		fail  []int // statuses before 200
		want  int
		tries int32
	}{
		{[]int{503, 503}, 503, 1},
		{[]int{502, 503, 503}, 503, 2},
		{[]int{502, 502}, 200, 3},
	} {
		var tries atomic.Int32
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if n := int(tries.Add(1)); n <= len(tt.fail) {
				w.WriteHeader(tt.fail[n-1])
			}
		})
		req := newRequest(t, http.MethodGet, s.URL, nil)
		req = req.WithContext(FinalStatus(req.Context(), http.StatusServiceUnavailable))
		resp, err := fast(t, Options{}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != tt.want || tries.Load() != tt.tries {
			t.Errorf("%v: got %d after %d tries, want %d after %d", tt.fail, resp.StatusCode, tries.Load(), tt.want, tt.tries)
		}
	}
}
