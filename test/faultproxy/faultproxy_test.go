package faultproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An echo is a server that remembers what arrived.
type echo struct {
	mu   sync.Mutex
	body []byte
	n    int
}

var content = bytes.Repeat([]byte("0123456789abcdef"), 1024)

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n++
	if err == nil {
		e.body = raw
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
}

// got is what one request came to: at the client, and at the server.
type got struct {
	status int // 0: no answer
	length int64
	body   []byte
	err    error
	heard  int // by the server
	sent   []byte
}

func once(t *testing.T, do Fault, patience time.Duration, body []byte) got {
	t.Helper()
	e := &echo{}
	s := httptest.NewServer(e)
	defer s.Close()
	p := Start(t, s.URL, 7, Rule{Do: do})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, p.URL.JoinPath("x").String(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var g got
	resp, err := c.Do(req)
	if g.err = err; err == nil {
		defer resp.Body.Close()
		g.status, g.length = resp.StatusCode, resp.ContentLength
		g.body, g.err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	}
	if p.Struck() != 1 {
		t.Errorf("%d strikes, want 1", p.Struck())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	g.heard, g.sent = e.n, e.body
	return g
}

func differ(a, b []byte) (n int) {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			n++
		}
	}
	return n + max(len(a), len(b)) - min(len(a), len(b))
}

// TestFaults: each fault does what its comment says, to the client and to the server.
func TestFaults(t *testing.T) {
	broken := func(g got) bool { return g.err != nil && !errors.Is(g.err, context.DeadlineExceeded) }
	late := func(g got) bool { return errors.Is(g.err, context.DeadlineExceeded) }
	up := func(g got) bool { return bytes.Equal(g.sent, content) }
	for _, tt := range []struct {
		name string
		do   Fault
		want func(got) bool
	}{
		{"Reset", Reset, func(g got) bool { return broken(g) && g.status == 0 && g.heard == 0 }},
		{"LoseAnswer", LoseAnswer, func(g got) bool { return broken(g) && g.status == 0 && g.heard == 1 && up(g) }},
		{"CutUp", CutUp, func(g got) bool { return broken(g) && g.status == 0 && g.heard == 0 }},
		{"CutDown", CutDown, func(g got) bool { return broken(g) && len(g.body) < len(content) && up(g) }},
		{"Truncate", Truncate, func(g got) bool {
			return errors.Is(g.err, io.ErrUnexpectedEOF) && g.length == int64(len(content)) && len(g.body) < len(content) && bytes.HasPrefix(content, g.body)
		}},
		{"Shorten", Shorten, func(g got) bool {
			return g.err == nil && g.length < int64(len(content)) && g.length == int64(len(g.body)) && bytes.HasPrefix(content, g.body)
		}},
		{"FlipDown", FlipDown, func(g got) bool { return g.err == nil && differ(g.body, content) == 1 && up(g) }},
		{"FlipUp", FlipUp, func(g got) bool {
			return g.err == nil && bytes.Equal(g.body, content) && differ(g.sent, content) == 1
		}},
		{"Stall", Stall, func(g got) bool { return late(g) && g.status == 200 && len(g.body) < len(content) }},
		{"StallUp", StallUp, func(g got) bool { return late(g) && g.status == 0 && g.heard == 0 }},
		{"Drip", Drip(1000, 20*time.Millisecond), func(g got) bool { return late(g) && len(g.body) < 40 }},
		{"Status", Status(429, "slowly", "Retry-After: 3"), func(g got) bool { return g.status == 429 && string(g.body) == "slowly" && g.heard == 0 }},
		{"Redirect", Redirect(307, "http://127.0.0.1:1"), func(g got) bool { return g.status == 307 && g.heard == 0 }},
		{"Header", Header("Content-Encoding", "gzip"), func(g got) bool { return g.err == nil && bytes.Equal(g.body, content) }},
		{"Endless", Endless("Content-Type: text/plain"), func(g got) bool { return g.length == -1 && len(g.body) == 1<<20 }},
		{"HTTP10", HTTP10, func(g got) bool { return g.err == nil && g.length == -1 && bytes.Equal(g.body, content) }},
		{"Any", Any(Reset, Reset), func(g got) bool { return broken(g) && g.heard == 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			patience := time.Minute
			if slices.Contains([]string{"Stall", "StallUp", "Drip"}, tt.name) {
				patience = 500 * time.Millisecond
			}
			if g := once(t, tt.do, patience, content); !tt.want(g) {
				t.Errorf("status %d, length %d, %d bytes, error %v; the server heard %d requests and %d bytes", g.status, g.length, len(g.body), g.err, g.heard, len(g.sent))
			}
		})
	}
}

// TestBusyUntil: the date is one of HTTP, and lies ahead.
func TestBusyUntil(t *testing.T) {
	w := httptest.NewRecorder()
	BusyUntil(time.Minute)(nil, 0).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	at, err := http.ParseTime(w.Header().Get("Retry-After"))
	if err != nil || w.Code != 429 || time.Until(at) < 50*time.Second || time.Until(at) > time.Minute {
		t.Errorf("%d, %v, %v", w.Code, at, err)
	}
}

// TestTypoUp: what is changed is one byte, and JSON before and after.
func TestTypoUp(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"schemaVersion":2,"x":[{"architecture":"amd64"}]}`, `{"schemaVersion":2,"x":[{"architecture":"` + "`" + `md64"}]}`},
		{`{"schemaVersion":2}`, `{"schemaVersioN":2}`},
	} {
		if g := once(t, TypoUp, time.Minute, []byte(tt.in)); string(g.sent) != tt.want {
			t.Errorf("%s became %s, want %s", tt.in, g.sent, tt.want)
		}
	}
}

// TestShare: a quarter is a quarter, of first requests as of repetitions, and six strikes
// in a row are as seldom as the sixth power of it.
func TestShare(t *testing.T) {
	const kinds, tries, share = 100000, 6, 0.25
	strikes, sixes := [tries]int{}, 0
	for k := range kinds {
		kind, row := fmt.Sprintf("GET /v2/library/x/blobs/sha256:%064x", k), 0
		for n := range tries {
			if dice(uint64(k%40), kind, uint64(n+1)).Float64() < share {
				strikes[n]++
				row++
			}
		}
		if row == tries {
			sixes++
		}
	}
	within := func(name string, got int, p float64) {
		want, sigma := kinds*p, math.Sqrt(kinds*p*(1-p))
		if math.Abs(float64(got)-want) > 4*sigma {
			t.Errorf("%s: %d, want %.0f", name, got, want)
		}
	}
	for n, got := range strikes {
		within(fmt.Sprintf("strikes at try %d", n+1), got, share)
	}
	within("six in a row", sixes, math.Pow(share, tries))
}

// TestRules: method, path, number of strikes and order of rules are heeded, and what
// befalls a request follows from the seed alone.
func TestRules(t *testing.T) {
	s := httptest.NewServer(&echo{})
	defer s.Close()
	p := Start(t, s.URL, 1)
	ask := func(method, path string) int {
		req, err := http.NewRequestWithContext(t.Context(), method, p.URL.String()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	p.Set(1, Rule{Method: "PUT|PATCH", Path: regexp.MustCompile(`/a\?q=`), Times: 1, Do: Status(500, "")}, Rule{Method: "PUT", Do: Status(503, "")})
	var codes []int
	for _, r := range []string{"GET /a?q=1", "PATCH /a?q=1", "PATCH /a?q=1", "PUT /a?q=1", "PUT /b"} {
		method, path, _ := strings.Cut(r, " ")
		codes = append(codes, ask(method, path))
	}
	if diff := cmp.Diff([]int{200, 500, 200, 503, 503}, codes); diff != "" {
		t.Error(diff)
	}
	if p.Struck() != 3 || len(p.Passed()) != 5 {
		t.Errorf("%d strikes, %d requests", p.Struck(), len(p.Passed()))
	}
	storm := func(seed uint64) (struck []bool) {
		p.Set(seed, Rule{Probability: 0.25, Do: Status(500, "")})
		for i := range 100 {
			struck = append(struck, ask("GET", fmt.Sprintf("/%d", i/2)) == 500)
		}
		return struck
	}
	if !slices.Equal(storm(2), storm(2)) || slices.Equal(storm(2), storm(3)) {
		t.Error("the seed decides")
	}
}
