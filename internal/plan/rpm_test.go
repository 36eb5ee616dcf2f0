package plan_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/build"
	"airbundle/internal/bundletest"
	"airbundle/internal/plan"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

// set puts another package under the first RPM's URL and pins it.
func set(f *bundletest.Fixture, raw []byte) {
	r := &f.Lock.RPMs[0]
	f.URLs[r.URLs[0]], r.Digest, r.Size = raw, digest.FromBytes(raw), int64(len(raw))
}

// The digest of a lock alone does not make a package the one that was meant: its header
// and signature are checked while it is fetched.
func TestPackagesAreChecked(t *testing.T) {
	key := rpmtest.Key(t)
	spec := rpmtest.Spec{Name: "hello", Version: "1.2", Release: "3", Arch: "x86_64", Key: key}
	with := func(edit func(*rpmtest.Spec)) []byte {
		s := spec
		edit(&s)
		return rpmtest.Build(t, s)
	}
	for name, c := range map[string]struct {
		spoil func(f *bundletest.Fixture)
		class report.Class
		text  string
	}{
		"as locked":     {func(f *bundletest.Fixture) { set(f, with(func(*rpmtest.Spec) {})) }, report.ClassOK, ""},
		"another name":  {func(f *bundletest.Fixture) { set(f, with(func(s *rpmtest.Spec) { s.Name = "other" })) }, report.ClassContent, "other-1.2-3.x86_64"},
		"another arch":  {func(f *bundletest.Fixture) { set(f, with(func(s *rpmtest.Spec) { s.Arch = "aarch64" })) }, report.ClassContent, "aarch64"},
		"with an epoch": {func(f *bundletest.Fixture) { set(f, with(func(s *rpmtest.Spec) { s.Epoch = 7 })) }, report.ClassContent, "7:1.2-3"},
		"no package":    {func(f *bundletest.Fixture) { set(f, []byte("<html>not found</html>")) }, report.ClassContent, "not a package"},
		"unsigned":      {func(f *bundletest.Fixture) { set(f, with(func(s *rpmtest.Spec) { s.Key = nil })) }, report.ClassTrust, "not signed"},
		"unsigned, accepted": {func(f *bundletest.Fixture) {
			set(f, with(func(s *rpmtest.Spec) { s.Key = nil }))
			f.Lock.RPMs[0].Signer, f.Lock.RPMs[0].Unsigned, f.Lock.RPMs[0].Why = "", "accepted", "built here"
		}, report.ClassOK, ""},
		"another signer": {func(f *bundletest.Fixture) { set(f, with(func(s *rpmtest.Spec) { s.Key = rpmtest.OtherKey(t) })) }, report.ClassTrust, "none of the known keys"},
		"key is no key":  {func(f *bundletest.Fixture) { f.Lock.Keys[0].Armor = "x" }, report.ClassContent, "key "},
	} {
		f := bundletest.New(t)
		c.spoil(f)
		p, err := plan.Make(t.Context(), f.Lock, plan.Sources{Images: f, Files: f}, plan.Options{})
		if err == nil {
			_, err = build.Run(t.Context(), p, filepath.Join(t.TempDir(), "b.tar"), build.Options{})
		}
		if report.Classify(err) != c.class || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
	}
}

// A blob that the lock gives two names is checked for each of them.
func TestOnePackageUnderTwoNames(t *testing.T) {
	f := bundletest.New(t)
	evil := f.Lock.RPMs[0]
	evil.Name = "evil"
	f.Lock.RPMs = append(f.Lock.RPMs, evil)
	for range 2 { // whichever name comes last
		_, err := build.Run(t.Context(), f.Plan(t, plan.Options{}), filepath.Join(t.TempDir(), "b.tar"), build.Options{})
		if report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), "evil-1.2-3.x86_64") {
			t.Errorf("%v", err)
		}
		slices.Reverse(f.Lock.RPMs)
	}
}

// A key that is not the one its id names binds no signature.
func TestKeyUnderAFalseID(t *testing.T) {
	f := bundletest.New(t)
	f.Lock.Keys[0].ID = "0123456789abcdef"
	for i := range f.Lock.RPMs {
		f.Lock.RPMs[i].Signer = "0123456789abcdef"
	}
	_, err := plan.Make(t.Context(), f.Lock, plan.Sources{Images: f, Files: f}, plan.Options{})
	if err == nil || !strings.Contains(err.Error(), "0123456789abcdef") {
		t.Errorf("%v", err)
	}
}

// A package that arrives damaged is a bad download, tried again elsewhere, and not a
// question of trust.
func TestDamagedDownload(t *testing.T) {
	f := bundletest.New(t)
	r := &f.Lock.RPMs[0]
	good := f.URLs[r.URLs[0]]
	for name, bad := range map[string][]byte{"flipped": append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), "cut": good[:len(good)-5], "long": append(bytes.Clone(good), 0)} {
		f.URLs["https://bad.example/"] = bad
		r.URLs = []string{"https://bad.example/"}
		_, err := build.Run(t.Context(), f.Plan(t, plan.Options{}), filepath.Join(t.TempDir(), "b.tar"), build.Options{})
		if report.Classify(err) != report.ClassContent {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
		f.URLs["https://good.example/"] = good
		r.URLs = []string{"https://bad.example/", "https://good.example/"}
		if _, err := build.Run(t.Context(), f.Plan(t, plan.Options{}), filepath.Join(t.TempDir(), "b.tar"), build.Options{}); err != nil {
			t.Errorf("%s, then good: %v", name, err)
		}
	}
}

func TestSecretsOfURLsAreNotTold(t *testing.T) {
	f := bundletest.New(t)
	f.Lock.Files[0].URLs = []string{"https://gone.example/f?token=CANARY"}
	p := f.Plan(t, plan.Options{})
	_, err := build.Run(t.Context(), p, filepath.Join(t.TempDir(), "b.tar"), build.Options{})
	if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, p.Blobs), "CANARY") {
		t.Errorf("%v", err)
	}
}

func TestUnsignedIsToldAsSuch(t *testing.T) {
	f := bundletest.New(t)
	set(f, rpmtest.Build(t, rpmtest.Spec{Name: "hello", Version: "1.2", Release: "3", Arch: "x86_64"}))
	_, err := build.Run(t.Context(), f.Plan(t, plan.Options{}), filepath.Join(t.TempDir(), "b.tar"), build.Options{})
	if !errors.Is(err, rpm.ErrUnsigned) || !strings.Contains(err.Error(), f.Lock.RPMs[0].Path()) {
		t.Errorf("%v", err)
	}
}
