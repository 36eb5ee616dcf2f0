package lockfiles

import (
	"path"
	"slices"
	"strings"
	"testing"

	"airbundle/internal/lockfile"
	"airbundle/internal/target"
	"airbundle/manifest"
	"airbundle/targets"
)

// readyMap reads a ready target map.
func readyMap(t *testing.T, name string) (target.Map, *lockfile.Target) {
	t.Helper()
	data, ok := targets.Read(name)
	if !ok {
		t.Fatalf("there is no ready map %s, only %s", name, targets.Names())
	}
	file, err := lockfile.DecodeTarget(name, data)
	if err != nil {
		t.Fatal(err)
	}
	m := target.Default()
	for _, r := range file.Repositories {
		m.Rules = append(m.Rules, target.Rule{Kind: manifest.Kind(r.Kind), Prefix: r.Prefix, Repository: r.Repository, Path: r.Path, Layout: r.Layout})
	}
	return m, file
}

func TestReadyMaps(t *testing.T) {
	if len(targets.Names()) == 0 {
		t.Fatal("no map is embedded")
	}
	for _, name := range targets.Names() {
		if _, file := readyMap(t, name); file.Name != name {
			t.Errorf("the map in %s.yaml is called %s", name, file.Name)
		}
	}
	if _, ok := targets.Read("../lockfiles/data"); ok {
		t.Error("a name leads out of the directory")
	}
}

// shows says whether a group shows what a repository has, and on which port.
func shows(file *lockfile.Target, group, member string) (int64, bool) {
	for _, g := range file.Groups {
		if g.Name == group {
			return file.HTTPPorts[group], slices.Contains(g.Members, member)
		}
	}
	return 0, false
}

// TestKubeOperatorTarget: what the requests hold is where KubeOperator 3.16 reads it. Its
// playbooks get files from oss-proxy/<path> and RPMs from /repository/<path of the set>;
// nodes pull images from port 8082, and its helm client reads the repository applications.
func TestKubeOperatorTarget(t *testing.T) {
	m, file := readyMap(t, "kubeoperator-3.16")
	if _, ok := shows(file, "oss-proxy", "binary-k8s-raw"); !ok {
		t.Error("oss-proxy does not show binary-k8s-raw")
	}
	if port, ok := shows(file, "docker-group", "kubeoperator"); !ok || port != 8082 || file.HTTPPorts["kubeoperator"] != 8083 {
		t.Errorf("images are not pulled from 8082 (%d) and pushed to 8083 (%d)", port, file.HTTPPorts["kubeoperator"])
	}
	table := &manifest.Table{Arches: manifest.Arches()}
	for _, p := range pairs(t) {
		for _, i := range p.request.Images {
			table.Images = append(table.Images, manifest.Image{Name: i.Source, Publish: i.Publish, Platforms: []manifest.Platform{{Platform: "linux/amd64"}}})
		}
		for _, f := range expanded(t, p.request) {
			table.Files = append(table.Files, manifest.File{Path: f.Path})
		}
		for _, c := range p.request.Charts {
			table.Charts = append(table.Charts, manifest.Chart{Name: c.Name, Version: c.Version})
		}
		for _, s := range p.request.Packages {
			for _, arch := range s.Arches {
				for _, name := range s.Install {
					table.RPMs = append(table.RPMs, manifest.RPM{Name: name, EVR: "1-1", Arch: arch, BaseArch: arch, Repo: s.Into + "/" + arch})
				}
			}
		}
	}
	// no request has sets for these; the paths are those of the playbooks
	for _, into := range []string{"centos-epel/7", "euler-base/2.8/os", "openEuler-base/openEuler-22.03-LTS/OS", "kylin-rpm/V10/V10SP2/os/adv/lic/base"} {
		table.RPMs = append(table.RPMs, manifest.RPM{Name: "chrony", EVR: "1-1", Arch: "aarch64", BaseArch: "aarch64", Repo: into + "/aarch64"})
	}
	table.Charts = append(table.Charts, manifest.Chart{Name: "kubeapps", Version: "7.6.2"})
	items, err := m.Items(table, target.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string]bool{}
	for _, it := range items {
		at := path.Join(it.Place.Repository, it.Place.Path)
		want := at
		switch it.Kind {
		case manifest.KindImage:
			want = "kubeoperator"
		case manifest.KindFile:
			want = "binary-k8s-raw/" + it.Name
		case manifest.KindChart:
			want = "applications/" + it.Name + ".tgz"
		case manifest.KindRPM:
			want = it.Name
			sets[it.Place.Repository] = true
			if deep := strings.Count(it.Place.Path, "/") > 5; deep != it.Raw {
				t.Errorf("%s in %s: raw %v", it.Place.Path, it.Place.Repository, it.Raw)
			}
		}
		if at != want {
			t.Errorf("%s %s goes to %s, KubeOperator reads %s", it.Kind, it.Name, at, want)
		}
	}
	for _, name := range []string{"centos-base", "centos-altarch", "centos-epel", "euler-base", "openEuler-base", "kylin-rpm", "docker-ce"} {
		if !sets[name] {
			t.Errorf("no RPM goes to %s", name)
		}
	}
	if len(items) < 80 {
		t.Errorf("the requests have %d artifacts only: they were not read", len(items))
	}
}
