package nexustest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	orasremote "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"airbundle/internal/nexustest"
)

// prefixed lets clients that know no path before /v2/ use the main port: it
// inserts the prefix into requests and Location headers, as a client of ours
// has to.
type prefixed struct{ prefix string }

// RoundTrip implements http.RoundTripper.
func (p prefixed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if !strings.HasPrefix(r.URL.Path, p.prefix) {
		r.URL.Path, r.URL.RawPath = p.prefix+r.URL.Path, ""
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		if loc := resp.Header.Get("Location"); strings.HasPrefix(loc, "/v2/") {
			resp.Header.Set("Location", p.prefix+loc)
		}
	}
	return resp, err
}

// surface is one way to reach a docker repository; the host is what image names
// begin with.
type surface struct {
	name, host string
	transport  http.RoundTripper
}

func surfaces(s *nexustest.Server, profile nexustest.Profile) []surface {
	host := strings.TrimPrefix(s.URL, "http://")
	all := []surface{
		{"connector", strings.TrimPrefix(s.DockerURL("docker"), "http://"), http.DefaultTransport},
		{"main", host, prefixed{"/repository/docker"}},
	}
	if profile == nexustest.CE396 {
		all = append(all, surface{"path", host + "/docker", http.DefaultTransport})
	}
	return all
}

// byPath is a docker repository that path routing reaches, where the version has it.
var byPath = nexustest.Repository{PathEnabled: true}

// TestGoContainerRegistry pushes and pulls with the library behind crane.
func TestGoContainerRegistry(t *testing.T) {
	for _, profile := range allProfiles {
		s, _, _ := startDocker(t, nexustest.Options{Profile: profile}, byPath)
		for _, sf := range surfaces(s, profile) {
			t.Run(string(profile)+" "+sf.name, func(t *testing.T) {
				opts := []remote.Option{
					remote.WithAuth(&authn.Basic{Username: nexustest.Username, Password: nexustest.Password}),
					remote.WithTransport(sf.transport), remote.WithContext(t.Context()),
				}
				pushIndex(t, sf, opts)
				pushImage(t, sf, opts)
				repo, err := name.NewRepository(sf.host+"/team/"+sf.name, name.Insecure)
				if err != nil {
					t.Fatal(err)
				}
				tags, err := remote.List(repo, opts...)
				if err != nil || strings.Join(tags, " ") != "image index" {
					t.Errorf("tags %v (%v)", tags, err)
				}
			})
		}
	}
}

func gcrRef(t *testing.T, sf surface, tag string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(sf.host+"/team/"+sf.name+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// pushIndex pushes a docker manifest list of two platforms and pulls it whole.
func pushIndex(t *testing.T, sf surface, opts []remote.Option) {
	t.Helper()
	idx := mutate.IndexMediaType(empty.Index, types.DockerManifestList)
	for _, arch := range []string{"amd64", "arm64"} {
		img, err := random.Image(2000, 2)
		if err != nil {
			t.Fatal(err)
		}
		img, err = mutate.ConfigFile(img, platformConfig(t, img, arch))
		if err != nil {
			t.Fatal(err)
		}
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	ref := gcrRef(t, sf, "index")
	if err := remote.WriteIndex(ref, idx, opts...); err != nil {
		t.Fatalf("push index: %v", err)
	}
	pulled, err := remote.Index(ref, opts...)
	if err != nil {
		t.Fatalf("pull index: %v", err)
	}
	if err := validate.Index(pulled); err != nil {
		t.Errorf("pulled index: %v", err)
	}
	want, err1 := idx.Digest()
	got, err2 := pulled.Digest()
	if err1 != nil || err2 != nil || got != want {
		t.Errorf("pulled %v (%v), pushed %v (%v)", got, err2, want, err1)
	}
}

// platformConfig returns the image's config for a platform.
func platformConfig(t *testing.T, img v1.Image, arch string) *v1.ConfigFile {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	return config
}

// pushImage pushes a docker image and pulls it by digest.
func pushImage(t *testing.T, sf surface, opts []remote.Option) {
	t.Helper()
	img, err := random.Image(100_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	img = mutate.MediaType(img, types.DockerManifestSchema2)
	ref := gcrRef(t, sf, "image")
	if err := remote.Write(ref, img, opts...); err != nil {
		t.Fatalf("push image: %v", err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(ref.Context().Digest(digest.String()), opts...)
	if err != nil {
		t.Fatalf("pull image: %v", err)
	}
	if err := validate.Image(pulled); err != nil {
		t.Errorf("pulled image: %v", err)
	}
}

// TestOras pushes and pulls an artifact and its index with oras-go.
func TestOras(t *testing.T) {
	for _, profile := range allProfiles {
		s, _, _ := startDocker(t, nexustest.Options{Profile: profile}, byPath)
		for _, sf := range surfaces(s, profile) {
			t.Run(string(profile)+" "+sf.name, func(t *testing.T) {
				repo, err := orasremote.NewRepository(sf.host + "/artifacts/" + sf.name)
				if err != nil {
					t.Fatal(err)
				}
				repo.PlainHTTP = true
				host, _, _ := strings.Cut(sf.host, "/")
				repo.Client = &auth.Client{Client: &http.Client{Transport: sf.transport}, Credential: auth.StaticCredential(host,
					auth.Credential{Username: nexustest.Username, Password: nexustest.Password})}
				src, root := orasArtifact(t)
				if _, err := oras.Copy(t.Context(), src, root.Digest.String(), repo, "v1", oras.DefaultCopyOptions); err != nil {
					t.Fatalf("push: %v", err)
				}
				dst := memory.New()
				got, err := oras.Copy(t.Context(), repo, "v1", dst, "v1", oras.DefaultCopyOptions)
				if err != nil {
					t.Fatalf("pull: %v", err)
				}
				if got.Digest != root.Digest {
					t.Errorf("pulled %s, pushed %s", got.Digest, root.Digest)
				}
				tags := 0
				err = repo.Tags(t.Context(), "", func(page []string) error { tags += len(page); return nil })
				if err != nil || tags != 1 {
					t.Errorf("%d tags (%v)", tags, err)
				}
			})
		}
	}
}

// orasArtifact makes an OCI artifact of three files.
func orasArtifact(t *testing.T) (oras.ReadOnlyTarget, ocispec.Descriptor) {
	t.Helper()
	store := memory.New()
	var layers []ocispec.Descriptor
	for i := range 3 {
		data := []byte(fmt.Sprintf("file %d ", i) + strings.Repeat("x", 10_000*i))
		desc := content.NewDescriptorFromBytes("application/octet-stream", data)
		if err := store.Push(t.Context(), desc, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		layers = append(layers, desc)
	}
	root, err := oras.PackManifest(t.Context(), store, oras.PackManifestVersion1_1, "application/vnd.example", oras.PackManifestOptions{Layers: layers})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Tag(t.Context(), root, root.Digest.String()); err != nil {
		t.Fatal(err)
	}
	return store, root
}

// TestAbsoluteLocationBreaksClients shows a fault with a client that minds it:
// go-containerregistry refuses to follow a Location to a private address.
func TestAbsoluteLocationBreaksClients(t *testing.T) {
	s, _, _ := startDocker(t, nexustest.Options{Faults: []nexustest.Fault{{
		Name: "base URL", On: nexustest.Match{Route: nexustest.RouteUpload}, Do: nexustest.AbsoluteLocation("http://10.0.0.1:8081"),
	}}}, nexustest.Repository{})
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	sf := surfaces(s, nexustest.Orient340)[0]
	err = remote.Write(gcrRef(t, sf, "image"), img, remote.WithAuth(&authn.Basic{Username: "admin", Password: "admin123"}))
	if err == nil || s.FaultHits("base URL") == 0 {
		t.Errorf("push succeeded although uploads continue at 10.0.0.1 (%d hits)", s.FaultHits("base URL"))
	}
}

// TestLargeBodyStaysOnDisk pushes more than would go unnoticed in memory.
func TestLargeBodyStaysOnDisk(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{})
	const size = 64 << 20
	req, err := http.NewRequestWithContext(t.Context(), "PUT", base+"big", io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = size
	req.SetBasicAuth(nexustest.Username, nexustest.Password)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("client and server allocated %d bytes for %d", used, size)
	}
	if got := s.Assets("raw"); resp.StatusCode != 201 || got[0].Size != size {
		t.Errorf("%s, %+v", resp.Status, got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
