package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/rpmpack"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/lockfile"
	"airbundle/manifest"
)

const request = `apiVersion: airbundle/v1
kind: Request
name: demo
arches: [x86_64, aarch64]
images:
  - source: oci-layout:image:seeder
    publish: [airbundle/seeder:demo]
files:
  - path: seeder/{goarch}/seeder-{goarch}.tar.gz
    url: file:seeder-{goarch}.tar.gz
`

// artifacts makes what the demo carries, all of it from the static seeder programs.
func (d *demo) artifacts() error {
	var manifests []ocispec.Descriptor
	for _, arch := range manifest.Arches() {
		goArch := manifest.GoArch(arch)
		program, err := os.ReadFile(d.path("seeder-" + goArch))
		if err != nil {
			return err
		}
		tgz, err := tarball(program)
		if err != nil {
			return err
		}
		if err := os.WriteFile(d.path("seeder-"+goArch+".tar.gz"), tgz, 0o600); err != nil {
			return err
		}
		m, err := d.imageFor(goArch, tgz)
		if err != nil {
			return err
		}
		manifests = append(manifests, m)
		fmt.Printf("   seeder-%s.tar.gz and a %s/%s image: %d bytes each\n", goArch, "linux", goArch, len(tgz))
	}
	if err := d.layout(manifests); err != nil {
		return err
	}
	return os.WriteFile(d.path("demo.yaml"), []byte(request), 0o600)
}

// tarball is a .tar.gz of the program as usr/bin/seeder: a release file and an image
// layer at once.
func tarball(program []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	t := tar.NewWriter(z)
	if err := t.WriteHeader(&tar.Header{Name: "usr/bin/seeder", Mode: 0o755, Size: int64(len(program)), Format: tar.FormatUSTAR}); err != nil {
		return nil, err
	}
	if _, err := t.Write(program); err != nil {
		return nil, err
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	err := z.Close()
	return b.Bytes(), err
}

// imageFor writes one platform's blobs into the layout and returns its manifest.
func (d *demo) imageFor(goArch string, layer []byte) (ocispec.Descriptor, error) {
	z, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	diffID := sha256.New()
	if _, err := io.Copy(diffID, z); err != nil {
		return ocispec.Descriptor{}, err
	}
	platform := ocispec.Platform{OS: "linux", Architecture: goArch}
	config, err := d.jsonBlob(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: platform, Config: ocispec.ImageConfig{Entrypoint: []string{"/usr/bin/seeder"}},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.NewDigest(digest.SHA256, diffID)}},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	layerDesc, err := d.blob(ocispec.MediaTypeImageLayerGzip, layer)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	m, err := d.jsonBlob(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layerDesc},
	})
	m.Platform = &platform
	return m, err
}

// layout writes the index of both platforms and the files of an OCI layout.
func (d *demo) layout(manifests []ocispec.Descriptor) error {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests}
	desc, err := d.jsonBlob(ocispec.MediaTypeImageIndex, index)
	if err != nil {
		return err
	}
	desc.Annotations = map[string]string{ocispec.AnnotationRefName: "seeder"}
	index.Manifests = []ocispec.Descriptor{desc}
	top, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("image", ocispec.ImageIndexFile), top, 0o600); err != nil {
		return err
	}
	return os.WriteFile(d.path("image", ocispec.ImageLayoutFile), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600)
}

func (d *demo) jsonBlob(mediaType string, v any) (ocispec.Descriptor, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return d.blob(mediaType, raw)
}

func (d *demo) blob(mediaType string, raw []byte) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := os.MkdirAll(d.path("image", "blobs", "sha256"), 0o700); err != nil {
		return desc, err
	}
	return desc, os.WriteFile(d.path("image", "blobs", "sha256", desc.Digest.Encoded()), raw, 0o600)
}

// addRPMs makes a signed RPM for each arch and pins it in the lock, with its key.
func (d *demo) addRPMs() error {
	key, err := openpgp.NewEntity("airbundle demo", "throw-away key", "demo@localhost", &packet.Config{RSABits: 2048, DefaultHash: crypto.SHA256})
	if err != nil {
		return err
	}
	id := strings.ToLower(key.PrimaryKey.KeyIdString())
	data, err := os.ReadFile(d.path("demo.lock.yaml"))
	if err != nil {
		return err
	}
	lock, err := lockfile.DecodeLock("demo.lock.yaml", data)
	if err != nil {
		return err
	}
	armored, err := publicKey(key)
	if err != nil {
		return err
	}
	lock.Keys = append(lock.Keys, lockfile.Key{ID: id, Armor: armored})
	for _, arch := range manifest.Arches() {
		raw, err := d.rpmFor(arch, manifest.GoArch(arch), key)
		if err != nil {
			return err
		}
		r := lockfile.RPM{Name: "seeder", EVR: "1.0-1", Arch: arch, BaseArch: arch, Repo: "demo/" + arch,
			Size: int64(len(raw)), Digest: digest.FromBytes(raw), Signer: id}
		r.URLs = []string{"file:" + r.File()}
		if err := os.WriteFile(d.path(r.File()), raw, 0o600); err != nil {
			return err
		}
		fmt.Printf("     pinned %s, signed by %s\n", r.File(), id)
		lock.RPMs = append(lock.RPMs, r)
	}
	out, err := lock.Encode()
	if err != nil {
		return err
	}
	return os.WriteFile(d.path("demo.lock.yaml"), out, 0o600)
}

func (d *demo) rpmFor(arch, goArch string, key *openpgp.Entity) ([]byte, error) {
	program, err := os.ReadFile(d.path("seeder-" + goArch))
	if err != nil {
		return nil, err
	}
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "seeder", Version: "1.0", Release: "1", Arch: arch, OS: "linux",
		Summary: "The air-gapped side of airbundle", Licence: "Apache-2.0", Compressor: "gzip"})
	if err != nil {
		return nil, err
	}
	r.AddFile(rpmpack.RPMFile{Name: "/usr/bin/seeder", Body: program, Mode: 0o755, Owner: "root", Group: "root"})
	r.SetPGPSigner(func(header []byte) ([]byte, error) {
		var sig bytes.Buffer
		err := openpgp.DetachSign(&sig, key, bytes.NewReader(header), &packet.Config{DefaultHash: crypto.SHA256})
		return sig.Bytes(), err
	})
	var out bytes.Buffer
	err = r.Write(&out)
	return out.Bytes(), err
}

func publicKey(key *openpgp.Entity) (string, error) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		return "", err
	}
	if err := key.Serialize(w); err != nil {
		return "", err
	}
	err = w.Close()
	return b.String() + "\n", err
}
