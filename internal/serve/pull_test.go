package serve_test

import (
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	orasregistry "oras.land/oras-go/v2/registry"
	orasremote "oras.land/oras-go/v2/registry/remote"

	"airbundle/internal/rpmtest"
	"airbundle/internal/serve"
	"airbundle/manifest"
)

func imageFixture(t *testing.T) (*fixture, manifest.Image, manifest.Image) {
	f := newFixture(t)
	two := f.twoPlatforms("registry.k8s.io/kube-apiserver:v1.20.12", 1)
	one := f.onePlatform("docker.io/library/busybox:1.36", 10)
	return f, two, one
}

// throughRepository sends the requests of a registry client to the path that a Nexus
// gives its Docker repositories.
type throughRepository struct{ http.RoundTripper }

func (rt throughRepository) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Path = "/repository/docker-hosted" + r.URL.Path
	return rt.RoundTripper.RoundTrip(r)
}

func TestPullWithGoContainerRegistry(t *testing.T) {
	f, two, one := imageFixture(t)
	ts := f.start(serve.Options{})
	for surface, rt := range map[string]http.RoundTripper{"/v2": http.DefaultTransport, "/repository": throughRepository{http.DefaultTransport}} {
		opts := []remote.Option{remote.WithContext(t.Context()), remote.WithTransport(rt)}
		for _, ref := range []string{
			"kube-apiserver:v1.20.12", "kube-apiserver@" + string(two.Digest),
		} {
			r, err := name.ParseReference(host(ts) + "/" + ref)
			if err != nil {
				t.Fatal(err)
			}
			index, err := remote.Index(r, opts...)
			if err != nil {
				t.Fatalf("%s: %s: %v", surface, ref, err)
			}
			if d, err := index.Digest(); err != nil || d.String() != string(two.Digest) {
				t.Errorf("%s: %s has digest %s, %v; want %s", surface, ref, d, err, two.Digest)
			}
			for _, p := range two.Platforms {
				os, arch, _ := strings.Cut(p.Platform, "/")
				img, err := remote.Image(r, append(opts, remote.WithPlatform(v1.Platform{OS: os, Architecture: arch}))...)
				if err != nil {
					t.Fatalf("%s: %s %s: %v", surface, ref, p.Platform, err)
				}
				if d, err := img.Digest(); err != nil || d.String() != string(p.Digest) {
					t.Errorf("%s: %s %s has digest %s, %v; want %s", surface, ref, p.Platform, d, err, p.Digest)
				}
			}
		}
		r, err := name.ParseReference(host(ts) + "/library/busybox:1.36")
		if err != nil {
			t.Fatal(err)
		}
		img, err := remote.Image(r, opts...)
		if err != nil {
			t.Fatal(err)
		}
		if d, _ := img.Digest(); d.String() != string(one.Digest) {
			t.Errorf("%s: busybox has digest %s, want %s", surface, d, one.Digest)
		}
		if err := validate.Image(img, validate.Fast); err != nil {
			t.Errorf("%s: busybox: %v", surface, err)
		}
	}
}

func TestPullWithOras(t *testing.T) {
	f, two, one := imageFixture(t)
	f.onePlatform("docker.io/library/busybox:latest", 20)
	ts := f.start(serve.Options{})
	reg, err := orasremote.NewRegistry(host(ts))
	if err != nil {
		t.Fatal(err)
	}
	reg.PlainHTTP, reg.RepositoryListPageSize, reg.TagListPageSize = true, 1, 1
	for _, tt := range []struct {
		repository, ref string
		want            manifest.Image
	}{
		{"kube-apiserver", "v1.20.12", two},
		{"kube-apiserver", string(two.Digest), two},
		{"library/busybox", "1.36", one},
		{"library/busybox", string(one.Digest), one},
	} {
		repo, err := reg.Repository(t.Context(), tt.repository)
		if err != nil {
			t.Fatal(err)
		}
		to := memory.New()
		desc, err := oras.Copy(t.Context(), repo, tt.ref, to, "copy", oras.CopyOptions{})
		if err != nil {
			t.Fatalf("copy %s %s: %v", tt.repository, tt.ref, err)
		}
		if desc.Digest != tt.want.Digest {
			t.Errorf("%s %s has digest %s, want %s", tt.repository, tt.ref, desc.Digest, tt.want.Digest)
		}
		for _, p := range tt.want.Platforms {
			d, _ := f.bundle().Blob(p.Digest)
			if ok, err := to.Exists(t.Context(), d); !ok || err != nil {
				t.Errorf("%s %s: platform %s did not arrive (%v)", tt.repository, tt.ref, p.Platform, err)
			}
		}
		if refs, err := referrers(t.Context(), repo, desc); err != nil || len(refs) != 0 {
			t.Errorf("referrers of %s: %v, %v", tt.repository, refs, err)
		}
	}
	var names, tags []string
	if err := reg.Repositories(t.Context(), "", func(page []string) error { names = append(names, page...); return nil }); err != nil {
		t.Fatal(err)
	}
	repo, err := reg.Repository(t.Context(), "library/busybox")
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.Tags(t.Context(), "", func(page []string) error { tags = append(tags, page...); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"kube-apiserver", "library/busybox"}, {"1.36", "latest"}}, [][]string{names, tags}); diff != "" {
		t.Errorf("paged lists (-want +got):\n%s", diff)
	}
}

func referrers(ctx context.Context, repo orasregistry.Repository, desc ocispec.Descriptor) (all []ocispec.Descriptor, err error) {
	err = repo.(orasregistry.ReferrerLister).Referrers(ctx, desc, "", func(page []ocispec.Descriptor) error {
		all = append(all, page...)
		return nil
	})
	return all, err
}

func TestPullWithSkopeo(t *testing.T) {
	skopeo := rpmtest.Tool(t, "skopeo")
	f, two, one := imageFixture(t)
	ts := f.start(serve.Options{})
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), skopeo, append([]string{"--insecure-policy", "--tmpdir", t.TempDir()}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("skopeo %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	from := "docker://" + host(ts) + "/"
	for i, tt := range []struct {
		ref  string
		args []string
		want string
	}{
		{"kube-apiserver:v1.20.12", []string{"--all"}, string(two.Digest)},
		{"kube-apiserver@" + string(two.Digest), []string{"--all"}, string(two.Digest)},
		{"library/busybox:1.36", nil, string(one.Digest)},
		{"kube-apiserver@" + string(two.Platforms[1].Digest), nil, string(two.Platforms[1].Digest)},
	} {
		dir := filepath.Join(t.TempDir(), "image")
		run(append(append([]string{"copy", "--src-tls-verify=false", "--preserve-digests"}, tt.args...), from+tt.ref, "dir:"+dir)...)
		if got := run("manifest-digest", filepath.Join(dir, "manifest.json")); got != tt.want {
			t.Errorf("copy %d of %s has digest %s, want %s", i, tt.ref, got, tt.want)
		}
	}
	for arch, want := range map[string]string{"amd64": string(two.Platforms[0].Digest), "arm64": string(two.Platforms[1].Digest)} {
		dir := filepath.Join(t.TempDir(), "image")
		run("--override-os", "linux", "--override-arch", arch, "copy", "--src-tls-verify=false", from+"kube-apiserver:v1.20.12", "dir:"+dir)
		if got := run("manifest-digest", filepath.Join(dir, "manifest.json")); got != want {
			t.Errorf("%s has digest %s, want %s", arch, got, want)
		}
	}
	if got := run("list-tags", "--tls-verify=false", from+"library/busybox"); !strings.Contains(got, `"1.36"`) {
		t.Errorf("list-tags: %s", got)
	}
}
