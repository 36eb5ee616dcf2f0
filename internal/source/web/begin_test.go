package web

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBegin(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 100)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ranges", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
	mux.HandleFunc("/whole", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
	mux.HandleFunc("/other", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 5-9/10")
		w.WriteHeader(http.StatusPartialContent)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	s := New(srv.Client(), dir)
	for _, c := range []struct {
		url  string
		want int // bytes
		err  string
	}{
		{srv.URL + "/ranges", 100, ""},
		{srv.URL + "/whole", 1000, ""},
		{"file:f", 1000, ""},
		{srv.URL + "/other", 0, `asked for the first 100 bytes, got Content-Range "bytes 5-9/10"`},
		{srv.URL + "/none", 0, "404"},
		{"file:none", 0, "no such file"},
		{"ftp://h/x", 0, "neither http"},
	} {
		rc, err := s.Begin(t.Context(), c.url, 100)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.url, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		got, err := io.ReadAll(rc)
		rc.Close()
		if err != nil || !bytes.Equal(got, content[:c.want]) {
			t.Errorf("%s: %d bytes, %v; want %d", c.url, len(got), err, c.want)
		}
	}
}
