package probe

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"airbundle/internal/nexustest"
	"airbundle/internal/target"
)

// TestFaultsSettleNothing: what a proxy, a busy server or a broken line answers is never
// taken for an answer of Nexus, and what may have been stored is deleted all the same.
func TestFaultsSettleNothing(t *testing.T) {
	faults := map[string]nexustest.Action{
		"502":         nexustest.BadGateway(),
		"503":         nexustest.Status(http.StatusServiceUnavailable, "Repository offline"),
		"504":         nexustest.ProxyStatus(http.StatusGatewayTimeout),
		"413":         nexustest.ProxyStatus(http.StatusRequestEntityTooLarge),
		"429":         nexustest.RetryAfter(http.StatusTooManyRequests, "0"),
		"403":         nexustest.Status(http.StatusForbidden, "Forbidden"),
		"payment":     nexustest.PaymentRequired(),
		"reset":       nexustest.Reset(0),
		"lost answer": nexustest.LoseAnswer(),
	}
	for i, profile := range allProfiles {
		truth := switches(mustRun(t, patient(t, server(t, nexustest.Options{Profile: profile, Quirks: nexustest.Quirks{DeleteBlobs: true}}))))
		for name, do := range faults {
			t.Run(fmt.Sprintf("%s/%s", profile, name), func(t *testing.T) {
				t.Parallel()
				s := server(t, nexustest.Options{Profile: profile, Seed: uint64(i), Quirks: nexustest.Quirks{DeleteBlobs: true}, Faults: []nexustest.Fault{
					{Name: "fault", On: nexustest.Match{Path: "/repository/.*" + mark, Probability: 0.15}, Do: notDelete(do)}}})
				tr, err := Run(t.Context(), newLogin(nexustest.Username, nexustest.Password), patient(t, s))
				if tr == nil || err == nil || tr.Counts()[Open] == 0 {
					t.Fatalf("%d faults, and nothing is open: %v", s.FaultHits("fault"), err)
				}
				for about, got := range switches(tr) {
					if !truth[about] {
						t.Errorf("settled %s as %t by a fault", about, got)
					}
				}
				for _, repo := range scratchRepos {
					if left := s.Paths(repo.Name); left != nil {
						t.Errorf("left behind in %s: %v", repo.Name, left)
					}
				}
			})
		}
	}
}

// notDelete lets DELETE work, so that the cleanup can be judged.
func notDelete(do nexustest.Action) nexustest.Action {
	return func(next http.Handler) http.Handler {
		faulty := do(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				next.ServeHTTP(w, r)
				return
			}
			faulty.ServeHTTP(w, r)
		})
	}
}

// patient are options for which a lost look at the metadata is not the end of the wait.
func patient(t *testing.T, s *nexustest.Server) Options {
	t.Helper()
	o := options(t, s, scratchNames...)
	o.Timeout = 5 * time.Second
	return o
}

// switches are the positions that a transcript claims, without measured times.
func switches(tr *Transcript) map[string]bool {
	all := map[string]bool{}
	for _, q := range tr.Questions {
		for _, f := range q.Findings {
			if sw, _, _ := strings.Cut(f.Switch, " RebuildDelay"); sw != "" && f.State == Answered {
				all[fmt.Sprintf("%d %s", q.Number, sw)] = true
			}
		}
	}
	return all
}

// TestDelay: the time that is measured is that of the server, at every depth.
func TestDelay(t *testing.T) {
	for depth := range target.MaxRepodataDepth + 1 {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			t.Parallel()
			delay := time.Duration(60+rand.N(60)) * time.Millisecond
			s := server(t, nexustest.Options{RebuildDelay: delay, Repositories: []nexustest.Repository{{Name: "probe-yum", Format: "yum", Depth: depth}}})
			if err := s.Rebuild("probe-yum"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * delay) // the rebuild after its creation is over
			o := patient(t, s)
			o.Scratch = []string{"probe-yum"}
			tr := mustRun(t, o)
			f := finding(t, tr, 1, "lists the RPM")
			_, text, _ := strings.Cut(f.Switch, "RebuildDelay=")
			if took, err := time.ParseDuration(text); err != nil || took < delay/2 || took > delay+time.Second {
				t.Errorf("measured %s (%v), the server takes %s", text, err, delay)
			}
			if f := finding(t, tr, 12, "primary.xml"); f.State != Answered {
				t.Errorf("%+v", f)
			}
			f = finding(t, tr, 2, "above the repodata depth")
			if want := depth > 0; (f.State == Answered) != want || want && f.Switch != "ShallowStatus=400" {
				t.Errorf("%+v", f)
			}
			for _, e := range s.Requests(nexustest.Match{Method: http.MethodPut}) {
				if name, _ := strings.CutPrefix(e.Path, "/repository/probe-yum/"); !strings.HasPrefix(name, mark) {
					t.Errorf("wrote %s", e.Path)
				}
			}
		})
	}
}

// TestSecondOfAFormat is not used, and the transcript says so.
func TestSecondOfAFormat(t *testing.T) {
	s := server(t, nexustest.Options{})
	tr := mustRun(t, options(t, s, "raw-hosted", "probe-raw", "probe-raw"))
	if len(tr.Scratch) != 2 || !tr.Scratch[0].Used || tr.Scratch[1].Used || !strings.Contains(tr.Scratch[1].String(), "not used") {
		t.Errorf("got %+v", tr.Scratch)
	}
	if n := s.Count("PUT", "/repository/raw-hosted/"); n != 0 {
		t.Errorf("%d PUT requests to the one that is not used", n)
	}
}
