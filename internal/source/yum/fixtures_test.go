package yum

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
)

// A site is one mirror: paths to contents, with faults that can be switched on. It is safe
// for the server's goroutines once it is started.
type site struct {
	files map[string][]byte
	// handle answers in the place of files when it returns true.
	handle func(w http.ResponseWriter, r *http.Request) bool

	mu    sync.Mutex
	asked []string
	url   string
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Path)
	s.mu.Unlock()
	if s.handle != nil && s.handle(w, r) {
		return
	}
	content, ok := s.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func (s *site) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, p := range s.asked {
		if p == path {
			n++
		}
	}
	return n
}

// start serves a site below /repo.
func (s *site) start(t *testing.T) *site {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL + "/repo"
	return s
}

// mirrorOf is a site with a repomd.xml of an age that names one primary.
func mirrorOf(age int, primary string) *site {
	return &site{files: map[string][]byte{
		"/repo/repodata/repomd.xml":  repomdOf(age, primary),
		"/repo/repodata/primary.xml": []byte(primary),
	}}
}

func repomdOf(age int, primary string) []byte {
	return fmt.Appendf(nil, "repomd %d\n%s\n", age, sumOf([]byte(primary)))
}

func sumOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// ageOf reads what repomdOf wrote.
func ageOf(repomd []byte) (int64, error) {
	line, _, _ := strings.Cut(string(repomd), "\n")
	number, ok := strings.CutPrefix(line, "repomd ")
	if !ok {
		return 0, errors.New("not a repomd.xml")
	}
	return strconv.ParseInt(number, 10, 64)
}

func refused() string { return "http://127.0.0.1:1/repo" } // tcpmux: nobody listens

// options give a source that does not wait long.
func options(t *testing.T) Options {
	t.Helper()
	transport := httpx.NewTransport(httpx.Options{Backoff: func(int) time.Duration { return time.Millisecond }})
	t.Cleanup(transport.CloseIdleConnections)
	return Options{
		Client: httpx.NewClient(transport), Dir: t.TempDir(), Cache: filepath.Join(t.TempDir(), "cache"),
		MirrorWait: 2 * time.Second, Grace: 100 * time.Millisecond,
	}
}

// logged gives options whose log goes to the returned buffer.
func logged(t *testing.T) (Options, *bytes.Buffer) {
	t.Helper()
	o, log := options(t), &bytes.Buffer{}
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	return o, log
}

// mirrorList writes a mirror list beside the request and returns its URL.
func mirrorList(t *testing.T, o Options, urls ...string) lockfile.Repo {
	t.Helper()
	put(t, filepath.Join(o.Dir, "mirrors"), []byte(strings.Join(urls, "\n")+"\n"))
	return lockfile.Repo{ID: "base", MirrorList: "file:mirrors"}
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// readFile reads a file of a repository whose content is known.
func readFile(ctx context.Context, r *Repository, location string, want []byte) (string, error) {
	rc, err := r.File(ctx, location, sumOf(want), int64(len(want)))
	if err != nil {
		return "", err
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	return string(data), err
}

func open(t *testing.T, o Options, r lockfile.Repo) *Repository {
	t.Helper()
	rep, err := New(o).Open(t.Context(), r, "x86_64", ageOf)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}
