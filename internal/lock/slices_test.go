package lock_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/rpm/createrepo"
)

const modulesYAML = `---
document: modulemd
version: 2
data:
  name: app
  stream: "1"
  version: 1
  context: abcd1234
  arch: x86_64
  summary: s
  description: d
  license: {module: [MIT]}
  artifacts:
    rpms: [app-0:1.0-1.x86_64]
...
---
document: modulemd
version: 2
data:
  name: unused
  stream: "2"
  version: 1
  context: abcd1234
  arch: x86_64
  summary: s
  description: d
  license: {module: [MIT]}
  artifacts:
    rpms: [unused-0:1.0-1.x86_64]
...
`

const compsXML = `<?xml version="1.0" encoding="UTF-8"?>
<comps>
  <group><id>apps</id><name>Apps</name><packagelist><packagereq type="mandatory">app</packagereq><packagereq type="default">unused</packagereq></packagelist></group>
  <group><id>rest</id><name>Rest</name><packagelist><packagereq type="mandatory">unused</packagereq></packagelist></group>
</comps>
`

const updateinfoXML = `<?xml version="1.0" encoding="UTF-8"?>
<updates>
  <update from="a" status="final" type="security" version="1"><id>A-1</id><title>t</title><issued date="2024-01-01 00:00:00"/><references/>
    <pkglist><collection><name>c</name><package name="app" version="1.0" release="1" epoch="0" arch="x86_64" src="app.src.rpm"><filename>app-1.0-1.x86_64.rpm</filename></package></collection></pkglist></update>
  <update from="a" status="final" type="security" version="1"><id>A-2</id><title>t</title><issued date="2024-01-01 00:00:00"/><references/>
    <pkglist><collection><name>c</name><package name="unused" version="1.0" release="1" epoch="0" arch="x86_64" src="u.src.rpm"><filename>unused-1.0-1.x86_64.rpm</filename></package></collection></pkglist></update>
</updates>
`

func sliced(t *testing.T) (*world, *lockfile.Request) {
	w := newWorld(t)
	w.repos = repositories{"base": withSlices(t, "https://m/", createrepo.Slices{Modules: []byte(modulesYAML), Comps: []byte(compsXML), Updateinfo: []byte(updateinfoXML)},
		signed(t, "app", "1.0", "x86_64"), signed(t, "unused", "1.0", "x86_64"))}
	req := request("x86_64")
	req.Repos = []lockfile.Repo{{ID: "base", BaseURL: "https://m", GPGKeys: []string{"K"}}}
	req.Packages = []lockfile.PackageSet{{Into: "el9/apps", Install: []string{"app"}}}
	return w, req
}

func TestSlices(t *testing.T) {
	w, req := sliced(t)
	got, err := w.lockBy(t, &solver{streams: []string{"b:2", "app:1"}}, req, lock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := canonical(t, got.Lock)
	if len(l.Metadata) != 3 || len(got.Files) != 3 {
		t.Fatalf("%+v, files %d", l.Metadata, len(got.Files))
	}
	for i, want := range []struct{ kind, end, has string }{{"comps", ".xml", "apps"}, {"modules", ".yaml", "app-0:1.0-1.x86_64"}, {"updateinfo", ".xml", "A-1"}} {
		m := l.Metadata[i]
		name, ok := strings.CutPrefix(m.URLs[0], "file:")
		content := got.Files[name]
		switch {
		case m.Repo != "el9/apps/x86_64" || m.Type != want.kind:
			t.Errorf("%d is %s of %s", i, m.Type, m.Repo)
		case !ok || !strings.HasPrefix(name, "demo.lock.d/el9-apps-x86_64."+want.kind+".") || !strings.HasSuffix(name, want.end):
			t.Errorf("%s lies at %v", m.Type, m.URLs)
		case m.Note != map[string]string{"modules": "streams app:1, b:2"}[m.Type]:
			t.Errorf("%s: note %q", m.Type, m.Note)
		case m.Size != int64(len(content)) || m.Digest != digest.FromBytes(content):
			t.Errorf("%s: pinned %d bytes %s of %d", m.Type, m.Size, m.Digest, len(content))
		case !strings.Contains(string(content), want.has) || strings.Contains(string(content), "unused"):
			t.Errorf("%s is not what is carried:\n%s", m.Type, content)
		}
	}
}

// TestNoPlaceForSlices: what a lock on standard output leaves out is told.
func TestNoPlaceForSlices(t *testing.T) {
	w, req := sliced(t)
	src := lock.Sources{Repositories: w.repos}
	got, err := lock.ResolveBy(t.Context(), req, src, lock.Options{}, (&solver{}).solve)
	if err != nil || len(got.Files) != 0 || len(got.Lock.Metadata) != 0 || len(got.Notes) != 3 || !slices.ContainsFunc(got.Notes, func(n string) bool { return strings.HasPrefix(n, "modules of el9/apps/x86_64 are left out") }) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestGroupsInAnotherForm: one form of the groups is enough, none at all is told.
func TestGroupsInAnotherForm(t *testing.T) {
	w, req := sliced(t)
	repo := w.repos["base"]
	var forms []string
	for name := range repo.files {
		if strings.Contains(name, "comps") {
			forms = append(forms, name)
		}
	}
	if len(forms) < 2 {
		t.Fatalf("the repository has %v", forms)
	}
	for i, name := range forms {
		delete(repo.files, name)
		got, err := w.lockBy(t, &solver{}, req, lock.Options{})
		if last := i == len(forms)-1; last != (err != nil) || err != nil && !strings.Contains(err.Error(), "comps") || err == nil && len(got.Lock.Metadata) != 3 {
			t.Errorf("without %v: %v", forms[:i+1], err)
		}
	}
}
