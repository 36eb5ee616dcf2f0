package origin

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/bundletest"
)

func get(t *testing.T, url string) (status int, contentType string, body []byte) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), body
}

// What the rewritten lock names is what the server gives.
func TestServesItsLock(t *testing.T) {
	f := bundletest.New(t)
	s := Start(t, f, Options{})
	for _, file := range s.Lock.Files {
		status, _, body := get(t, file.URLs[0])
		if status != http.StatusOK || digest.FromBytes(body) != file.Digest {
			t.Errorf("%s: %d, %s", file.URLs[0], status, digest.FromBytes(body))
		}
	}
	if got := s.Sent(); got != 140_000 {
		t.Errorf("%d bytes of files were counted, want 140000", got)
	}
	app := s.Lock.Images[len(s.Lock.Images)-1]
	if want := s.Host + "/team/app:1.0"; app.Source != want {
		t.Fatalf("source %s, want %s", app.Source, want)
	}
	for _, ref := range []string{"1.0", string(app.Digest)} {
		status, mediaType, body := get(t, s.URL+"/v2/team/app/manifests/"+ref)
		if status != http.StatusOK || mediaType != f.Types[app.Digest] || digest.FromBytes(body) != app.Digest {
			t.Errorf("manifest %s: %d, %s, %s", ref, status, mediaType, digest.FromBytes(body))
		}
	}
	if status, _, _ := get(t, s.URL+"/nothing"); status != http.StatusNotFound {
		t.Errorf("a path that is not there: %d", status)
	}
	if got, want := s.Log()[4:], []string{"GET /nothing 404"}; !cmp.Equal(got, want) {
		t.Errorf("log ends with %q, want %q", got, want)
	}
	s.Forget()
	if len(s.Log()) != 0 || s.Sent() != 0 {
		t.Error("the server did not forget")
	}
}

func TestHoldAndRate(t *testing.T) {
	s := Start(t, bundletest.New(t), Options{Rate: 700_000})
	url := s.Lock.Files[0].URLs[0]
	s.Hold()
	done := make(chan time.Duration)
	go func() {
		start := time.Now()
		resp, err := http.Get(url)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if err != nil {
			t.Error(err)
		}
		done <- time.Since(start)
	}()
	select {
	case <-done:
		t.Fatal("a body came through while it was held")
	case <-time.After(50 * time.Millisecond):
	}
	s.Release()
	s.Release()
	if took := <-done; took < 120*time.Millisecond {
		t.Errorf("70 kB at 700 kB/s, after a hold of 50 ms, took %v", took)
	}
}
