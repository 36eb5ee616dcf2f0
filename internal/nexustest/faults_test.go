package nexustest_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"airbundle/internal/nexustest"
)

// fault makes a server with the raw repository "raw" holding "f" = 0123456789
// and the docker repository "docker", and one fault.
func fault(t *testing.T, on nexustest.Match, do nexustest.Action) (*nexustest.Server, string) {
	t.Helper()
	s, base := startRaw(t, nexustest.Options{
		Repositories: []nexustest.Repository{{Name: "docker", Format: "docker"}},
		Faults:       []nexustest.Fault{{Name: "it", On: on, Do: do}},
	})
	if err := s.Put("raw", "f", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	return s, base
}

func TestFaultAnswers(t *testing.T) {
	tests := []struct {
		name string
		do   nexustest.Action
		path string
		code int
		text string // in the reason or in the body
		head string // a header and its value
	}{
		{"status", nexustest.Status(500, ""), "raw/f", 500, "Internal Server Error", ""},
		{"reason", nexustest.Status(500, "Out of luck"), "raw/f", 500, "Out of luck", ""},
		{"body", nexustest.StatusBody(418, "", "text/plain", "short and stout"), "raw/f", 418, "short and stout", "Content-Type text/plain"},
		{"retry after", nexustest.RetryAfter(503, "7"), "raw/f", 503, "", "Retry-After 7"},
		{"session lost", nexustest.DockerError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", nil), "docker/v2/",
			404, `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to registry","detail":null}]}`, ""},
		{"unauthorized", nexustest.Unauthorized(), "raw/f", 401, "", `WWW-Authenticate BASIC realm="Sonatype Nexus Repository Manager"`},
		{"unauthorized docker", nexustest.Unauthorized(), "docker/v2/", 401, `"UNAUTHORIZED"`, ""},
		{"too many logins", nexustest.TooManyLogins(), "raw/f", 429, "Too many authentication attempts", "Retry-After 30"},
		{"read-only", nexustest.ReadOnly(), "raw/f", 503, "Nexus Repository Manager is in read-only mode", ""},
		{"read-only REST", nexustest.ReadOnly(), "../service/rest/v1/repositories", 503, "Nexus Repository Manager is in read-only mode: (ID ", "Content-Type text/plain"},
		{"payment", nexustest.PaymentRequired(), "raw/f", 403, "PAYMENT REQUIRED: ", ""},
		{"duplicate key", nexustest.DuplicateKey(), "raw/f", 500, "duplicate key", ""},
		{"bad gateway", nexustest.BadGateway(), "raw/f", 502, "<center><h1>502 Bad Gateway</h1></center>", "Server nginx/1.24.0"},
		{"proxy limit", nexustest.ProxyStatus(413), "raw/f", 413, "413 Request Entity Too Large", "Server nginx/1.24.0"},
		{"null realm", nexustest.NullRealm(), "docker/v2/", 200, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := fault(t, nexustest.Match{}, tt.do)
			got := do(t, "GET", strings.Replace(s.URL+"/repository/"+tt.path, "/repository/..", "", 1), "").want(t, tt.code)
			if !strings.Contains(got.reason+"\n"+got.body, tt.text) {
				t.Errorf("got %q %q, want %q", got.reason, got.body, tt.text)
			}
			if name, value, ok := strings.Cut(tt.head, " "); ok && got.header.Get(name) != value {
				t.Errorf("%s: %q, want %q", name, got.header.Get(name), value)
			}
			if log := s.Log(); s.FaultHits("it") != 1 || log[0].Fault != "it" || log[0].Status != tt.code {
				t.Errorf("%d hits, log %+v", s.FaultHits("it"), log)
			}
		})
	}
}

func TestNullRealm(t *testing.T) {
	s, _ := fault(t, nexustest.Match{Route: nexustest.RouteDocker}, nexustest.NullRealm())
	got := doAs(t, "", "", "GET", s.RepositoryURL("docker")+"/v2/", "").want(t, 401)
	if c := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(c, `Bearer realm="null://`) {
		t.Errorf("challenge %q", c)
	}
}

func TestMatch(t *testing.T) {
	tests := []struct {
		name string
		on   nexustest.Match
		want string // of ten requests, x where the fault acts
	}{
		{"all", nexustest.Match{}, "xxxxxxxxxx"},
		{"first", nexustest.Match{Times: 1}, "x........."},
		{"fourth and fifth", nexustest.Match{After: 3, Times: 2}, "...xx....."},
		{"from the ninth on", nexustest.Match{After: 8}, "........xx"},
		{"method", nexustest.Match{Method: "PUT"}, ".........."},
		{"route", nexustest.Match{Route: nexustest.RouteYum}, ".........."},
		{"path", nexustest.Match{Route: nexustest.RouteRaw, Method: "GET", Path: `/raw/f$`}, "xxxxxxxxxx"},
		{"other path", nexustest.Match{Path: `/raw/g$`}, ".........."},
	}
	for _, tt := range tests {
		_, base := fault(t, tt.on, nexustest.Status(500, ""))
		got := ""
		for range 10 {
			got += map[int]string{200: ".", 500: "x"}[do(t, "GET", base+"f", "").code]
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestProbabilityIsSeeded(t *testing.T) {
	run := func(seed uint64) string {
		_, base := startRaw(t, nexustest.Options{Seed: seed, Faults: []nexustest.Fault{
			{On: nexustest.Match{Probability: 0.5}, Do: nexustest.Status(500, "")}}})
		out := ""
		for range 40 {
			out += map[int]string{404: ".", 500: "x"}[do(t, "GET", base+"f", "").code]
		}
		return out
	}
	one, again, two := run(1), run(1), run(2)
	if one != again {
		t.Errorf("one seed, two sequences: %s, %s", one, again)
	}
	if one == two || strings.Count(one, "x") < 8 || strings.Count(one, "x") > 32 {
		t.Errorf("sequences %s and %s", one, two)
	}
}

func TestFirstFaultActs(t *testing.T) {
	s, base := fault(t, nexustest.Match{Times: 1}, nexustest.Status(500, ""))
	s.AddFault(nexustest.Fault{Name: "second", Do: nexustest.Status(501, "")})
	for _, want := range []int{500, 501, 501} {
		do(t, "GET", base+"f", "").want(t, want)
	}
	s.ClearFaults()
	do(t, "GET", base+"f", "").want(t, 200)
	if s.FaultHits("it") != 1 || s.FaultHits("second") != 2 {
		t.Errorf("hits %d, %d", s.FaultHits("it"), s.FaultHits("second"))
	}
}

// send makes a request whose failure is part of the test.
func send(t *testing.T, method, url string, body io.Reader) (code int, got string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(nexustest.Username, nexustest.Password)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no silent repetition
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

func TestBrokenAnswers(t *testing.T) {
	tests := []struct {
		name string
		do   nexustest.Action
		body string
		err  error
	}{
		{"cut", nexustest.CutAnswer(4), "0123", syscall.ECONNRESET},
		{"truncated", nexustest.TruncateAnswer(4), "0123", io.ErrUnexpectedEOF},
		{"shortened", nexustest.ShortenAnswer(4), "0123", nil},
		{"flipped", nexustest.FlipAnswer(4), "0123\xcb56789", nil},
		{"slow", nexustest.Slow(time.Millisecond), "0123456789", nil},
		{"delayed", nexustest.Delay(time.Millisecond), "0123456789", nil},
		{"reset", nexustest.Reset(0), "", syscall.ECONNRESET},
		{"lost", nexustest.LoseAnswer(), "", syscall.ECONNRESET},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, base := fault(t, nexustest.Match{Times: 1}, tt.do)
			_, body, err := send(t, "GET", base+"f", nil)
			if body != tt.body {
				t.Errorf("body %q, want %q", body, tt.body)
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if _, body, err := send(t, "GET", base+"f", nil); body != "0123456789" || err != nil {
				t.Errorf("afterwards %q %v", body, err)
			}
		})
	}
}

func TestBrokenUploads(t *testing.T) {
	big := string(pattern(300 << 10))
	flipped := []byte(big)
	flipped[200<<10] ^= 0xff
	tests := []struct {
		name   string
		do     nexustest.Action
		fails  bool
		stored string
	}{
		{"reset", nexustest.Reset(100 << 10), true, ""},
		{"reset at the end", nexustest.Reset(1 << 30), true, ""},
		{"answer lost", nexustest.LoseAnswer(), true, big},
		{"broken off", nexustest.Break(100 << 10), true, ""},
		{"flipped", nexustest.FlipRequest(200 << 10), false, string(flipped)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, base := fault(t, nexustest.Match{Method: "PUT", Times: 1}, tt.do)
			code, _, err := send(t, "PUT", base+"big", strings.NewReader(big))
			if failed := err != nil; failed != tt.fails || !failed && code != 201 {
				t.Errorf("got %d %v", code, err)
			}
			stored, _ := s.Read("raw", "big")
			if string(stored) != tt.stored {
				t.Errorf("stored %d bytes, not the %d expected", len(stored), len(tt.stored))
			}
			if left, _ := s.Read("raw", "f"); string(left) != "0123456789" {
				t.Errorf("another file is now %q", left)
			}
		})
	}
}

// TestFlippedUploadOfBlob checks that the registry notices what a raw
// repository does not.
func TestFlippedUploadOfBlob(t *testing.T) {
	s, _ := fault(t, nexustest.Match{Route: nexustest.RouteUpload, Times: 1}, nexustest.FlipRequest(1))
	url := s.RepositoryURL("docker") + "/v2/app/blobs/uploads/?digest=" + digestOf([]byte("blob"))
	if code, _ := dockerCode(t, do(t, "POST", url, "blob").want(t, 400)); code != "DIGEST_INVALID" {
		t.Errorf("code %s", code)
	}
	do(t, "POST", url, "blob").want(t, 201)
}

func TestStall(t *testing.T) {
	for _, action := range []nexustest.Action{nexustest.StallAnswer(3), nexustest.Stall(3)} {
		s, base := fault(t, nexustest.Match{}, action)
		done := make(chan error, 1)
		go func() {
			_, _, err := send(t, "PUT", base+"g", strings.NewReader("0123456789"))
			if err == nil {
				_, _, err = send(t, "GET", base+"f", nil)
			}
			done <- err
		}()
		select {
		case err := <-done:
			t.Errorf("did not stall: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		s.Close()
		select {
		case err := <-done:
			if err == nil {
				t.Error("a stalled transfer succeeded")
			}
		case <-time.After(5 * time.Second):
			t.Error("Close did not end the stall")
		}
	}
}

func TestKeepShortUploads(t *testing.T) {
	for _, keep := range []bool{false, true} {
		s, _ := startRaw(t, nexustest.Options{Quirks: nexustest.Quirks{KeepShortUploads: keep}})
		cut := &cutReader{left: 100}
		if _, _, err := send(t, "PUT", s.RepositoryURL("raw")+"/f", io.MultiReader(cut)); err == nil {
			t.Error("the upload did not break")
		}
		want := map[bool]int{false: 0, true: 1}[keep]
		if keep {
			eventually(t, "the short file is kept", func() bool { return len(s.Paths("raw")) == 1 })
		}
		if got := len(s.Paths("raw")); got != want {
			t.Errorf("keep %v: %d files", keep, got)
		}
	}
}

// cutReader fails after some bytes.
type cutReader struct{ left int }

// Read implements io.Reader.
func (c *cutReader) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errors.New("the source broke")
	}
	n := min(len(p), c.left)
	c.left -= n
	return n, nil
}
