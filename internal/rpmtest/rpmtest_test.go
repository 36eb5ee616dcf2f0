package rpmtest_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpmtest"
)

// fullSpec uses every field that a Spec has.
func fullSpec(key *rpmtest.Signer) rpmtest.Spec {
	return rpmtest.Spec{
		Name: "full", Epoch: 2, Version: "1.2~rc1", Release: "3.el9", Arch: "aarch64",
		Summary: "All of it", Description: "Line one.\nLine <two> & more.", License: "MIT", Group: "Unspecified",
		URL: "https://example.invalid/?a=1&b=2", Vendor: "Nobody", Packager: "Somebody <s@example.invalid>",
		Provides: []string{"virtual(full) = 7"}, Requires: []string{"base >= 1:2.0-3", "(this or that)", "/bin/sh"},
		Conflicts: []string{"empty < 1"}, Obsoletes: []string{"old <= 0.9"},
		Recommends: []string{"nice"}, Suggests: []string{"nicer > 1"},
		Files: []rpmtest.File{
			{Path: "/etc/full", Mode: 0o40755},
			{Path: "/etc/full/full.conf", Body: "answer=42\n"},
			{Path: "/usr/bin/full", Body: "#!/bin/true\n", Mode: 0o755},
			{Path: "/usr/bin/fuller", Body: "full", Mode: 0o120777},
		},
		Changelog:  []rpmtest.Change{{Time: rpmtest.Built, Author: "A Person <a@example.invalid> - 1.2", Text: "- first"}},
		Compressor: "xz",
		Key:        key,
	}
}

func query(t *testing.T, file, format string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), rpmtest.Tool(t, "rpm"), "-qp", "--nosignature", "--qf", format, file).Output()
	if err != nil {
		t.Fatalf("rpm -qp: %v", err)
	}
	return string(out)
}

func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRPMReadsWhatTheSpecSays(t *testing.T) {
	spec := fullSpec(nil)
	file := writeFile(t, spec.FileName(), rpmtest.Build(t, spec))

	got := query(t, file, "%{nevra}|%{summary}|%{license}|%{url}|%{vendor}|%{packager}|%{buildtime}|%{payloadcompressor}\n"+
		"[%{requires} %{requireflags:depflags} %{requireversion};][%{filenames} %{filemodes:octal};][%{changelogtext};]")
	want := "full-2:1.2~rc1-3.el9.aarch64|All of it|MIT|https://example.invalid/?a=1&b=2|Nobody|Somebody <s@example.invalid>|1704164645|xz\n" +
		"base >= 1:2.0-3;(this or that)  ;/bin/sh  ;" +
		"/etc/full 40755;/etc/full/full.conf 100644;/usr/bin/full 100755;/usr/bin/fuller 120777;- first;"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rpm -qp (-want +got):\n%s", diff)
	}
	if name := filepath.Base(file); name != "full-1.2~rc1-3.el9.aarch64.rpm" {
		t.Errorf("FileName() = %s", name)
	}
}

func TestChecksig(t *testing.T) {
	rpmkeys := rpmtest.Tool(t, "rpmkeys")
	db := t.TempDir()
	known := rpmtest.Key(t)
	keyFile := writeFile(t, "key.asc", []byte(known.Armor))
	if out, err := exec.CommandContext(t.Context(), rpmkeys, "--dbpath", db, "--import", keyFile).CombinedOutput(); err != nil {
		t.Fatalf("import key: %v\n%s", err, out)
	}

	good := rpmtest.Build(t, fullSpec(known))
	damaged := bytes.Clone(good)
	damaged[len(damaged)-20] ^= 1
	for _, tt := range []struct {
		name string
		rpm  []byte
		want string
		ok   bool
	}{
		{"signed", good, "digests signatures OK", true},
		{"unsigned", rpmtest.Build(t, fullSpec(nil)), "digests OK", true},
		{"damaged", damaged, "DIGESTS SIGNATURES NOT OK", false},
		{"stranger", rpmtest.Build(t, fullSpec(rpmtest.OtherKey(t))), "SIGNATURES NOT OK", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := writeFile(t, "p.rpm", tt.rpm)
			out, err := exec.CommandContext(t.Context(), rpmkeys, "--dbpath", db, "--checksig", file).CombinedOutput()
			if (err == nil) != tt.ok || !strings.Contains(string(out), tt.want) {
				t.Errorf("rpmkeys --checksig: %v\n%swant %q", err, out, tt.want)
			}
		})
	}
}

func TestBuildIsRepeatable(t *testing.T) {
	spec := fullSpec(rpmtest.Key(t))
	if !bytes.Equal(rpmtest.Build(t, spec), rpmtest.Build(t, spec)) {
		t.Error("two builds of one spec differ")
	}
}

func TestKeysDiffer(t *testing.T) {
	a, b := rpmtest.Key(t), rpmtest.OtherKey(t)
	if a != rpmtest.Key(t) {
		t.Error("Key made a second key")
	}
	if a.ID == b.ID || a.Armor == b.Armor {
		t.Error("OtherKey is the same key as Key")
	}
	if len(a.ID) != 16 || strings.ToLower(a.ID) != a.ID {
		t.Errorf("ID %q is not 16 lower case digits", a.ID)
	}
	if ring := rpmtest.Ring(a, b); len(ring) != 2 || ring[0] != a.Entity {
		t.Errorf("Ring holds %d keys", len(ring))
	}
}

func TestTestdata(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("AIRBUNDLE_TESTDATA", dir)
	if err := os.Mkdir(filepath.Join(dir, "there"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, want := rpmtest.Testdata(t, "there"), filepath.Join(dir, "there"); got != want {
		t.Errorf("Testdata() = %s, want %s", got, want)
	}
	if o := end(t, func(tb testing.TB) { rpmtest.Testdata(tb, "not", "there") }); o != "skip" {
		t.Errorf("a test whose data is missing: %q", o)
	}
	t.Setenv("AIRBUNDLE_TESTDATA", "")
	if o := end(t, func(tb testing.TB) { rpmtest.Testdata(tb, "there") }); o != "skip" {
		t.Errorf("a test without a place of test data: %q", o)
	}
}

func TestToolMissing(t *testing.T) {
	for ci, want := range map[string]string{"": "skip", "true": "fatal"} {
		t.Setenv("CI", ci)
		if o := end(t, func(tb testing.TB) { rpmtest.Tool(tb, "no-such-program") }); o != want {
			t.Errorf("CI=%q: a test whose tool is missing: %q, want %q", ci, o, want)
		}
	}
}

// A recorder notes how a test would end, in place of ending it.
type recorder struct {
	testing.TB
	outcome string
}

func (r *recorder) Helper()               {}
func (r *recorder) Skip(...any)           { r.stop("skip") }
func (r *recorder) Skipf(string, ...any)  { r.stop("skip") }
func (r *recorder) Fatalf(string, ...any) { r.stop("fatal") }

func (r *recorder) stop(how string) {
	r.outcome = how
	runtime.Goexit()
}

// end returns how f ends the test that it is given; empty when it does not.
func end(t *testing.T, f func(testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.outcome
}
