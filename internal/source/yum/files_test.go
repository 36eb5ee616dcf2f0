package yum

import (
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/digestio"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

const primaryPath = "/repo/repodata/primary.xml"

// A mirror whose files are not what its repomd.xml says is left for the next, and told.
func TestLyingMirror(t *testing.T) {
	for name, c := range map[string]struct {
		lie  func(s *site)
		text string
	}{
		"other bytes": {func(s *site) { s.files[primaryPath] = []byte("the_primary") }, "hashes to sha256:"},
		"short":       {func(s *site) { s.files[primaryPath] = []byte("the") }, "ends after 3 of 11 bytes"},
		"long":        {func(s *site) { s.files[primaryPath] = []byte("the primary, and more") }, "longer than its 11 bytes"},
		"gone":        {func(s *site) { delete(s.files, primaryPath) }, "404"},
		"closed": {func(s *site) {
			s.handle = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == primaryPath {
					w.WriteHeader(403)
					return true
				}
				return false
			}
		}, "403"},
		"chunked": {func(s *site) {
			s.handle = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == primaryPath {
					w.(http.Flusher).Flush()
					w.Write([]byte("<html>log in</html>"))
					return true
				}
				return false
			}
		}, "page of HTML in the place of sha256:"},
	} {
		liar, good := mirrorOf(100, primary).start(t), mirrorOf(100, primary).start(t)
		c.lie(liar)
		o, log := logged(t)
		r := open(t, o, mirrorList(t, o, liar.url, good.url))
		got, err := readFile(t.Context(), r, "repodata/primary.xml", []byte(primary))
		if got != primary {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if len(r.Skipped) != 1 || !strings.HasPrefix(r.Skipped[0], liar.url+": ") || !strings.Contains(r.Skipped[0], c.text) || !strings.Contains(log.String(), c.text) {
			t.Errorf("%s: skipped %q, log %s", name, r.Skipped, log)
		}
		if diff := cmp.Diff([]string{good.url + "/a.rpm"}, r.URLs("", "a.rpm")); diff != "" {
			t.Errorf("%s: URLs (-want +got):\n%s", name, diff)
		}
	}
}

// Where one baseurl lies there is nobody else, and file, want and got are told.
func TestLyingBaseURL(t *testing.T) {
	liar := mirrorOf(100, primary)
	liar.files[primaryPath] = []byte("the_primary")
	r := open(t, options(t), lockfile.Repo{ID: "base", BaseURL: liar.start(t).url})
	_, err := readFile(t.Context(), r, "repodata/primary.xml", []byte(primary))
	if report.Classify(err) != report.ClassContent || len(r.URLs("", "x")) != 1 {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
	for _, want := range []string{"repository base (x86_64)", liar.url + "/repodata/primary.xml", sumOf([]byte(primary)), sumOf([]byte("the_primary"))} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

func TestFileOfNoMirror(t *testing.T) {
	a, b := mirrorOf(100, primary), mirrorOf(100, primary)
	delete(a.files, primaryPath)
	b.files[primaryPath] = []byte("lie")
	o := options(t)
	r := open(t, o, mirrorList(t, o, a.start(t).url, b.start(t).url))
	_, err := readFile(t.Context(), r, "repodata/primary.xml", []byte(primary))
	me, ok := errors.AsType[*MirrorsError](err)
	if !ok || len(me.Reasons) != 2 || report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), a.url) || !strings.Contains(err.Error(), b.url) {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
	// A file that is nowhere says nothing about the mirrors.
	if len(r.Skipped) != 0 || len(r.URLs("", "x")) != 2 {
		t.Errorf("skipped %q", r.Skipped)
	}
	if left, err := filepath.Glob(filepath.Join(o.Cache, "content", "sha256", "*")); len(left) != 0 || err != nil {
		t.Errorf("left in the cache: %q, %v", left, err)
	}
}

// When the newest mirror cannot give what it names, there is the next older one.
func TestOlder(t *testing.T) {
	newest, old, oldest := mirrorOf(300, primary), mirrorOf(200, "the second"), mirrorOf(100, "the third")
	delete(newest.files, primaryPath)
	o, log := logged(t)
	r := open(t, o, mirrorList(t, o, oldest.start(t).url, newest.start(t).url, refused(), old.start(t).url))
	if _, err := readFile(t.Context(), r, "repodata/primary.xml", []byte(primary)); err == nil {
		t.Fatal("no error")
	}
	second, ok := r.Older()
	if !ok || string(second.Repomd) != string(repomdOf(200, "the second")) {
		t.Fatalf("older: %v, %+v", ok, second)
	}
	if got, err := readFile(t.Context(), second, "repodata/primary.xml", []byte("the second")); got != "the second" {
		t.Errorf("%q, %v", got, err)
	}
	all := strings.Join(second.Skipped, "\n")
	for _, want := range []string{newest.url + ": its repomd.xml is newer, but no mirror has the files", oldest.url + ": stale", refused() + ": "} {
		if !strings.Contains(all, want) || len(second.Skipped) != 3 {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if diff := cmp.Diff([]string{old.url + "/x"}, second.URLs("", "x")); diff != "" || !strings.Contains(log.String(), "older metadata is used") {
		t.Errorf("URLs (-want +got):\n%s\nlog %s", diff, log)
	}
	third, ok := second.Older()
	if !ok || string(third.Repomd) != string(repomdOf(100, "the third")) {
		t.Errorf("third: %v", ok)
	}
	if _, ok := third.Older(); ok {
		t.Error("there is a fourth")
	}
}

func TestChecksums(t *testing.T) {
	content := []byte(primary)
	good := mirrorOf(100, primary).start(t)
	for _, c := range []struct {
		checksum string
		size     int64
		text     string
	}{
		{sumOf(content), 0, ""},
		{sumOf(content), 11, ""},
		{strings.ToUpper(sumOf(content)), 11, ""},
		{fmt.Sprintf("sha1:%x", sha1.Sum(content)), 11, ""},
		{fmt.Sprintf("sha:%x", sha1.Sum(content)), 0, ""},
		{fmt.Sprintf("sha512:%x", sha512.Sum512(content)), 11, ""},
		{fmt.Sprintf("sha512:%x", sha512.Sum512(nil)), 11, "content hashes to sha512:"},
		{sumOf(nil), 0, "content hashes to"},
		{sumOf(content), maxFile + 1, "more than the"},
		{"md5:d41d8cd98f00b204e9800998ecf8427e", 0, "not one that can be checked"},
		{"sha256:abc", 0, "not one that can be checked"},
		{"", 0, "not one that can be checked"},
		{"sha256:" + strings.Repeat("../x", 16), 0, "not one that can be checked"},
	} {
		r := open(t, options(t), lockfile.Repo{ID: "base", BaseURL: good.url})
		rc, err := r.File(t.Context(), "repodata/primary.xml", c.checksum, c.size)
		if err == nil {
			rc.Close()
		}
		if (err == nil) != (c.text == "") || err != nil && (report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s, %d bytes: class %d, %v", c.checksum, c.size, report.Classify(err), err)
		}
	}
}

// A size that is not the content's is not passed over because the checksum is right.
func TestWrongSize(t *testing.T) {
	chunked := mirrorOf(100, primary)
	chunked.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == primaryPath {
			w.(http.Flusher).Flush()
			w.Write([]byte(primary))
		}
		return r.URL.Path == primaryPath
	}
	r := open(t, options(t), lockfile.Repo{ID: "base", BaseURL: chunked.start(t).url})
	for _, size := range []int64{10, 12} {
		if rc, err := r.File(t.Context(), "repodata/primary.xml", sumOf([]byte(primary)), size); report.Classify(err) != report.ClassContent {
			t.Errorf("%d bytes: %v, class %d, %v", size, rc, report.Classify(err), err)
		}
	}
}

func TestPackageURLs(t *testing.T) {
	o := options(t)
	a, b := mirrorOf(1, primary).start(t), mirrorOf(1, primary).start(t)
	remote := open(t, o, mirrorList(t, o, a.url+"/", b.url))
	local := open(t, o, mirrorList(t, o, a.url))
	local.local = true
	remote.local = false
	for _, c := range []struct {
		r              *Repository
		base, location string
		want           []string
	}{
		{remote, "", "Packages/a^b-1.rpm", []string{a.url + "/Packages/a%5Eb-1.rpm", b.url + "/Packages/a%5Eb-1.rpm"}},
		{remote, "https://cdn.example/x", "a.rpm", []string{"https://cdn.example/x/a.rpm"}},
		{remote, "media://1234#2", "a.rpm", []string{a.url + "/a.rpm", b.url + "/a.rpm"}},
		{remote, "", "https://cdn.example/a.rpm", []string{"https://cdn.example/a.rpm"}},
		{remote, "file:///etc", "passwd", nil},
		{remote, "", "file:///etc/passwd", nil},
		{remote, "ftp://a.example", "a.rpm", nil},
		{local, "file:///srv", "a.rpm", []string{"file:///srv/a.rpm"}},
	} {
		if diff := cmp.Diff(c.want, c.r.URLs(c.base, c.location)); diff != "" {
			t.Errorf("%q, %q (-want +got):\n%s", c.base, c.location, diff)
		}
	}
	if _, err := remote.Pin(t.Context(), "file:///etc", "passwd", sumOf(nil), 0); report.Classify(err) != report.ClassContent {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
}

func TestPin(t *testing.T) {
	content := []byte("package")
	gone, lies, good := mirrorOf(1, primary), mirrorOf(1, primary), mirrorOf(1, primary)
	lies.files["/repo/p/a.rpm"], good.files["/repo/p/a.rpm"] = []byte("pakcage"), content
	o := options(t)
	r := open(t, o, mirrorList(t, o, gone.start(t).url, lies.start(t).url, good.start(t).url))
	sha := fmt.Sprintf("sha1:%x", sha1.Sum(content))
	got, err := r.Pin(t.Context(), "", "p/a.rpm", sha, 7)
	if string(got) != sumOf(content) {
		t.Errorf("%s, %v", got, err)
	}
	delete(good.files, "/repo/p/a.rpm")
	_, err = r.Pin(t.Context(), "", "p/a.rpm", sha, 7)
	if report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), lies.url) || !strings.Contains(err.Error(), gone.url) {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
	if _, err := r.Pin(t.Context(), "", "p/a.rpm", "md5:00", 7); err == nil {
		t.Error("pinned by md5")
	}
}

func TestCacheOfFiles(t *testing.T) {
	o, log := logged(t)
	good := mirrorOf(100, primary).start(t)
	repo := lockfile.Repo{ID: "base", BaseURL: good.url}
	get := func(o Options) {
		t.Helper()
		got, err := readFile(t.Context(), open(t, o, repo), "repodata/primary.xml", []byte(primary))
		if got != primary {
			t.Errorf("%q, %v", got, err)
		}
	}
	get(o)
	get(o)
	if n := good.count(primaryPath); n != 1 {
		t.Errorf("downloaded %d times", n)
	}
	kept := filepath.Join(o.Cache, "content", "sha256", sumOf([]byte(primary))[len("sha256:"):])
	put(t, kept, []byte("the_primary"))
	get(o)
	if data, err := os.ReadFile(kept); string(data) != primary || good.count(primaryPath) != 2 || !strings.Contains(log.String(), "thrown away") {
		t.Errorf("a damaged entry: %q, %v, downloaded %d times, log %s", data, err, good.count(primaryPath), log)
	}

	// A cache that cannot be is none.
	for _, dir := range []string{"", filepath.Join(kept, "below a file")} {
		o.Cache = dir
		get(o)
	}
	if good.count(primaryPath) != 4 || !strings.Contains(log.String(), "cache not written") {
		t.Errorf("downloaded %d times, log %s", good.count(primaryPath), log)
	}
	if err := os.Remove(kept); err != nil {
		t.Error(err)
	}
}

// Several at once get the same, whoever comes first.
func TestFileConcurrently(t *testing.T) {
	o := options(t)
	liar, good := mirrorOf(100, primary), mirrorOf(100, primary)
	liar.files[primaryPath] = []byte("the_primary")
	r := open(t, o, mirrorList(t, o, liar.start(t).url, good.start(t).url))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got, err := readFile(t.Context(), r, "repodata/primary.xml", []byte(primary)); got != primary {
				t.Errorf("%q, %v", got, err)
			}
			r.URLs("", "x")
		})
	}
	wg.Wait()
	if len(r.Skipped) != 1 {
		t.Errorf("skipped %q", r.Skipped)
	}
}

// Who ends a run hears that, not that mirrors failed.
func TestCancel(t *testing.T) {
	o := options(t)
	good, other := mirrorOf(100, primary).start(t), mirrorOf(100, primary).start(t)
	r := open(t, o, mirrorList(t, o, good.url, other.url))
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	if _, err := readFile(ctx, r, "repodata/primary.xml", []byte(primary)); !errors.Is(err, stopped) {
		t.Errorf("File: %v", err)
	}
	_, err := r.Signer(ctx, "", "a.rpm", 100)
	if _, failed := errors.AsType[*MirrorsError](err); failed || !errors.Is(err, stopped) {
		t.Errorf("Signer: %v", err)
	}
	if _, err := New(o).Open(ctx, mirrorList(t, o, good.url), "x86_64", ageOf); !errors.Is(err, stopped) {
		t.Errorf("Open: %v", err)
	}
}

func TestMismatchIsTyped(t *testing.T) {
	liar := mirrorOf(100, primary)
	liar.files[primaryPath] = []byte("the_primary")
	r := open(t, options(t), lockfile.Repo{ID: "base", BaseURL: liar.start(t).url})
	_, err := readFile(t.Context(), r, "repodata/primary.xml", []byte(primary))
	mm, ok := errors.AsType[*digestio.MismatchError](err)
	if !ok || string(mm.Got) != sumOf([]byte("the_primary")) {
		t.Errorf("%v", err)
	}
}

// A mirror that dies after it was chosen is not asked six times while another has the
// file; the last one is.
func TestMirrorThatDies(t *testing.T) {
	o := options(t)
	dying, good := mirrorOf(100, primary), mirrorOf(100, primary)
	down := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == primaryPath {
			w.WriteHeader(503)
		}
		return r.URL.Path == primaryPath
	}
	dying.handle = down
	r := open(t, o, mirrorList(t, o, dying.start(t).url, good.start(t).url))
	if got, err := readFile(t.Context(), r, "repodata/primary.xml", []byte(primary)); got != primary {
		t.Errorf("%q, %v", got, err)
	}
	if n := dying.count(primaryPath); n != attempts {
		t.Errorf("asked %d times, want %d", n, attempts)
	}
	alone := open(t, options(t), lockfile.Repo{ID: "base", BaseURL: dying.url})
	if _, err := readFile(t.Context(), alone, "repodata/primary.xml", []byte(primary)); report.Classify(err) != report.ClassUnavailable {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
	if n := dying.count(primaryPath); n != attempts+6 {
		t.Errorf("asked %d times, want %d", n, attempts+6)
	}
}
