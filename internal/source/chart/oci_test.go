package chart

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/helmtest"
	"airbundle/internal/lockfile"
	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
	"airbundle/internal/report"
	"airbundle/manifest"
)

// A pushed is a chart that is put into a registry, as helm push does it.
type pushed struct {
	config string // media type
	layers []layer
}

type layer struct {
	mediaType string
	content   []byte
}

func asHelm(archive []byte) pushed {
	return pushed{configType, []layer{{manifest.MediaTypeChart, archive}}}
}

// push puts a manifest with its blobs into the registry and returns its digest.
func (p pushed) push(t *testing.T, at *registrytest.Registry, repo, tag string, o registry.Options) digest.Digest {
	t.Helper()
	o.Base = at.URL
	reg := registry.New(o)
	put := func(mediaType string, content []byte) ocispec.Descriptor {
		desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		_, _, err := reg.PushBlob(t.Context(), repo, desc, nil, func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		if err != nil {
			t.Fatal(err)
		}
		return desc
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: put(p.config, []byte("{}"))}
	for _, l := range p.layers {
		m.Layers = append(m.Layers, put(l.mediaType, l.content))
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.PushManifest(t.Context(), repo, tag, m.MediaType, raw); err != nil {
		t.Fatal(err)
	}
	return digest.FromBytes(raw)
}

func TestResolveFromRegistry(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	good := helmtest.Chart(t, "nginx", "1.2.3+build.5", nil)
	d := asHelm(good).push(t, reg, "charts/nginx", "1.2.3_build.5", registry.Options{})
	provenance := asHelm(good)
	provenance.layers = append(provenance.layers, layer{"application/vnd.cncf.helm.chart.provenance.v1.prov", []byte("signed")})
	signed := provenance.push(t, reg, "signed/nginx", "1.2.3_build.5", registry.Options{})
	s := newSource(t, "", nil, reg.Host)
	for path, want := range map[string]digest.Digest{"charts": d, "charts/": d, "signed": signed} {
		got, err := s.Resolve(t.Context(), lockfile.ChartWish{Name: "nginx", Version: "1.2.3+build.5", Repo: "oci://" + reg.Host + "/" + path})
		wanted := lockfile.Chart{
			Name: "nginx", Version: "1.2.3+build.5", Size: int64(len(good)), Digest: digest.FromBytes(good),
			URLs: []string{fmt.Sprintf("oci://%s/%s/nginx@%s", reg.Host, strings.Trim(path, "/"), want)},
		}
		if diff := cmp.Diff(wanted, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", path, err, diff)
			continue
		}
		lock := lockfile.Lock{Name: "n", Arches: []string{"x86_64"}, Charts: []lockfile.Chart{got}}
		if _, err := lock.Encode(); err != nil {
			t.Errorf("the lock does not take it: %v", err)
		}
		checkOpen(t, s, got, good)
	}
}

// The index of a repository may say that its charts lie in a registry, with a tag or
// without, and beside places that are not.
func TestIndexThatLeadsToRegistry(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	good := helmtest.Chart(t, "nginx", "1.2.3", nil)
	d := asHelm(good).push(t, reg, "charts/nginx", "1.2.3", registry.Options{})
	at := "oci://" + reg.Host + "/charts/nginx"
	pinned := at + "@" + d.String()
	for _, c := range []struct{ urls, want []string }{
		{[]string{at + ":1.2.3"}, []string{pinned}},
		{[]string{at}, []string{pinned}},
		{[]string{"n.tgz", at}, []string{"REPO/n.tgz", pinned}},
		{[]string{at + ":no", "n.tgz"}, []string{"REPO/n.tgz"}},
	} {
		repo := newRepository(t)
		repo.files["/index.yaml"], repo.files["/n.tgz"] = index("nginx", "1.2.3", hexOf(good), c.urls...), good
		got, err := newSource(t, "", nil, reg.Host).Resolve(t.Context(), lockfile.ChartWish{Name: "nginx", Version: "1.2.3", Repo: repo.URL})
		for i := range c.want {
			c.want[i] = strings.ReplaceAll(c.want[i], "REPO", repo.URL)
		}
		if diff := cmp.Diff(c.want, got.URLs); err != nil || diff != "" {
			t.Errorf("%v: %v (-want +got):\n%s", c.urls, err, diff)
		}
	}
}

func TestRegistryRefusals(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	good := helmtest.Chart(t, "nginx", "1.2.3", nil)
	for name, c := range map[string]struct {
		put   pushed
		class report.Class
		text  string
	}{
		"image":       {pushed{ocispec.MediaTypeImageConfig, []layer{{ocispec.MediaTypeImageLayerGzip, good}}}, report.ClassContent, "is no chart"},
		"no layer":    {pushed{configType, []layer{{"text/plain", good}}}, report.ClassContent, "0 layers"},
		"two layers":  {pushed{configType, []layer{{manifest.MediaTypeChart, good}, {manifest.MediaTypeChart, append(good, 0)}}}, report.ClassContent, "2 layers"},
		"other chart": {asHelm(helmtest.Chart(t, "other", "1.2.3", nil)), report.ClassContent, `"other" "1.2.3" by its Chart.yaml`},
		"no chart":    {asHelm([]byte("x")), report.ClassContent, "not a chart"},
		"no tag":      {pushed{}, report.ClassUnavailable, "404"},
	} {
		path := strings.ReplaceAll(name, " ", "-")
		if c.put.config != "" {
			c.put.push(t, reg, path+"/nginx", "1.2.3", registry.Options{})
		}
		_, err := newSource(t, "", nil, reg.Host).Resolve(t.Context(), lockfile.ChartWish{Name: "nginx", Version: "1.2.3", Repo: "oci://" + reg.Host + "/" + path})
		if err == nil || report.Classify(err) != c.class || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
	}
	s := newSource(t, "", nil)
	for _, repo := range []string{"oci://nohost/x", "oci://" + reg.Host + "/Upper"} { // a docker name would be completed
		if _, err := s.Resolve(t.Context(), lockfile.ChartWish{Name: "nginx", Version: "1.2.3", Repo: repo}); report.Classify(err) != report.ClassUsage {
			t.Errorf("%s: class %d, %v", repo, report.Classify(err), err)
		}
	}
	if _, err := s.Resolve(t.Context(), lockfile.ChartWish{Name: "nginx", Version: "1.2.3", Repo: "oci://" + reg.Host + "/image"}); err == nil {
		t.Error("plain HTTP was spoken to a host that --plain-http does not name")
	}
}

// What a lock pins must be what its manifest holds.
func TestOpenRefusesOtherContent(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	good := helmtest.Chart(t, "nginx", "1.2.3", nil)
	d := asHelm(good).push(t, reg, "charts/nginx", "1.2.3", registry.Options{})
	s := newSource(t, "", nil, reg.Host)
	url := "oci://" + reg.Host + "/charts/nginx@" + d.String()
	for _, want := range []ocispec.Descriptor{{Digest: digest.FromString("x"), Size: int64(len(good))}, {Digest: digest.FromBytes(good), Size: 1}} {
		if _, err := s.Open(t.Context(), url, want); report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), "the lock says") {
			t.Errorf("%+v: %v", want, err)
		}
	}
}

// keychain gives every registry one login.
type keychain struct{ user, password string }

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: k.user, Password: k.password}, nil
}

func TestLogin(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Username: "u", Password: "right"})
	good := helmtest.Chart(t, "nginx", "1.2.3", nil)
	asHelm(good).push(t, reg, "charts/nginx", "1.2.3", registry.Options{Username: "u", Password: "right"})
	wish := lockfile.ChartWish{Name: "nginx", Version: "1.2.3", Repo: "oci://" + reg.Host + "/charts"}
	if _, err := newSource(t, "", keychain{"u", "right"}, reg.Host).Resolve(t.Context(), wish); err != nil {
		t.Error(err)
	}
	_, err := newSource(t, "", keychain{"u", "wr0ng"}, reg.Host).Resolve(t.Context(), wish)
	if report.Classify(err) != report.ClassRefused || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
}
