package image

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/fuzztest"
	"airbundle/manifest"
)

// Whatever a file holds, an image read from it is what its digests say, and all that its
// manifest names can be opened or is refused with an error.
func FuzzArchive(f *testing.F) {
	for _, entries := range savedForms(f) {
		if raw := tarBytes(f, entries...); len(raw) < 16<<10 {
			f.Add(raw)
		}
	}
	config := `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`
	d, name := sha(config)
	body := `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","config":{"mediaType":"` + ocispec.MediaTypeImageConfig + `","digest":"` + string(d) + `","size":` + "78" + `},"layers":[]}`
	m, blob := sha(body)
	f.Add(tarBytes(f,
		tarEntry{name: ocispec.ImageLayoutFile, body: `{"imageLayoutVersion":"1.0.0"}`},
		tarEntry{name: ocispec.ImageIndexFile, body: `{"schemaVersion":2,"manifests":[{"mediaType":"` + ocispec.MediaTypeImageManifest + `","digest":"` + string(m) + `","size":` + "276" + `}]}`},
		tarEntry{name: name, body: config}, tarEntry{name: blob, body: body}))
	fuzztest.Run(f, func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "a.tar")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{archivePrefix, dockerPrefix} {
			s := New(Options{})
			o, err := s.origin(prefix + path)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := o.resolve(t.Context())
			if err != nil {
				continue
			}
			if digest.FromBytes(doc.raw) != doc.desc.Digest || int64(len(doc.raw)) != doc.desc.Size {
				t.Errorf("%s: %v is not the digest of %q", prefix, doc.desc, doc.raw)
			}
			node, err := manifest.ParseImage(doc.desc.MediaType, doc.raw)
			if err != nil {
				continue
			}
			for _, b := range node.Blobs() {
				rc, err := o.blob(t.Context(), b)
				if err != nil {
					continue
				}
				n, err := io.Copy(io.Discard, rc)
				if err == nil && n > int64(len(raw)) {
					t.Errorf("%s: a blob of %d bytes in a file of %d", prefix, n, len(raw))
				}
				rc.Close()
			}
		}
	})
}

// A source is taken apart as docker does it, names a tag or a digest afterwards, and the
// error does not tell the login that stands before a host.
func FuzzReference(f *testing.F) {
	for _, s := range []string{"busybox", "quay.io/a/b:1@" + string(digest.FromString("x")), "host:5000/../x", "https://u:canary@h/a", "oci-layout:dir:ref", "docker-archive:/a:b:c", "u:canary@h/a:1", "[::1]:5000/a"} {
		f.Add(s)
	}
	fuzztest.Run(f, func(t *testing.T, source string) {
		if _, rest, local := cutLocal(source); local {
			path, _, err := splitPath("/base", rest)
			if err == nil && (!filepath.IsAbs(path) || path != filepath.Clean(path)) {
				t.Errorf("%q is the path %q", source, path)
			}
			return
		}
		named, err := parseReference(source)
		if err != nil {
			rest := strings.TrimPrefix(strings.TrimPrefix(source, "https://"), "http://")
			if strings.HasPrefix(rest, "u:canary@h/") && strings.Count(source, "@") == 1 && strings.Contains(err.Error(), "canary") {
				t.Errorf("%q: %v", source, err)
			}
			return
		}
		if reference.IsNameOnly(named) {
			t.Errorf("%q is %v, without tag and digest", source, named)
		}
		again, err := parseReference(named.String())
		if err != nil || again.String() != named.String() {
			t.Errorf("%q is %v, which is %v, %v", source, named, again, err)
		}
	})
}
