package nexus_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"airbundle/internal/digestio"
	"airbundle/internal/helmtest"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/registry"
)

// Contract 6.2.
func TestStaleIndexIsNotBelieved(t *testing.T) {
	for _, profile := range generations {
		now := time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC)
		stale := nexustest.Fault{On: nexustest.Match{Path: "/search/assets"}, Do: func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				q := r.URL.Query()
				_, _ = io.WriteString(w, `{"items":[{"path":"/f","repository":"raw","lastModified":"2024-04-01T10:00:00.000+00:00",
					"checksum":{"sha1":"`+q.Get("sha1")+`","sha256":"`+q.Get("sha256")+`"}}],"continuationToken":null}`)
			})
		}}
		s, n := start(t, nexustest.Options{Profile: profile, Now: func() time.Time { return now }, Faults: []nexustest.Fault{stale}})
		if err := s.Put("raw", "f", bytes.Repeat([]byte("x"), searched)); err != nil {
			t.Fatal(err)
		}
		src := &source{data: content(searched)}
		ok, err := n.Present(t.Context(), "raw", "f", describe(src.data), src.open)
		if _, conflict := errors.AsType[*nexus.ConflictError](err); ok || !conflict {
			t.Errorf("%s: %v, %v", profile, ok, err)
		}
	}
}

// Contract 6.2.
func TestSearchIsAShortcutOnly(t *testing.T) {
	for _, profile := range generations {
		for _, code := range []int{400, 403, 404, 500} {
			s, n := start(t, nexustest.Options{Profile: profile, Faults: []nexustest.Fault{{
				Name: "search", On: nexustest.Match{Path: "/search/"}, Do: nexustest.Status(code, "no")}}})
			src := &source{data: content(searched)}
			for _, path := range []string{"a", "b"} {
				if err := s.Put("raw", path, src.data); err != nil {
					t.Fatal(err)
				}
				if ok, err := n.Present(t.Context(), "raw", path, describe(src.data), src.open); err != nil || !ok {
					t.Errorf("%s, %d: %v, %v", profile, code, ok, err)
				}
			}
			if hits := s.FaultHits("search"); hits == 0 || hits > 6 {
				t.Errorf("%s, %d: search was asked %d times", profile, code, hits)
			}
		}
	}
}

// Contract 0.1/12, 8.
func TestFaultsOnTheWay(t *testing.T) {
	put := nexustest.Match{Method: "PUT", Times: 2}
	for _, tt := range []struct {
		label string
		do    nexustest.Action
	}{
		{"reset in the middle", nexustest.Reset(100_000)},
		{"answer lost", nexustest.LoseAnswer()},
		{"server error", nexustest.Status(500, "boom")},
		{"duplicate key", nexustest.DuplicateKey()},
		{"proxy", nexustest.BadGateway()},
		{"asked to wait", nexustest.RetryAfter(503, "0")},
	} {
		for _, profile := range generations {
			t.Run(tt.label+"/"+string(profile), func(t *testing.T) {
				s, n := start(t, nexustest.Options{Profile: profile, Faults: []nexustest.Fault{{On: put, Do: tt.do}}})
				src := &source{data: content(1 << 20)}
				sent, how, err := n.Put(t.Context(), "raw-once", "f", describe(src.data), false, src.open)
				if err != nil || how != registry.Sent || sent == 0 {
					t.Errorf("sent %d, %q, %v", sent, how, err)
				}
				if got, err := s.Read("raw-once", "f"); err != nil || !bytes.Equal(got, src.data) || src.live.Load() != 0 {
					t.Errorf("stored %d bytes, %v; %d readers left", len(got), err, src.live.Load())
				}
			})
		}
	}
}

// Contract 5.5, 6.3.
func TestByteChangedOnTheWay(t *testing.T) {
	for _, profile := range generations {
		for _, times := range []int{1, 3, 4} {
			s, n := start(t, nexustest.Options{Profile: profile, Faults: []nexustest.Fault{
				{On: nexustest.Match{Method: "PUT", Times: times}, Do: nexustest.FlipRequest(500)}}})
			src := &source{data: content(1000)}
			_, _, err := n.Put(t.Context(), "raw", "f", describe(src.data), false, src.open)
			if times == 4 {
				mm, ok := errors.AsType[*digestio.MismatchError](err)
				if !ok || mm.Want.Digest != describe(src.data).Digest || mm.Got == "" {
					t.Errorf("%s: changed each time: %v", profile, err)
				}
				continue
			}
			if got, rerr := s.Read("raw", "f"); err != nil || rerr != nil || !bytes.Equal(got, src.data) {
				t.Errorf("%s: changed %d times: %v, %v", profile, times, err, rerr)
			}
		}
	}
}

// A server that looks into a chart refuses one of which a byte has changed; a path that it
// does not take it refuses for good.
func TestByteChangedInWhatIsLookedInto(t *testing.T) {
	chart := helmtest.Chart(t, "a", "1.0.0", nil)
	for _, profile := range generations {
		for times, want := range map[int]int{3: 4, 10: 4} {
			s, n := start(t, nexustest.Options{Profile: profile, Repositories: []nexustest.Repository{{Name: "helm", Format: "helm"}},
				Faults: []nexustest.Fault{{On: nexustest.Match{Method: "PUT", Times: times}, Do: nexustest.FlipRequest(20)}}})
			src := &source{data: chart}
			_, _, err := n.Put(t.Context(), "helm", "a-1.0.0.tgz", describe(chart), false, src.open)
			if (err == nil) != (times < want) || s.Count("PUT", "/helm/") != want {
				t.Errorf("%s: changed %d times: %v after %d PUTs", profile, times, err, s.Count("PUT", "/helm/"))
			}
		}
	}
}

// Contract 8.
func TestShortUploadIsReplaced(t *testing.T) {
	for _, profile := range generations {
		s, n := start(t, nexustest.Options{Profile: profile, Quirks: nexustest.Quirks{KeepShortUploads: true},
			Faults: []nexustest.Fault{{On: nexustest.Match{Method: "PUT", Times: 1}, Do: nexustest.Reset(100_000)}}})
		src := &source{data: content(1 << 20)}
		if _, _, err := n.Put(t.Context(), "raw", "f", describe(src.data), false, src.open); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
		if got, err := s.Read("raw", "f"); err != nil || !bytes.Equal(got, src.data) {
			t.Errorf("%s: stored %d bytes, %v", profile, len(got), err)
		}
	}
}

func TestSourceThatIsNotTheContent(t *testing.T) {
	good := content(200_000)
	bad := bytes.Clone(good)
	bad[len(bad)-1]++
	for label, data := range map[string][]byte{"wrong": bad, "short": good[:1000], "long": append(bytes.Clone(good), 1)} {
		s, n := start(t, nexustest.Options{})
		_, _, err := n.Put(t.Context(), "raw", "f", describe(good), false, (&source{data: data}).open)
		if _, ok := errors.AsType[*digestio.MismatchError](err); !ok {
			t.Errorf("%s: %v", label, err)
		}
		if puts := s.Count("PUT", ""); puts != 1 || len(s.Paths("raw")) != 0 {
			t.Errorf("%s: %d PUTs, stored %v", label, puts, s.Paths("raw"))
		}
		if in := s.Stats().BytesIn; in >= int64(len(good)) {
			t.Errorf("%s: all %d bytes were received", label, in)
		}
	}
}

// Contract 2.3, 5.3, 8.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		label string
		do    nexustest.Action
		want  string
	}{
		{"frozen", nexustest.ReadOnly(), "the server is read-only"},
		{"forbidden", nexustest.Status(403, "Forbidden"), "403 Forbidden.*privileges .* on raw"},
		{"proxy limit", nexustest.ProxyStatus(413), "413.*a proxy in front"},
		{"cap", nexustest.PaymentRequired(), "PAYMENT REQUIRED"},
		{"content type", nexustest.Status(400, "Detected content type [text/plain], but expected [image/png]: /f.png"), `expected \[image/png\]`},
		{"denied", nexustest.Status(400, "raw/f is read-only"), "raw/f is read-only"},
	} {
		s, n := start(t, nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Method: "PUT"}, Do: tt.do}}})
		src := &source{data: content(1000)}
		_, _, err := n.Put(t.Context(), "raw", "f", describe(src.data), false, src.open)
		matches(t, err, "^put raw/f: .*"+tt.want)
		if puts := s.Count("PUT", ""); puts != 1 {
			t.Errorf("%s: %d PUTs", tt.label, puts)
		}
		if errors.Is(err, registry.ErrReadOnly) != (tt.label == "frozen") {
			t.Errorf("%s: ErrReadOnly: %v", tt.label, err)
		}
	}
}

// Contract 0.1/3, 2.1, 8.
func TestFirst401IsFinal(t *testing.T) {
	for _, profile := range generations {
		s, _ := start(t, nexustest.Options{Profile: profile})
		o := options(t, s.URL)
		o.Password = "wrong-canary"
		n := nexus.New(o)
		src := &source{data: content(1000)}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, _, err := n.Put(t.Context(), "raw", "f", describe(src.data), false, src.open)
				matches(t, err, "401")
			})
		}
		wg.Wait()
		_, _, err := n.Docker("docker").PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
		matches(t, err, "401")
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("password in: %v", err)
		}
		if reqs := len(s.Log()); reqs != 1 {
			t.Errorf("%s: %d requests with a wrong password", profile, reqs)
		}
	}
}

// An answer in JSON that arrives cut is asked for again, unless it is the same each time; a
// web page is not.
func TestJSONBrokenOnTheWay(t *testing.T) {
	for _, tt := range []struct {
		label, kind string
		cut, want   int // answers
		same, ok    bool
	}{
		{"cut in other places", "application/json", 5, 6, false, true},
		{"cut for ever", "application/json", 100, 6, false, false},
		{"cut in the same place", "application/json", 100, 2, true, false},
		{"a web page", "text/html", 100, 1, false, false},
	} {
		t.Run(tt.label, func(t *testing.T) {
			var mu sync.Mutex
			asked := 0
			cut := nexustest.Fault{On: nexustest.Match{Path: "/rest/v1/repositories"}, Do: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					asked++
					k := asked
					mu.Unlock()
					if k > tt.cut {
						next.ServeHTTP(w, r)
						return
					}
					w.Header().Set("Content-Type", tt.kind)
					if tt.same {
						k = 1
					}
					_, _ = io.WriteString(w, strings.Repeat("[", k))
				})
			}}
			_, n := start(t, nexustest.Options{Profile: nexustest.H2371, Faults: []nexustest.Fault{cut}})
			if _, err := n.Check(t.Context()); (err == nil) != tt.ok || asked != tt.want {
				t.Errorf("%v after %d answers, want %d", err, asked, tt.want)
			}
		})
	}
}
