package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/rpmtest"
	"airbundle/internal/serve"
)

// A gatedStore stops each stream in the middle until the gate opens.
type gatedStore struct {
	*memStore
	reached chan struct{} // one for each stream that waits
	gate    chan struct{}
}

func (g *gatedStore) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	rc, err := g.memStore.Fetch(ctx, desc)
	if err != nil || desc.Size < 1<<20 {
		return rc, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(rc, 1<<19), waitReader{g}, rc), rc}, nil
}

type waitReader struct{ g *gatedStore }

func (w waitReader) Read([]byte) (int, error) {
	w.g.reached <- struct{}{}
	<-w.g.gate
	return 0, io.EOF
}

// run starts Run on a port of its own.
func run(ctx context.Context, t *testing.T, s *serve.Server) (string, <-chan error) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l) }()
	return "http://" + l.Addr().String(), done
}

func gatedServer(t *testing.T, o serve.Options) (*serve.Server, *gatedStore, []byte) {
	f := newFixture(t)
	content := noise(1, 1<<20)
	f.file("large", content)
	g := &gatedStore{f.store, make(chan struct{}, 1), make(chan struct{})}
	s, err := serve.New(t.Context(), f.bundle(), g, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, g, content
}

type download struct {
	body []byte
	err  error
}

func start(t *testing.T, url string) <-chan download {
	out := make(chan download, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			out <- download{nil, err}
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			out <- download{nil, err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		out <- download{body, err}
	}()
	return out
}

func TestShutdownLetsDownloadsFinish(t *testing.T) {
	s, g, content := gatedServer(t, serve.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	url, done := run(ctx, t, s)
	got := start(t, url+"/repository/raw-hosted/large")
	<-g.reached
	cancel()
	// New connections are refused while the old one goes on.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("new connections are taken after the end")
		}
	}
	close(g.gate)
	if d := <-got; d.err != nil || !bytes.Equal(d.body, content) {
		t.Errorf("the open download ended with %d bytes, %v", len(d.body), d.err)
	}
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestShutdownCutsAfterGrace(t *testing.T) {
	s, g, _ := gatedServer(t, serve.Options{Grace: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	url, done := run(ctx, t, s)
	got := start(t, url+"/repository/raw-hosted/large")
	<-g.reached
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "were cut") {
		t.Errorf("Run: %v, want that responses were cut", err)
	}
	close(g.gate)
	if d := <-got; d.err == nil {
		t.Error("the download ended as if whole")
	}
}

// A connection on which nothing was asked must not hold up the end.
func TestShutdownDoesNotWaitForUnusedConnections(t *testing.T) {
	s, _, _ := gatedServer(t, serve.Options{Grace: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	base, done := run(ctx, t, s)
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	resp, err := http.Get(base + "/v2/") // after this, the server has accepted c
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cancel()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the server spoke on the unused connection")
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(4 * time.Second):
		t.Error("Run still waits")
	}
}

func TestRunReportsABrokenListener(t *testing.T) {
	s := newFixture(t).server(serve.Options{})
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := s.Run(t.Context(), l); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("Run on a closed listener: %v", err)
	}
}

// TestStalledClientIsCutOff has a client that asks and then reads nothing.
func TestStalledClientIsCutOff(t *testing.T) {
	f := newFixture(t)
	f.file("large", noise(1, 32<<20)) // more than the buffers of both kernels' ends
	var access logBuffer
	s := f.server(serve.Options{Stall: 100 * time.Millisecond, AccessLog: &access})
	url, _ := run(t.Context(), t, s)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /repository/raw-hosted/large HTTP/1.1\r\nHost: a\r\n\r\n")
	for deadline := time.Now().Add(10 * time.Second); access.String() == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the request is still open after 10 s")
		}
	}
}

// TestIdleConnectionOutlivesStall makes sure that the limit of one write does not
// end a connection that waits for its next request.
func TestIdleConnectionOutlivesStall(t *testing.T) {
	f := newFixture(t)
	d := f.file("small", []byte("content"))
	url, _ := run(t.Context(), t, f.server(serve.Options{Stall: 30 * time.Millisecond}))
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for i := range 3 {
		if i > 0 {
			time.Sleep(60 * time.Millisecond)
		}
		fmt.Fprintf(conn, "GET /repository/raw-hosted/small HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"%s\"\r\n\r\n", d.Digest)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i+1, err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotModified {
			t.Errorf("request %d: status %d", i+1, resp.StatusCode)
		}
	}
}

// TestSlowArchiveIsNoStall has answers that take longer than the limit of one write,
// because the archive is slow: a long body, and a HEAD that needs repodata first.
func TestSlowArchiveIsNoStall(t *testing.T) {
	f := newFixture(t)
	content := noise(1, 640<<10)
	f.file("large", content)
	f.rpm("os/x86_64", "x86_64", rpmtest.Spec{Name: "p", Arch: "x86_64"})
	f.store.noSections = true
	s := f.server(serve.Options{Stall: 100 * time.Millisecond})
	f.store.delay = 20 * time.Millisecond
	url, _ := run(t.Context(), t, s)
	if d := <-start(t, url+"/repository/raw-hosted/large"); d.err != nil || !bytes.Equal(d.body, content) {
		t.Errorf("%d bytes, %v", len(d.body), d.err)
	}
	f.store.delay = 150 * time.Millisecond
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, url+"/repository/yum-hosted/os/x86_64/repodata/repomd.xml", nil)
	if err != nil {
		t.Fatal(err)
	}
	// A connection of its own: on a used one the client would quietly ask again.
	resp, err := new(http.Transport).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("HEAD of repomd.xml: %d", resp.StatusCode)
	}
}

func TestHeaderLimits(t *testing.T) {
	url, _ := run(t.Context(), t, newFixture(t).server(serve.Options{}))
	for path, want := range map[string]int{
		"/repository/" + strings.Repeat("a", 30_000):        404,
		"/v2/" + strings.Repeat("a/", 15_000) + "tags/list": 404,
		"/" + strings.Repeat("a", 200_000):                  431,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("path of %d bytes: %v", len(path), err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("path of %d bytes = %d, want %d", len(path), resp.StatusCode, want)
		}
	}
}

func TestAccessLog(t *testing.T) {
	f := newFixture(t)
	f.file("a b.txt", []byte("12345"))
	var access logBuffer
	ts := f.start(serve.Options{AccessLog: &access})
	get(t, ts, "/repository/raw-hosted/a%20b.txt?x=%22%0a", "User-Agent", `odd "agent"`)
	do(t, ts, "DELETE", "/repository/raw-hosted/a%20b.txt")
	ts.Close()
	lines := strings.Split(strings.TrimSpace(access.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines:\n%s", len(lines), access.String())
	}
	year := time.Now().Format("2006")
	for i, want := range []string{
		`"GET /repository/raw-hosted/a%20b.txt?x=%22%0a HTTP/1.1" 200 5 "" "odd \"agent\"" `,
		`"DELETE /repository/raw-hosted/a%20b.txt HTTP/1.1" 405 `,
	} {
		if !strings.Contains(lines[i], want) || !strings.HasPrefix(lines[i], "127.0.0.1 - - [") || !strings.HasSuffix(lines[i], "ms") || !strings.Contains(lines[i], year) {
			t.Errorf("line %d: %s\nwant in it: %s", i+1, lines[i], want)
		}
	}
}
