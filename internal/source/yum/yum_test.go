package yum

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

const primary = "the primary"

func TestBaseURL(t *testing.T) {
	o := options(t)
	good := mirrorOf(100, primary).start(t)
	disk := filepath.Join(o.Dir, "disk", "x86_64")
	put(t, filepath.Join(disk, "repodata", "repomd.xml"), repomdOf(7, primary))
	put(t, filepath.Join(disk, "repodata", "primary.xml"), []byte(primary))
	for _, c := range []struct{ url, repomd string }{
		{good.url, string(repomdOf(100, primary))},
		{good.url + "/", string(repomdOf(100, primary))},
		{"file:disk/$basearch", string(repomdOf(7, primary))},
		{"file:disk/${basearch}/", string(repomdOf(7, primary))},
		{"file://" + disk, string(repomdOf(7, primary))},
	} {
		r := open(t, o, lockfile.Repo{ID: "base", BaseURL: c.url})
		if string(r.Repomd) != c.repomd || len(r.Skipped) != 0 {
			t.Errorf("%s: repomd %q, skipped %q", c.url, r.Repomd, r.Skipped)
		}
		if got, err := readFile(t.Context(), r, "repodata/primary.xml", []byte(primary)); got != primary {
			t.Errorf("%s: %q, %v", c.url, got, err)
		}
	}
}

func TestBaseURLThatFails(t *testing.T) {
	page := &site{files: map[string][]byte{"/repo/repodata/repomd.xml": []byte("<!DOCTYPE html><html>log in</html>")}}
	broken := &site{files: map[string][]byte{"/repo/repodata/repomd.xml": []byte("<repomd")}}
	down := &site{handle: func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }}
	closed := &site{handle: func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(403); return true }}
	for name, c := range map[string]struct {
		url   string
		class report.Class
		text  string
	}{
		"nowhere":  {refused(), report.ClassUnavailable, "refused"},
		"404":      {(&site{}).start(t).url, report.ClassUnavailable, "404"},
		"503":      {down.start(t).url, report.ClassUnavailable, "503"},
		"403":      {closed.start(t).url, report.ClassRefused, "403"},
		"HTML":     {page.start(t).url, report.ClassContent, "page of HTML"},
		"broken":   {broken.start(t).url, report.ClassContent, "not a repomd.xml"},
		"no file":  {"file:nowhere", report.ClassLocal, "no such file"},
		"variable": {"http://example.invalid/$releasever/os", report.ClassUsage, "$releasever is not known"},
	} {
		_, err := New(options(t)).Open(t.Context(), lockfile.Repo{ID: "base", BaseURL: c.url}, "x86_64", ageOf)
		if report.Classify(err) != c.class || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), "repository base (x86_64)") {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
	}
}

// The newest metadata counts, wherever in the list it is, and what is older is told.
func TestNewestMirror(t *testing.T) {
	o, log := logged(t)
	stale, a, b := mirrorOf(1_700_000_000, "old").start(t), mirrorOf(1_700_100_000, primary).start(t), mirrorOf(1_700_100_000, primary).start(t)
	other := mirrorOf(1_700_100_000, "of the same time").start(t)
	gone, page := (&site{}).start(t), &site{files: map[string][]byte{"/repo/repodata/repomd.xml": []byte("<html>")}}
	r := open(t, o, mirrorList(t, o, stale.url, refused(), a.url, gone.url, "# comment", "", page.start(t).url, "ftp://ftp.example/", "rsync://r.example/", b.url, other.url, a.url))
	if string(r.Repomd) != string(repomdOf(1_700_100_000, primary)) {
		t.Errorf("repomd %q", r.Repomd)
	}
	if diff := cmp.Diff([]string{a.url + "/p/x.rpm", b.url + "/p/x.rpm"}, r.URLs("", "p/x.rpm")); diff != "" {
		t.Errorf("URLs (-want +got):\n%s", diff)
	}
	all := strings.Join(r.Skipped, "\n")
	for _, want := range []string{
		stale.url + ": stale: its repomd.xml is of 2023-11-14T22:13:20Z, older than that of " + a.url + ", which is of 2023-11-16T02:00:00Z",
		refused() + ": Get \"http://127.0.0.1:1/repo/repodata/repomd.xml\":", gone.url + ": ", "404 Not Found",
		page.url + ": repodata/repomd.xml is a page of HTML",
		"ftp://ftp.example/ and 1 more: only http and https are supported",
		other.url + ": its repomd.xml is as old as, but differs from, that of " + a.url,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if len(r.Skipped) != 6 || strings.Count(log.String(), "mirror skipped") != 6 {
		t.Errorf("%d skipped, log:\n%s", len(r.Skipped), log)
	}
}

// A mirror that is silent costs a moment, not minutes, and less when others agree.
func TestSilentMirrors(t *testing.T) {
	o := options(t)
	o.MirrorWait = 400 * time.Millisecond
	release := make(chan struct{})
	silent := &site{handle: func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	}}
	silent.start(t)
	t.Cleanup(func() { close(release) })
	good := mirrorOf(100, primary).start(t)
	r := open(t, o, mirrorList(t, o, silent.url, good.url))
	if len(r.Skipped) != 1 || !strings.Contains(r.Skipped[0], "no answer within 400ms") {
		t.Errorf("skipped %q", r.Skipped)
	}

	o.MirrorWait, o.Grace = time.Hour, time.Millisecond
	r = open(t, o, mirrorList(t, o, silent.url, good.url, mirrorOf(100, primary).start(t).url, mirrorOf(100, primary).start(t).url))
	if len(r.Skipped) != 1 || !strings.Contains(r.Skipped[0], "no answer within 1ms after others had answered") {
		t.Errorf("skipped %q", r.Skipped)
	}
}

// Mirrors are asked in rounds; what the first good round does not need is left alone.
func TestRounds(t *testing.T) {
	o := options(t)
	var urls []string
	for range perRound + 2 {
		urls = append(urls, (&site{}).start(t).url)
	}
	good, unasked := mirrorOf(100, primary).start(t), mirrorOf(200, primary)
	urls = append(urls, good.url)
	for range perRound {
		urls = append(urls, (&site{}).start(t).url)
	}
	urls = append(urls, unasked.start(t).url)
	r := open(t, o, mirrorList(t, o, urls...))
	if diff := cmp.Diff([]string{good.url + "/x"}, r.URLs("", "x")); diff != "" || len(unasked.asked) != 0 {
		t.Errorf("URLs (-want +got):\n%s\nasked %q", diff, unasked.asked)
	}
}

func TestAllMirrorsBad(t *testing.T) {
	o := options(t)
	page := &site{files: map[string][]byte{"/repo/repodata/repomd.xml": []byte("<html>")}}
	gone, closed := (&site{}).start(t), &site{handle: func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(401); return true }}
	for name, c := range map[string]struct {
		urls  []string
		class report.Class
	}{
		"transport": {[]string{refused(), gone.url}, report.ClassUnavailable},
		"refused":   {[]string{refused(), closed.start(t).url}, report.ClassRefused},
		"content":   {[]string{refused(), gone.url, page.start(t).url}, report.ClassContent},
	} {
		_, err := New(o).Open(t.Context(), mirrorList(t, o, c.urls...), "x86_64", ageOf)
		if report.Classify(err) != c.class {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
			continue
		}
		for _, url := range c.urls {
			if !strings.Contains(err.Error(), url+": ") {
				t.Errorf("%s: no %s in %v", name, url, err)
			}
		}
	}
}
