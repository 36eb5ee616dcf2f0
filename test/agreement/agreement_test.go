package agreement

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"airbundle/internal/rpm/depsolve"
	"airbundle/internal/rpmtest"
	"airbundle/test/agreement/localrepo"
	"airbundle/test/agreement/oracle"
	"airbundle/test/agreement/renamed"
)

var keep = flag.String("repos", "", "directory for the repositories that are made; by default one that is removed")

var arches = []string{"x86_64", "aarch64"}

// agreed is the share of all requests that must have dnf's very answer, where there was a
// choice too.
const agreed = 0.97

// TestCentOS compares on real metadata of CentOS Stream 9. Its BaseOS is older than
// its AppStream, so that a part of it cannot be installed.
func TestCentOS(t *testing.T) {
	rpmtest.Tool(t, "dnf")
	dirs := []string{rpmtest.Testdata(t, "rpm", "cs9-appstream"), rpmtest.Testdata(t, "rpm", "cs9-baseos")}
	for _, arch := range arches {
		t.Run(arch, func(t *testing.T) {
			s := &set{arch: arch, share: 110, modular: true}
			if full {
				s.share = 8
			}
			for _, dir := range dirs {
				id := strings.TrimPrefix(filepath.Base(dir), "cs9-")
				if arch == "aarch64" {
					from := dir
					dir = filepath.Join(place(t), filepath.Base(dir)+"-aarch64")
					if err := renamed.Write(dir, from); err != nil {
						t.Fatal(err)
					}
				}
				s.add(t, id, dir)
			}
			s.compare(t)
		})
	}
}

func place(t *testing.T) string {
	t.Helper()
	if *keep == "" {
		return t.TempDir()
	}
	return *keep
}

// A set is the repositories of one comparison.
type set struct {
	arch    string
	share   uint32 // every share-th name is asked for by itself
	modular bool
	repos   []depsolve.Repo
	asked   []oracle.Repo
}

func (s *set) add(t *testing.T, id, dir string) {
	t.Helper()
	r, err := localrepo.Open(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	s.repos = append(s.repos, r)
	s.asked = append(s.asked, oracle.Repo{ID: id, URL: "file://" + dir + "/"})
}

// An outcome is both answers to a request.
type outcome struct {
	oracle.Request
	dnf  oracle.Result
	ours []string // nil: refused
	why  error
	took time.Duration
}

func (o *outcome) dnfRefuses() bool { return o.dnf.Packages == nil }
func (o *outcome) same() bool {
	return o.why == nil && !o.dnfRefuses() && slices.Equal(o.dnf.Packages, o.ours)
}

// compare asks in two rounds, the second of which is made of answers to the first one.
func (s *set) compare(t *testing.T) {
	t.Helper()
	all := s.round(t, s.first())
	all = append(all, s.round(t, s.second(all))...)
	s.judge(t, all)
	report(t, all)
}

func (s *set) round(t *testing.T, requests []oracle.Request) []*outcome {
	t.Helper()
	all := make([]*outcome, len(requests))
	for i, r := range requests {
		all[i] = &outcome{Request: r}
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	g.Go(func() error {
		answers, err := oracle.Ask(t.Context(), oracle.Job{Arch: s.arch, Repos: s.asked, Requests: requests})
		for i := range all {
			if err == nil {
				all[i].dnf = answers[0].Results[i]
			}
		}
		return err
	})
	for _, o := range all {
		g.Go(func() error { return s.solve(t.Context(), o) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return all
}

func (s *set) solve(ctx context.Context, o *outcome) error {
	start := time.Now()
	got, err := depsolve.Solve(ctx, depsolve.Request{
		Arch: s.arch, Repos: s.repos, Install: o.Install, Exclude: o.Exclude, Modules: o.Modules, Weak: o.Weak, NotBest: o.NotBest,
	})
	o.took, o.why = time.Since(start), err
	var refused *depsolve.UnsolvableError
	switch {
	case errors.As(err, &refused):
	case err != nil:
		return fmt.Errorf("%s: %w", o.ID, err)
	default:
		for _, p := range got.Packages {
			o.ours = append(o.ours, p.NEVRA)
		}
	}
	return nil
}

// judge lets dnf judge every lock of ours that is not its own answer.
func (s *set) judge(t *testing.T, all []*outcome) {
	t.Helper()
	var requests []oracle.Request
	var judged []*outcome
	for _, o := range all {
		if o.why == nil && !o.same() {
			r := o.Request
			r.Lock = o.ours
			requests, judged = append(requests, r), append(judged, o)
		}
	}
	if len(requests) == 0 {
		return
	}
	answers, err := oracle.Ask(t.Context(), oracle.Job{Arch: s.arch, Repos: s.asked, Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range answers[0].Results {
		judged[i].dnf.Judged = r.Judged
	}
}
