package nexus_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/registry"
	"airbundle/internal/target"
)

const manifestList = "application/vnd.docker.distribution.manifest.list.v2+json"

// indexOf makes an index, or a manifest list, of one image and of what else is named.
func indexOf(t testing.TB, mediaType string, im anImage, extra ...ocispec.Descriptor) []byte {
	t.Helper()
	d := describe(im.raw)
	d.MediaType, d.Platform = im.mediaType, &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	idx := ocispec.Index{MediaType: mediaType, Manifests: append([]ocispec.Descriptor{d}, extra...)}
	idx.SchemaVersion = 2
	raw, err := json.Marshal(idx)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// stored is what the server holds of a manifest, and the type that it serves it with.
func stored(t *testing.T, s *nexustest.Server, path string) ([]byte, string) {
	t.Helper()
	raw, err := s.Read("docker", path)
	if err != nil {
		t.Fatal(err)
	}
	all := s.Assets("docker")
	i := slices.IndexFunc(all, func(a nexustest.Asset) bool { return a.Path == path })
	return raw, all[i].ContentType
}

// unchanged pushes an image and looks at what the server has.
func unchanged(mediaType string) func(*testing.T, *nexustest.Server, *nexus.Nexus) {
	return func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
		im := newImage(t, mediaType)
		if err := im.push(t, n.Docker("docker"), "team/app", "v1"); err != nil {
			t.Fatal(err)
		}
		raw, as := stored(t, s, "v2/team/app/manifests/v1")
		if !bytes.Equal(raw, im.raw) || as != mediaType {
			t.Errorf("%d bytes of %s, served as %s", len(raw), mediaType, as)
		}
		got, err := n.Docker("docker").Resolve(t.Context(), "team/app", im.digest().String())
		if err != nil || got.Digest != im.digest() {
			t.Errorf("by its digest: %v, %v", got, err)
		}
		if lists := s.Count("", "_catalog") + s.Count("", "tags/list") + s.Count("", "/referrers/"); lists != 0 {
			t.Errorf("3.6: %d lists were asked for", lists)
		}
	}
}

// unknown pushes a manifest whose blobs are not there.
func unknown(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
	im := newImage(t, v2s2)
	err := n.Docker("docker").PushManifest(t.Context(), "team/app", "v1", im.mediaType, im.raw)
	ub, ok := errors.AsType[*registry.UnknownBlobError](err)
	if want := []digest.Digest{describe(im.config).Digest, describe(im.layer).Digest}; !ok || !cmp.Equal(ub.Digests, want) {
		t.Errorf("%v", err)
	}
	if puts := s.Count("PUT", "/manifests/"); puts != 1 {
		t.Errorf("%d PUTs", puts)
	}
}

func TestContractManifests(t *testing.T) {
	head500 := nexustest.Fault{On: nexustest.Match{Route: nexustest.RouteManifest, Method: "HEAD"}, Do: nexustest.Status(500, "")}
	contract(t, []row{
		{name: "3.5/docker form stays", do: unchanged(v2s2)},
		{name: "3.5/OCI form stays", do: unchanged(ociManifest)},
		{name: "3.5/missing blobs, 400", do: unknown},
		{name: "3.5/missing blobs, 404", o: nexustest.Options{Quirks: nexustest.Quirks{BlobUnknownStatus: 404}}, do: unknown},
		{name: "3.5/child under another name", do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			im := newImage(t, v2s2)
			r := n.Docker("docker")
			if err := im.push(t, r, "one", im.digest().String()); err != nil {
				t.Fatal(err)
			}
			list := indexOf(t, manifestList, im)
			ub, ok := errors.AsType[*registry.UnknownBlobError](r.PushManifest(t.Context(), "two", "v1", manifestList, list))
			if !ok || !cmp.Equal(ub.Digests, []digest.Digest{im.digest()}) {
				t.Errorf("%v", ub)
			}
			if err := r.PushManifest(t.Context(), "one", "v1", manifestList, list); err != nil {
				t.Error(err)
			}
		}},
		{name: "3.5/HEAD 500", o: nexustest.Options{Faults: []nexustest.Fault{head500}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			unchanged(v2s2)(t, s, n)
			if heads := s.Count("HEAD", "/manifests/"); heads != 1 {
				t.Errorf("a HEAD that answers 500 is asked %d times", heads)
			}
		}},
		{name: "3.5/OCI manifest served as Docker's", o: nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Route: nexustest.RouteManifest}, Do: nexustest.EditHeader(func(h http.Header) {
			if strings.HasPrefix(h.Get("Content-Type"), "application/vnd.oci.") {
				h.Set("Content-Type", v2s2)
			}
		})}}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			im := newImage(t, ociManifest)
			if err := im.push(t, n.Docker("docker"), "a", "v1"); err != nil {
				t.Error(err)
			}
			if _, d, err := n.Docker("docker").Manifest(t.Context(), "a", "v1", 1<<20); err != nil || d.Digest != im.digest() || d.MediaType != ociManifest {
				t.Errorf("%v, %v", d, err)
			}
		}},
	})
}

func TestContractManifestsRefused(t *testing.T) {
	contract(t, []row{
		{name: "3.5/no JSON", do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			matches(t, n.Docker("docker").PushManifest(t.Context(), "a", "v1", v2s2, []byte("x")), "MANIFEST_INVALID")
		}},
		{name: "3.5/OCI refused", o: nexustest.Options{Quirks: nexustest.Quirks{RefuseOCI: true}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			refused(t, newImage(t, ociManifest).push(t, n.Docker("docker"), "a", "v1"), "unsupported media type.*officially from 3.71 on.*Docker's own form")
			if err := newImage(t, v2s2).push(t, n.Docker("docker"), "a", "v1"); err != nil {
				t.Error(err)
			}
		}},
		{name: "3.5/index of more than images, 500", o: nexustest.Options{Quirks: nexustest.Quirks{IndexNPE: true}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			im, r := newImage(t, ociManifest), n.Docker("docker")
			if err := im.push(t, r, "a", im.digest().String()); err != nil {
				t.Fatal(err)
			}
			odd := describe(im.raw)
			odd.MediaType = "application/vnd.buildkit.cacheconfig.v0"
			refused(t, r.PushManifest(t.Context(), "a", "v1", ocispec.MediaTypeImageIndex, indexOf(t, ocispec.MediaTypeImageIndex, im, odd)), "null object.*lists more than plain images")
			if err := r.PushManifest(t.Context(), "a", "v1", ocispec.MediaTypeImageIndex, indexOf(t, ocispec.MediaTypeImageIndex, im)); err != nil {
				t.Error(err)
			}
		}},
		{name: "3.4/second tag of a manifest", only: nexustest.Orient340, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			r := n.Docker("docker-once")
			if err := newImage(t, v2s2).push(t, r, "a", "v1"); err != nil {
				t.Fatal(err)
			}
			refused(t, newImage(t, v2s2).push(t, r, "a", "v2"), "nothing has the name v2.*set the repository's deployment policy to allow redeploy")
		}},
	})
}

// Contract 1.3, 3.5.
func TestOCI(t *testing.T) {
	for version, want := range map[string]target.OCI{
		"3.40.1-01": target.OCIUnofficial, "3.70.4-02": target.OCIUnofficial, "2.15.1": target.OCIUnofficial, "3.16.2-01": target.OCIUnofficial,
		"3.71.0-06": target.OCIOfficial, "3.96.3-01": target.OCIOfficial, "4.0.0": target.OCIOfficial, "": target.OCIOfficial, "x": target.OCIOfficial,
	} {
		if got := (nexus.Info{Version: version}).OCI(); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}
