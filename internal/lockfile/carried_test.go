package lockfile

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/manifest"
)

// table is what a build carries of a lock without images.
func table(l *Lock) manifest.Table {
	t := manifest.Table{Name: l.Name, Lock: l.Digest(), Arches: l.Arches}
	add := func(mediaType string, d digest.Digest, size int64) {
		t.Blobs = append(t.Blobs, manifest.Blob{MediaType: mediaType, Digest: d, Size: size})
	}
	for _, r := range l.RPMs {
		t.RPMs = append(t.RPMs, manifest.RPM{Name: r.Name, EVR: r.EVR, Arch: r.Arch, BaseArch: r.BaseArch, Repo: r.Repo, Digest: r.Digest, Signer: r.Signer, Unsigned: r.Why, Groups: r.Groups})
		add(manifest.MediaTypeRPM, r.Digest, r.Size)
	}
	for _, f := range l.Files {
		t.Files = append(t.Files, manifest.File{Path: f.Path, Digest: f.Digest, Arch: f.Arch, Groups: f.Groups})
		add(manifest.MediaTypeFile, f.Digest, f.Size)
	}
	for _, c := range l.Charts {
		t.Charts = append(t.Charts, manifest.Chart{Name: c.Name, Version: c.Version, Digest: c.Digest, Groups: c.Groups})
		add(manifest.MediaTypeChart, c.Digest, c.Size)
	}
	for _, k := range l.Keys {
		t.Keys = append(t.Keys, manifest.Key{ID: k.ID, Armor: k.Armor})
	}
	for _, a := range l.Absent {
		t.Absent = append(t.Absent, manifest.Absent{Name: a.Source + a.Path + a.Name, Arch: a.Arch, Why: a.Why})
	}
	return t
}

func TestGoodLocksCanBeCarried(t *testing.T) {
	l := everything(t)
	if _, err := manifest.New(table(l)); err != nil {
		t.Error(err)
	}
}

// A character that a lock takes must not be refused when the table is made, after
// everything was resolved.
func TestEveryCharacterOfALockCanBeCarried(t *testing.T) {
	taken := 0
	for r := rune(1); r <= 0x10ffff; r++ {
		if r > 0x3100 && r%61 != 0 && (r < 0xd7f0 || r > 0xe010) && (r < 0xf8f0 || r > 0x10010) {
			continue // of the large blocks a sample is enough
		}
		in := "a" + string(r) + "b"
		file := manifest.Table{Files: []manifest.File{{Path: in, Digest: digest.FromString("a")}}}
		absent := manifest.Table{Absent: []manifest.Absent{{Name: "a", Arch: "x86_64", Why: in}}}
		for _, c := range []struct {
			check func(string) error
			table manifest.Table
		}{{checkPath, file}, {checkOneLine, absent}} {
			if c.check(in) != nil {
				continue
			}
			taken++
			t2 := c.table
			t2.Name, t2.Arches, t2.Lock = "a", []string{"x86_64"}, digest.FromString("l")
			t2.Blobs = []manifest.Blob{{MediaType: manifest.MediaTypeFile, Digest: digest.FromString("a"), Size: 1}}
			if _, err := manifest.New(t2); err != nil {
				t.Fatalf("%U passes the lock: %v", r, err)
			}
		}
	}
	if taken < 20_000 {
		t.Errorf("only %d characters are taken", taken)
	}
}

func TestCharactersThatLookLikeOthers(t *testing.T) {
	for _, r := range "\u3000\u00ad\u2009\u00a0\ue000\u2028\ufeff" {
		if err := checkPath("a" + string(r)); err == nil {
			t.Errorf("%U is taken", r)
		}
	}
}

func TestWhyMustSaySomething(t *testing.T) {
	l := everything(t)
	l.Absent[0].Why = " \n\t"
	if _, err := l.Encode(); err == nil || !strings.HasSuffix(err.Error(), "why holds white space only") {
		t.Errorf("got %v", err)
	}
}

// A path that sorts between a directory and what is in it does not hide it.
func TestPathsInTheWayOfOthers(t *testing.T) {
	l := &Lock{Name: "a", Arches: []string{"x86_64"}}
	for _, p := range []string{"a", "a-b", "a.b/c", "a/b/c", "b", "bb/a"} {
		l.Files = append(l.Files, File{Path: p, URLs: []string{"file:a"}, Size: 1, Digest: digest.FromString("a")})
	}
	const want = `path "a/b/c" is below the path "a" of the file before`
	if _, err := l.Encode(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The bound is that of the repository, not of the whole name.
func TestPublishLength(t *testing.T) {
	long := strings.Repeat("a", 255)
	if err := checkPublish(long + ":" + strings.Repeat("t", 128)); err != nil {
		t.Error(err)
	}
	if err := checkPublish(long + "a:1"); err == nil {
		t.Error("256 characters are taken")
	}
}

func TestExitCodes(t *testing.T) {
	_, err := DecodeLock("f", nil)
	for _, err := range []error{err, err.(*Errors).List[0]} { //nolint:errorlint // the decoder promises the type
		if c, ok := err.(interface{ ExitCode() int }); !ok || c.ExitCode() != 2 {
			t.Errorf("%T has not exit code 2", err)
		}
	}
}

// processorTime is what this process has used of the processor.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What grows with a file must not grow with its square.
func TestBigLocksAreReadInTime(t *testing.T) {
	const head = "apiVersion: airbundle/v1\nkind: Lock\nname: a\n"
	entry := func(path string) string {
		return "  - {path: " + path + ", urls: [file:a], size: 1, digest: sha256:" + strings.Repeat("0", 64) + "}\n"
	}
	var files, publish strings.Builder
	for i := range 10_000 {
		files.WriteString(entry(fmt.Sprintf("a/b/c/%d", i)))
	}
	for i := range 100_000 {
		fmt.Fprintf(&publish, "a:%d,", i)
	}
	for _, c := range []struct{ name, data, want string }{
		{"many arches", head + "arches: [" + strings.Repeat("x86_64,", 200_000) + "]\n", "and 198999 more problems"},
		{"many unknown fields", head + "arches: [x86_64]\n" + strings.Repeat("x: 1\n", 50_000), "more problems"},
		{"deep path", head + "arches: [x86_64]\nfiles:\n" + entry(strings.Repeat("a/", 1<<20)+"a"), ""},
		{"many files", head + "arches: [x86_64]\nfiles:\n" + files.String(), ""},
		{"many publish names", head + "arches: [x86_64]\nimages: [{source: a, digest: x, publish: [" + publish.String() + "]}]\n", "digest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := processorTime(t)
			_, err := DecodeLock("f", []byte(c.data))
			if used := processorTime(t) - before; used > 20*time.Second {
				t.Errorf("%s of the processor for %d bytes", used, len(c.data))
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %.300v, want %q", err, c.want)
			}
			if err != nil && len(err.Error()) > 1<<20 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}
