package scripts

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/testscript"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpmtest"
)

// makeRepository writes a repository of small packages for each arch.
func makeRepository(ts *testscript.TestScript, args []string) {
	dir := ts.MkAbs(args[0])
	for _, arch := range []string{"x86_64", "aarch64"} {
		files := map[string][]byte{}
		var entries []createrepo.Entry
		for _, text := range args[1:] {
			s := spec(ts, text, arch)
			raw := rpmtest.Build(worldOf(ts).t, s)
			p, err := rpm.Read(bytes.NewReader(raw))
			ts.Check(err)
			location := "Packages/" + s.FileName()
			files[location] = raw
			entries = append(entries, createrepo.Entry{Package: p, Location: location, Digest: digest.FromBytes(raw), Size: int64(len(raw)), Time: 1})
		}
		set, err := createrepo.Write(entries, createrepo.Slices{})
		ts.Check(err)
		maps.Copy(files, set.Files)
		files[rpm.RepomdPath] = set.Repomd
		for name, raw := range files {
			to := filepath.Join(dir, arch, name)
			ts.Check(os.MkdirAll(filepath.Dir(to), 0o755))
			ts.Check(os.WriteFile(to, raw, 0o644))
		}
	}
	ts.Check(os.WriteFile(filepath.Join(dir, "KEY"), []byte(rpmtest.Key(worldOf(ts).t).Armor), 0o644))
}

// spec reads NAME=VERSION[:REQUIRED,...][!|~].
func spec(ts *testscript.TestScript, text, arch string) rpmtest.Spec {
	s := rpmtest.Spec{Arch: arch, Key: rpmtest.Key(worldOf(ts).t)}
	if rest, ok := strings.CutSuffix(text, "!"); ok {
		text, s.Key = rest, nil
	}
	if rest, ok := strings.CutSuffix(text, "~"); ok {
		text, s.Summary = rest, "other bytes"
	}
	text, requires, _ := strings.Cut(text, ":")
	if requires != "" {
		s.Requires = strings.Split(requires, ",")
	}
	var ok bool
	if s.Name, s.Version, ok = strings.Cut(text, "="); !ok {
		ts.Fatalf("%s is not NAME=VERSION", text)
	}
	return s
}
