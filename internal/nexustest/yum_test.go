package nexustest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/rpmpack"

	"airbundle/internal/nexustest"
)

// rpmSpec is an RPM to be made.
type rpmSpec struct {
	name, version, arch, compressor string
	epoch                           uint32
	requires, provides, recommends  []string
}

// makeRPM builds a real RPM with a file and a directory in it.
func makeRPM(t *testing.T, spec rpmSpec) []byte {
	t.Helper()
	relations := func(texts []string) (out rpmpack.Relations) {
		for _, text := range texts {
			if err := out.Set(text); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{
		Name: spec.name, Version: spec.version, Release: "1.el9", Arch: spec.arch, Epoch: spec.epoch, OS: "linux",
		Summary: "A <small> package", Description: "Says \"hello\" & more.", Licence: "MIT", Vendor: "nobody", URL: "https://example.org/?a&b",
		Packager: "Jane <jane@example.org>", Group: "Applications", BuildHost: "builder", BuildTime: time.Unix(1600000000, 0), Compressor: spec.compressor,
		Requires: relations(spec.requires), Provides: relations(spec.provides), Recommends: relations(spec.recommends),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.AddFile(rpmpack.RPMFile{Name: "/usr/bin/" + spec.name, Body: []byte("#!/bin/true\n"), Mode: 0o100755, Owner: "root", Group: "root"})
	r.AddFile(rpmpack.RPMFile{Name: "/usr/share/" + spec.name, Mode: 0o040755, Owner: "root", Group: "root"})
	r.AddFile(rpmpack.RPMFile{Name: "/etc/" + spec.name + ".conf", Body: []byte("a=b\n"), Mode: 0o100644, Type: rpmpack.ConfigFile, Owner: "root", Group: "root"})
	var buf bytes.Buffer
	if err := r.Write(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// repomd is the part of repomd.xml that clients need.
type repomd struct {
	Revision string `xml:"revision"`
	Data     []struct {
		Type     string `xml:"type,attr"`
		Checksum string `xml:"checksum"`
		Open     string `xml:"open-checksum"`
		Size     int    `xml:"size"`
		OpenSize int    `xml:"open-size"`
		Location struct {
			Href string `xml:"href,attr"`
		} `xml:"location"`
	} `xml:"data"`
}

// yumPackage is a package of primary.xml.
type yumPackage struct {
	Name     string `xml:"name"`
	Arch     string `xml:"arch"`
	Checksum struct {
		Type string `xml:"type,attr"`
		Hex  string `xml:",chardata"`
	} `xml:"checksum"`
	Location struct {
		Href string `xml:"href,attr"`
	} `xml:"location"`
}

// readRepodata fetches the metadata at base, checking every checksum, and
// returns primary.xml's packages. ok is false when some file is missing.
func readRepodata(t *testing.T, base string) (md repomd, packages []yumPackage, ok bool) {
	t.Helper()
	got := do(t, "GET", base+"/repodata/repomd.xml", "")
	if got.code != http.StatusOK {
		return md, nil, false
	}
	if err := xml.Unmarshal([]byte(got.body), &md); err != nil {
		t.Fatal(err)
	}
	for _, d := range md.Data {
		file := do(t, "GET", base+"/"+d.Location.Href, "")
		if file.code != http.StatusOK {
			return md, nil, false
		}
		zr, err := gzip.NewReader(strings.NewReader(file.body))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(zr)
		if err != nil {
			t.Fatal(err)
		}
		if sha([]byte(file.body)) != d.Checksum || sha(plain) != d.Open || len(file.body) != d.Size || len(plain) != d.OpenSize ||
			d.Location.Href != "repodata/"+d.Checksum+"-"+d.Type+".xml.gz" {
			t.Errorf("%s: repomd.xml does not describe the file", d.Location.Href)
		}
		if d.Type == "primary" {
			var primary struct {
				Count    int          `xml:"packages,attr"`
				Packages []yumPackage `xml:"package"`
			}
			if err := xml.Unmarshal(plain, &primary); err != nil {
				t.Fatal(err)
			}
			if packages = primary.Packages; primary.Count != len(packages) {
				t.Errorf("primary.xml counts %d of %d", primary.Count, len(packages))
			}
		}
	}
	return md, packages, true
}

// awaitPackages polls until the metadata at base lists exactly these locations.
func awaitPackages(t *testing.T, base string, want ...string) []yumPackage {
	t.Helper()
	var packages []yumPackage
	eventually(t, fmt.Sprintf("%s lists %v", base, want), func() bool {
		_, list, ok := readRepodata(t, base)
		var got []string
		for _, p := range list {
			got = append(got, p.Location.Href)
		}
		slices.Sort(got)
		packages = list
		return ok && slices.Equal(got, want)
	})
	return packages
}

// startYum starts a server with the yum repository "yum".
func startYum(t *testing.T, opts nexustest.Options, repo nexustest.Repository) (*nexustest.Server, string) {
	t.Helper()
	repo.Name, repo.Format = "yum", "yum"
	opts.Repositories = append(opts.Repositories, repo)
	s := nexustest.Start(t, opts)
	return s, s.RepositoryURL("yum")
}

func TestYumMetadataComesLate(t *testing.T) {
	_, base := startYum(t, nexustest.Options{RebuildDelay: 400 * time.Millisecond}, nexustest.Repository{})
	do(t, "GET", base+"/repodata/repomd.xml", "").want(t, 404)
	awaitPackages(t, base)
	empty, _, _ := readRepodata(t, base)

	rpm := makeRPM(t, rpmSpec{name: "hello", version: "1.0", arch: "x86_64"})
	do(t, "PUT", base+"/Packages/hello.rpm", string(rpm)).want(t, 200)
	if _, list, ok := readRepodata(t, base); !ok || len(list) != 0 {
		t.Errorf("metadata is there at once: %v", list)
	}
	list := awaitPackages(t, base, "Packages/hello.rpm")
	if p := list[0]; p.Name != "hello" || p.Arch != "x86_64" || p.Checksum.Type != "sha256" || p.Checksum.Hex != sha(rpm) {
		t.Errorf("package %+v", p)
	}
	for _, d := range empty.Data {
		if d.Type != "other" { // says nothing of a package without a changelog but its name
			do(t, "GET", base+"/"+d.Location.Href, "").want(t, 404)
		}
	}
	got := do(t, "GET", base+"/Packages/hello.rpm", "").want(t, 200)
	if got.body != string(rpm) || got.header.Get("Content-Type") != "application/x-rpm" {
		t.Errorf("RPM: %d bytes of %q", len(got.body), got.header.Get("Content-Type"))
	}
	do(t, "DELETE", base+"/Packages/hello.rpm", "").want(t, 204)
	awaitPackages(t, base)
}

func TestYumEventsAreSwallowed(t *testing.T) {
	s, base := startYum(t, nexustest.Options{RebuildDelay: 100 * time.Millisecond}, nexustest.Repository{})
	awaitPackages(t, base)
	var want []string
	for i := range 5 {
		name := fmt.Sprintf("p%d", i)
		want = append(want, name+".rpm")
		do(t, "PUT", base+"/"+name+".rpm", string(makeRPM(t, rpmSpec{name: name, version: "1", arch: "noarch"}))).want(t, 200)
	}
	awaitPackages(t, base, want...)
	if n := len(s.Paths("yum")); n != 5 {
		t.Errorf("%d uploads", n)
	}
}

func TestYumDepth(t *testing.T) {
	_, base := startYum(t, nexustest.Options{}, nexustest.Repository{Depth: 2})
	rpm := func(name string) string { return string(makeRPM(t, rpmSpec{name: name, version: "1", arch: "noarch"})) }
	do(t, "PUT", base+"/7/hello.rpm", rpm("hello")).want(t, 400)
	do(t, "PUT", base+"/7/x86_64/hello.rpm", rpm("hello")).want(t, 200)
	do(t, "PUT", base+"/7/x86_64/Packages/p.rpm", rpm("p")).want(t, 200)
	do(t, "PUT", base+"/7/aarch64/other.rpm", rpm("other")).want(t, 200)
	awaitPackages(t, base+"/7/x86_64", "Packages/p.rpm", "hello.rpm")
	awaitPackages(t, base+"/7/aarch64", "other.rpm")
	do(t, "GET", base+"/repodata/repomd.xml", "").want(t, 404)
}

func TestYumPolicies(t *testing.T) {
	rpm := string(makeRPM(t, rpmSpec{name: "hello", version: "1", arch: "noarch"}))
	tests := []struct {
		name   string
		quirks nexustest.Quirks
		repo   nexustest.Repository
		path   string
		body   string
		want   int
	}{
		{"rpm", nexustest.Quirks{}, nexustest.Repository{}, "/a.rpm", rpm, 200},
		{"put answers 201", nexustest.Quirks{YumPutStatus: 201}, nexustest.Repository{}, "/a.rpm", rpm, 201},
		{"strict refuses others", nexustest.Quirks{}, nexustest.Repository{}, "/a.txt", "x", 400},
		{"strict refuses with 404", nexustest.Quirks{StrictStatus: 404}, nexustest.Repository{}, "/a.txt", "x", 404},
		{"strict takes metadata", nexustest.Quirks{}, nexustest.Repository{}, "/repodata/comps.xml", "<comps/>", 200},
		{"permissive takes others", nexustest.Quirks{}, nexustest.Repository{DeployPolicy: "PERMISSIVE"}, "/a.txt", "x", 200},
		{"shallow with 404", nexustest.Quirks{ShallowStatus: 404}, nexustest.Repository{Depth: 1}, "/a.rpm", rpm, 404},
		{"no rpm, found later", nexustest.Quirks{}, nexustest.Repository{}, "/a.rpm", "no rpm", 200},
		{"no rpm, checked", nexustest.Quirks{CheckRPM: true}, nexustest.Repository{}, "/a.rpm", "no rpm", 400},
		{"rpm, checked", nexustest.Quirks{CheckRPM: true}, nexustest.Repository{}, "/a.rpm", rpm, 200},
		{"no rpm, content type", nexustest.Quirks{}, nexustest.Repository{Strict: true}, "/a.rpm", "no rpm", 400},
		{"denied", nexustest.Quirks{}, nexustest.Repository{WritePolicy: "DENY"}, "/a.rpm", rpm, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, base := startYum(t, nexustest.Options{Quirks: tt.quirks}, tt.repo)
			do(t, "PUT", base+tt.path, tt.body, "Content-Type", "application/x-rpm").want(t, tt.want)
		})
	}
	_, base := startYum(t, nexustest.Options{RebuildDelay: time.Hour, Quirks: nexustest.Quirks{EarlyUploadFails: true}}, nexustest.Repository{})
	do(t, "PUT", base+"/a.rpm", rpm).want(t, 500)
	_, base = startYum(t, nexustest.Options{}, nexustest.Repository{WritePolicy: "ALLOW_ONCE"})
	do(t, "PUT", base+"/a.rpm", rpm).want(t, 200)
	do(t, "PUT", base+"/a.rpm", rpm).want(t, 400)
}

func TestOneBadRPMSpoilsTheRebuild(t *testing.T) {
	good := makeRPM(t, rpmSpec{name: "good", version: "1", arch: "noarch"})
	zstd := makeRPM(t, rpmSpec{name: "new", version: "1", arch: "noarch", compressor: "zstd"})
	huge := slices.Clone(good)
	copy(huge[96+8:], "\x7f\xff\xff\xff") // header entries
	damaged := slices.Clone(good)
	copy(damaged[96+16+8:], "\x7f\xff\xff\xff") // offset of the first tag
	for name, bad := range map[string][]byte{"text": []byte("no rpm"), "cut": good[:200], "huge": huge, "damaged": damaged, "zstd": zstd} {
		s, base := startYum(t, nexustest.Options{Quirks: nexustest.Quirks{RefuseZstd: true}}, nexustest.Repository{})
		do(t, "PUT", base+"/good.rpm", string(good)).want(t, 200)
		awaitPackages(t, base, "good.rpm")
		do(t, "PUT", base+"/bad.rpm", string(bad)).want(t, 200)
		do(t, "PUT", base+"/good2.rpm", string(good)).want(t, 200)
		if err := s.Rebuild("yum"); err == nil || !strings.Contains(err.Error(), "Invalid RPM: bad.rpm") {
			t.Errorf("%s: rebuild error %v", name, err)
		}
		awaitPackages(t, base, "good.rpm")
		eventually(t, "the background rebuild fails too", func() bool { return s.RebuildError("yum") != nil })
		do(t, "DELETE", base+"/bad.rpm", "").want(t, 204)
		awaitPackages(t, base, "good.rpm", "good2.rpm")
	}
}

func TestHeldRebuildAndTask(t *testing.T) {
	s, base := startYum(t, nexustest.Options{Profile: nexustest.CE396}, nexustest.Repository{})
	awaitPackages(t, base)
	s.HoldRebuilds("yum", true)
	do(t, "PUT", base+"/a.rpm", string(makeRPM(t, rpmSpec{name: "a", version: "1", arch: "noarch"}))).want(t, 200)
	time.Sleep(30 * time.Millisecond)
	awaitPackages(t, base)
	s.HoldRebuilds("yum", false)
	awaitPackages(t, base, "a.rpm")

	api := s.URL + "/service/rest/v1/tasks"
	id := s.AddRebuildTask("yum")
	got := do(t, "GET", api+"?type=repository.yum.rebuild.metadata", "").want(t, 200)
	if !strings.Contains(got.body, id) {
		t.Errorf("tasks %s", got.body)
	}
	before := s.Count("", "")
	do(t, "POST", api+"/"+id+"/run", "").want(t, 204)
	do(t, "POST", api+"/unknown/run", "").want(t, 404)
	do(t, "POST", api, `{"name":"n","type":"repository.yum.rebuild.metadata","properties":{"repositoryName":"yum"}}`).want(t, 201)
	if after := s.Count("", ""); after != before+3 {
		t.Errorf("%d requests logged, want 3", after-before)
	}
}

func TestYumGroup(t *testing.T) {
	s, base := startYum(t, nexustest.Options{}, nexustest.Repository{})
	for _, r := range []nexustest.Repository{{Name: "second", Format: "yum"},
		{Name: "all", Format: "yum", Type: "group", Members: []string{"yum", "second"}}} {
		if err := s.CreateRepository(r); err != nil {
			t.Fatal(err)
		}
	}
	do(t, "PUT", base+"/a.rpm", string(makeRPM(t, rpmSpec{name: "a", version: "1", arch: "noarch"}))).want(t, 200)
	do(t, "PUT", s.RepositoryURL("second")+"/b.rpm", string(makeRPM(t, rpmSpec{name: "b", version: "1", arch: "noarch"}))).want(t, 200)
	awaitPackages(t, s.RepositoryURL("all"), "a.rpm", "b.rpm")
	do(t, "GET", s.RepositoryURL("all")+"/b.rpm", "").want(t, 200)
	do(t, "PUT", s.RepositoryURL("all")+"/c.rpm", "x").want(t, 405)
}

func TestSHA1Primary(t *testing.T) {
	s, base := startYum(t, nexustest.Options{Quirks: nexustest.Quirks{PrimaryChecksum: "sha1"}}, nexustest.Repository{})
	do(t, "PUT", base+"/a.rpm", string(makeRPM(t, rpmSpec{name: "a", version: "1", arch: "noarch"}))).want(t, 200)
	p := awaitPackages(t, base, "a.rpm")[0]
	var kept string
	for _, a := range s.Assets("yum") {
		if a.Path == "a.rpm" {
			kept = a.Checksums["sha1"]
		}
	}
	if p.Checksum.Type != "sha" || p.Checksum.Hex != kept {
		t.Errorf("checksum %+v, want sha %s", p.Checksum, kept)
	}
}

func TestYumComponents(t *testing.T) {
	s, base := startYum(t, nexustest.Options{}, nexustest.Repository{})
	do(t, "PUT", base+"/hello.rpm", string(makeRPM(t, rpmSpec{name: "hello", version: "2", arch: "aarch64"}))).want(t, 200)
	got := do(t, "GET", s.URL+"/service/rest/v1/components?repository=yum", "").want(t, 200)
	page := decode[struct {
		Items []struct{ Name, Version string }
	}](t, got.body)
	if diff := cmp.Diff([]struct{ Name, Version string }{{"hello", "2-1.el9"}}, page.Items); diff != "" {
		t.Errorf("components (-want +got):\n%s", diff)
	}
	find := s.URL + "/service/rest/v1/search?yum.architecture=aarch64&yum.name=hello"
	eventually(t, "search by arch", func() bool { return strings.Contains(do(t, "GET", find, "").body, "hello") })
}
