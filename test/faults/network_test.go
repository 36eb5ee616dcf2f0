package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/httpx"
	"airbundle/internal/nexustest"
	"airbundle/internal/push"
	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
	"airbundle/test/faultproxy"
)

// A storm is one kind of harm that befalls a quarter of all requests.
type storm struct {
	name string
	do   faultproxy.Fault
	// wrong content cannot always be told from a source that is wrong, and is not asked for
	// as often as a connection that breaks.
	wrong bool
}

var storms = []storm{
	{"reset", faultproxy.Reset, false},
	{"answer lost", faultproxy.LoseAnswer, false},
	{"cut up", faultproxy.CutUp, false},
	{"cut down", faultproxy.CutDown, false},
	{"truncated", faultproxy.Truncate, false},
	{"500", faultproxy.Status(500, "oops"), false},
	{"502", faultproxy.Status(502, "<html><body>Bad Gateway</body></html>", "Content-Type: text/html"), false},
	{"503", faultproxy.Status(503, ""), false},
	{"504", faultproxy.Status(504, ""), false},
	{"429", faultproxy.Status(429, ""), false},
	{"408", faultproxy.Status(408, "", "Connection: close"), false},
	{"shortened", faultproxy.Shorten, true},
	{"byte up", faultproxy.FlipUp, true},
	{"byte down", faultproxy.FlipDown, true},
	{"mixed", faultproxy.Any(faultproxy.Reset, faultproxy.LoseAnswer, faultproxy.CutUp, faultproxy.CutDown, faultproxy.Truncate,
		faultproxy.Status(500, ""), faultproxy.Status(502, ""), faultproxy.Status(503, ""), faultproxy.Status(504, ""), faultproxy.Status(429, "")), false},
}

// share is the part of the requests that a storm strikes.
const share = 0.25

// full says that all of the tables are run, for minutes.
func full() bool { return os.Getenv("AIRBUNDLE_FAULTS") == "full" }

func seeds(few, many int) int {
	if full() {
		return many
	}
	return few
}

// tally counts the runs that completed, for one kind of harm.
type tally struct{ complete, runs, honest int }

// TestStormsAtAPush: whatever the storm, a push to a registry and one to a Nexus completes
// or names all that it has not brought; without the storm the next one completes.
func TestStormsAtAPush(t *testing.T) {
	w := newWorld(t)
	for _, st := range storms {
		for _, kind := range []string{"registry", "nexus"} {
			t.Run(st.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				var sum tally
				for seed := range seeds(1, 40) {
					w.stormyPush(t, st, kind, uint64(seed), &sum)
				}
				t.Logf("%s to a %s: %d of %d complete, %d ended honestly", st.name, kind, sum.complete, sum.runs, sum.honest)
				if !st.wrong && sum.complete*100 < sum.runs*95 {
					t.Errorf("%d of %d complete, want 95%%", sum.complete, sum.runs)
				}
			})
		}
	}
}

func (w *world) stormyPush(t *testing.T, st storm, kind string, seed uint64, sum *tally) {
	t.Helper()
	s := w.site(t, kind)
	p := faultproxy.Start(t, s.url, seed, faultproxy.Rule{Probability: share, Do: st.do})
	code, rep, err := s.push(t, p.URL)
	struck := p.Struck()
	p.Set(seed)
	sum.runs++
	if code == 0 {
		sum.complete++
	} else {
		sum.honest++
		t.Logf("seed %d, %d strikes: code %d, %.300v", seed, struck, code, err)
		tell(t, rep)
	}
	w.judgeNetwork(t, s, p.Host, code, rep, err)
	code, rep, err = s.push(t, p.URL)
	w.judgeNetwork(t, s, p.Host, code, rep, err)
	if code == int(report.ClassRefused) && st.wrong {
		// What a wrong byte has left at a target that has no digests is not replaced unasked.
		s.overwrite = true
		code, rep, err = s.push(t, p.URL)
	}
	if code != 0 {
		t.Errorf("seed %d: when the storm has passed: code %d, %v", seed, code, err)
		tell(t, rep)
	}
	for _, it := range s.items {
		if gap := s.missing(it); gap != nil {
			t.Errorf("seed %d: %s is not there when the storm has passed: %v", seed, label(it), gap)
		}
	}
}

// judgeNetwork holds what a push says against what is there, and what it says of the
// reason against what an operator needs.
func (w *world) judgeNetwork(t *testing.T, s *site, host string, code int, rep *report.Report, err error) {
	t.Helper()
	if !slices.Contains([]int{0, 3, 4, 5, 6, 7}, code) {
		t.Errorf("code %d, %v", code, err)
	}
	if rep == nil {
		if err == nil || !strings.Contains(err.Error(), host) {
			t.Errorf("no report, and the error does not name %s: %v", host, err)
		}
		return
	}
	for _, it := range s.items {
		said, unnamed := good(rep, it)
		if unnamed != nil {
			t.Errorf("%s: %v", label(it), unnamed)
		}
		if gap := s.missing(it); gap != nil && said {
			t.Errorf("a lie: %s is called done (code %d) and is not there: %v", label(it), code, gap)
		}
	}
	for _, f := range rep.Findings() {
		if f.Reason == "" || strings.Contains(f.Reason, nexustest.Password) {
			t.Errorf("%s %s: no reason, or one with a password: %q", f.Kind, f.Name, f.Reason)
		}
	}
}

// A site is a target, what it must hold, and a way to look at what it holds that goes
// past the proxy.
type site struct {
	url       string
	items     []target.Item
	overwrite bool // with the next push
	push      func(testing.TB, *url.URL) (int, *report.Report, error)
	missing   func(target.Item) error
}

func (w *world) site(t *testing.T, kind string) *site {
	t.Helper()
	if kind == "nexus" {
		n := nexustest.Start(t, options(nexustest.H2371))
		s := &site{url: n.URL, items: w.items, missing: func(it target.Item) error { return w.missing(t, n, it) }}
		s.push = func(t testing.TB, at *url.URL) (int, *report.Report, error) {
			return w.pushTo(t, at.String(), manners, s.overwrite)
		}
		return s
	}
	r := registrytest.Start(t, registrytest.Options{Username: nexustest.Username, Password: nexustest.Password})
	images := slices.DeleteFunc(slices.Clone(w.items), func(it target.Item) bool { return it.Kind != manifest.KindImage })
	s := &site{url: r.URL.String(), items: images, missing: func(it target.Item) error { return w.missingAt(t, r.URL, it) }}
	s.push = func(t testing.TB, at *url.URL) (int, *report.Report, error) {
		return w.pushImages(t, at, images, s.overwrite)
	}
	return s
}

// pushImages is a push to a plain registry.
func (w *world) pushImages(t testing.TB, at *url.URL, images []target.Item, overwrite bool) (int, *report.Report, error) {
	t.Helper()
	r := registry.New(registry.Options{
		Base: at, Client: impatient(t, httpx.Options{Total: jobs, Adapt: true}), Username: nexustest.Username, Password: nexustest.Password, Retry: registry.Retry{Backoff: soon},
	})
	if err := r.Ping(t.Context()); err != nil {
		return int(report.Classify(err)), nil, err
	}
	rep, _, err := push.Run(t.Context(), w.archive.Bundle(), w.archive, images, push.Target{Name: at.Host, Images: func(string) push.Images { return r }}, push.Options{Jobs: jobs, Overwrite: overwrite})
	if err != nil {
		return int(report.Classify(err)), rep, err
	}
	return rep.Code(), rep, nil
}

// missingAt reads an image from a registry as any HTTP client can, and hashes it.
func (w *world) missingAt(t *testing.T, base *url.URL, it target.Item) error {
	t.Helper()
	b := w.archive.Bundle()
	tree, err := b.ReadImage(t.Context(), b.Table.Images[it.Index], w.archive.Read)
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	for _, ref := range it.Refs {
		errs = append(errs, hashed(t.Context(), base, ref.Repository+"/manifests/"+ref.Tag, tree.Top.Desc.Digest))
		for _, m := range append(slices.Clone(tree.Children), tree.Top) {
			errs = append(errs, hashed(t.Context(), base, ref.Repository+"/manifests/"+m.Desc.Digest.String(), m.Desc.Digest))
			for _, d := range m.Node.Blobs() {
				errs = append(errs, hashed(t.Context(), base, ref.Repository+"/blobs/"+d.Digest.String(), d.Digest))
			}
		}
	}
	return errors.Join(errs...)
}

func hashed(ctx context.Context, base *url.URL, path string, want digest.Digest) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("v2", path).String(), nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth(nexustest.Username, nexustest.Password)
	req.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "+manifest.MediaTypeDockerManifest+", "+manifest.MediaTypeDockerList)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := digest.FromReader(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || got != want) {
		err = fmt.Errorf("%s: %s, %s, want %s", path, resp.Status, got, want)
	}
	return err
}
