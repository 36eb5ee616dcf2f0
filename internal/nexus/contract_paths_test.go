package nexus_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/registry"
)

// TestContractPaths54 has each character that a path may have, and those of RPMs and images
// of cloud files, arrive under its own name, be found there, compared, listed and read.
func TestContractPaths54(t *testing.T) {
	special := []string{" ", ";", "#", "?", "%", "+", "[", "]", "{", "}", "(", ")", "'", `"`, ":", "@", "&", "=", "$", ",", "!", "*", "~", "^", "`", "|", "<", ">", "-", "_", ".", "é", "文", "%2F", "%5C", "%25", "+%20", " + "}
	contract(t, []row{{name: "5.4/characters", o: nexustest.Options{ContextPath: "/nexus"}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
		var want []string
		for _, c := range special {
			path := fmt.Sprintf("d%sr/a%sb%s.tgz", c, c, c)
			want = append(want, path)
			data := []byte("content of " + path)
			if how, err := put(t, n, "raw-once", path, data, false); err != nil || how != registry.Sent {
				t.Errorf("%s: %q, %v", path, how, err)
			}
			if how, err := put(t, n, "raw-once", path, data, false); err != nil || how != registry.Present {
				t.Errorf("%s again: %q, %v", path, how, err)
			}
			if got, err := s.Read("raw-once", path); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: the server has %q, %v", path, got, err)
			}
			if a, err := n.Stat(t.Context(), "raw-once", path); err != nil || a.Size != int64(len(data)) {
				t.Errorf("%s: %+v, %v", path, a, err)
			}
		}
		got := s.Paths("raw-once")
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		all, err := collect(n.Files(t.Context(), "raw-once"))
		if diff := cmp.Diff(want, paths(all)); diff != "" || err != nil {
			t.Errorf("listed: %v\n%s", err, diff)
		}
	}}})
}

// answered returns the requests that m matches once the last one is in the log with its
// answer, which the client may have before the log has.
func answered(s *nexustest.Server, m nexustest.Match) []nexustest.Entry {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		all := s.Requests(m)
		if n := len(all); n > 0 && all[n-1].Status != 0 || time.Now().After(end) {
			return all
		}
	}
}

// A download that breaks goes on where it broke, and only of the same content: Orient names
// no ETag, so that the time of writing has to do.
func TestContractRanges52(t *testing.T) {
	read := func(n *nexus.Nexus) ([]byte, error) {
		rc, size, err := n.Open(t.Context(), "raw", "f")
		if err != nil {
			return nil, err
		}
		got, err := io.ReadAll(rc)
		if int64(len(got)) != size && err == nil {
			err = fmt.Errorf("%d bytes of %d", len(got), size)
		}
		return got, errors.Join(err, rc.Close())
	}
	cut := nexustest.Match{Method: "GET", Path: "/raw/f$", Times: 1}
	data := content(300_000)
	// Long ago, and later with each question: a time of the present second proves nothing.
	var asked atomic.Int64
	long := func() time.Time {
		return time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(asked.Add(1)) * time.Minute)
	}
	contract(t, []row{
		{name: "5.2/206", o: nexustest.Options{Now: long, Faults: []nexustest.Fault{{On: cut, Do: nexustest.CutAnswer(100_000)}}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			if err := s.Put("raw", "f", data); err != nil {
				t.Fatal(err)
			}
			if got, err := read(n); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			gets := answered(s, nexustest.Match{Method: "GET"})
			orient := strings.HasPrefix(s.Version(), "3.40")
			if len(gets) != 2 || gets[1].Status != http.StatusPartialContent || gets[1].BytesOut >= int64(len(data)) {
				t.Fatalf("%+v", gets)
			}
			if v := gets[1].Header.Get("If-Range"); v == "" || strings.HasPrefix(v, `"`) == orient || strings.Contains(gets[1].Header.Get("Range"), ",") {
				t.Errorf("If-Range %q, Range %q", v, gets[1].Header.Get("Range"))
			}
		}},
		{name: "5.2/other content meanwhile", o: nexustest.Options{Now: long, Faults: []nexustest.Fault{{On: cut, Do: nexustest.CutAnswer(100_000)}}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			if err := s.Put("raw", "f", data); err != nil {
				t.Fatal(err)
			}
			other := content(300_001)
			s.AddFault(nexustest.Fault{On: nexustest.Match{Method: "GET", Path: "/raw/f$", Times: 1}, Do: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if err := s.Put("raw", "f", other); err != nil {
						t.Error(err)
					}
					next.ServeHTTP(w, r)
				})
			}})
			if got, err := read(n); err == nil {
				t.Errorf("%d bytes of two contents were taken for one", len(got))
			}
		}},
		{name: "5.2/416", o: nexustest.Options{Now: long, Faults: []nexustest.Fault{{On: cut, Do: nexustest.CutAnswer(100_000)}, {On: nexustest.Match{Method: "GET", Path: "/raw/f$"}, Do: nexustest.Status(416, "")}}},
			do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				if err := s.Put("raw", "f", data); err != nil {
					t.Fatal(err)
				}
				if got, err := read(n); err == nil {
					t.Errorf("%d bytes were taken for all", len(got))
				}
				if s.Count("GET", "") > 3 {
					t.Errorf("asked %d times", s.Count("GET", ""))
				}
			}},
	})
}
