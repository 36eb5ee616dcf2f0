package nexustest_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/nexustest"
)

func TestCorrupt(t *testing.T) {
	s, api, _ := startDocker(t, nexustest.Options{Profile: nexustest.H2371}, nexustest.Repository{})
	digest := putBlob(t, api, "app", "blob")
	before := do(t, "HEAD", api+"app/blobs/"+digest, "").header
	if err := s.CorruptBlob("docker", digest, -1); err != nil {
		t.Fatal(err)
	}
	got := do(t, "GET", api+"app/blobs/"+digest, "").want(t, 200)
	if got.body != "blo\x9d" {
		t.Errorf("body %q", got.body)
	}
	if diff := cmp.Diff(before.Get("ETag")+before.Get("Docker-Content-Digest"), got.header.Get("ETag")+got.header.Get("Docker-Content-Digest")); diff != "" {
		t.Errorf("the server noticed: %s", diff)
	}
	if err := s.CorruptBlob("docker", digestOf(nil), 0); err == nil {
		t.Error("corrupted a blob that is not there")
	}
	if err := s.CorruptBlob("docker", digest, 99); err == nil {
		t.Error("corrupted a byte that is not there")
	}
}

func TestFreeze(t *testing.T) {
	s, base := fault(t, nexustest.Match{Path: "nothing"}, nexustest.Status(500, ""))
	s.Freeze(true)
	do(t, "GET", base+"f", "").want(t, 200)
	if got := do(t, "PUT", base+"g", "x").want(t, 503); got.reason != "Nexus Repository Manager is in read-only mode" {
		t.Errorf("reason %q", got.reason)
	}
	do(t, "POST", s.RepositoryURL("docker")+"/v2/a/blobs/uploads/", "").want(t, 503)
	do(t, "DELETE", s.URL+"/service/rest/v1/repositories/raw", "").want(t, 503)
	s.Freeze(false)
	do(t, "PUT", base+"g", "x").want(t, 201)
}

func TestLog(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{})
	do(t, "PUT", base+"a%20b?x=1", "12345", "Content-Type", "text/x-test", "X-Other", "no").want(t, 201)
	do(t, "GET", base+"a%20b", "", "Range", "bytes=0-2").want(t, 206)
	log := s.Requests(nexustest.Match{Route: nexustest.RouteRaw, Method: "PUT", Path: "x=1"})
	if len(log) != 1 {
		t.Fatalf("log %+v", s.Log())
	}
	e := log[0]
	want := http.Header{"Authorization": {"Basic"}, "Content-Length": {"5"}, "Content-Type": {"text/x-test"}, "User-Agent": {"Go-http-client/1.1"}}
	if diff := cmp.Diff(want, e.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if e.Path != "/repository/raw/a%20b?x=1" || e.Status != 201 || e.BytesIn != 5 || e.Repository != "raw" {
		t.Errorf("entry %+v", e)
	}
	eventually(t, "the answer is logged", func() bool { return s.Stats().BytesOut == 3 })
	if st := s.Stats(); st.Requests != 2 || st.BytesIn != 5 || st.MaxInFlight < 1 {
		t.Errorf("stats %+v", st)
	}
	s.ClearLog()
	if s.Count("", "") != 0 || s.Stats().Requests != 0 {
		t.Error("the log is not empty")
	}
}

func TestMaxInFlight(t *testing.T) {
	s, base := fault(t, nexustest.Match{}, nexustest.Delay(200*time.Millisecond))
	done := make(chan answer, 5)
	for range 5 {
		go func() { done <- do(t, "GET", base+"f", "") }()
	}
	for range 5 {
		<-done
	}
	if got := s.Stats().MaxInFlight; got < 3 || got > 5 {
		t.Errorf("%d in flight at most, want about 5", got)
	}
}

// TestHandlers uses the server without its own listeners.
func TestHandlers(t *testing.T) {
	s, err := nexustest.New(nexustest.Options{Dir: t.TempDir(), Repositories: []nexustest.Repository{
		{Name: "docker", Format: "docker"}, {Name: "raw", Format: "raw"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	main, connector := httptest.NewServer(s), httptest.NewServer(s.Connector("docker"))
	defer main.Close()
	defer connector.Close()
	if got := do(t, "GET", main.URL+"/repository/raw/none", "").want(t, 404); !strings.Contains(got.body, "none") {
		t.Errorf("the text is neither in the reason nor in %q", got.body)
	}
	putImage(t, connector.URL+"/v2/", "app", "1")
	do(t, "GET", main.URL+"/repository/docker/v2/app/manifests/1", "").want(t, 200)
	do(t, "GET", connector.URL+"/service/rest/v1/status", "").want(t, 404)
}

func TestOptionsAreChecked(t *testing.T) {
	for name, opts := range map[string]nexustest.Options{
		"profile":   {Profile: "2.14"},
		"format":    {Repositories: []nexustest.Repository{{Name: "a", Format: "cobol"}}},
		"name":      {Repositories: []nexustest.Repository{{Name: "a b", Format: "raw"}}},
		"duplicate": {Repositories: []nexustest.Repository{{Name: "a", Format: "raw"}, {Name: "A", Format: "raw"}}},
	} {
		opts.Dir = t.TempDir()
		if s, err := nexustest.New(opts); err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCloseRemovesWhatWasStored(t *testing.T) {
	dir := t.TempDir()
	s, err := nexustest.New(nexustest.Options{Dir: dir, Repositories: []nexustest.Repository{{Name: "raw", Format: "raw"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put("raw", "f", []byte("x")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}
