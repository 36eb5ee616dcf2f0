package hostile

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/manifest"
)

// large are bundles of which the root is the largest that there may be, and layouts in which
// little is read very often. All agree with their digests.
func large() []sample {
	shared := func(n int, mediaType string, add func(t *manifest.Table, i int, d digest.Digest)) func(f *os.File) error {
		return func(f *os.File) error {
			t := manifest.Table{Name: "large", Lock: digest.FromString("lock"), Arches: []string{"x86_64"}, Blobs: []manifest.Blob{{MediaType: mediaType, Digest: digest.FromString("x"), Size: 1}}}
			for i := range n {
				add(&t, i, digest.FromString("x"))
			}
			return writeBundle(f, t, "x")
		}
	}
	bundle := func(name string, want int, write func(f *os.File) error) sample {
		return sample{row: "A27", name: name, wrong: name, want: []int{want}, write: write}
	}
	config := `{"architecture":"amd64","os":"linux","x":[` + strings.Repeat("0,", 2_000_000) + `0]}`
	all := []sample{
		bundle("160000 files of one blob", 0, shared(160_000, manifest.MediaTypeFile, func(t *manifest.Table, i int, d digest.Digest) {
			t.Files = append(t.Files, manifest.File{Path: fmt.Sprint("f", i), Digest: d})
		})),
		bundle("300 images of one large config", 4, func(f *os.File) error {
			c := digest.FromString(config)
			raw := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`, mtConfig, c, len(config))
			t := manifest.Table{Name: "large", Lock: c, Arches: []string{"x86_64"}, Blobs: []manifest.Blob{
				{MediaType: mtConfig, Digest: c, Size: int64(len(config))}, {MediaType: mtManifest, Digest: digest.FromString(raw), Size: int64(len(raw))},
			}}
			for i := range 300 {
				t.Images = append(t.Images, manifest.Image{Name: fmt.Sprintf("h.io/i:%d", i), Digest: digest.FromString(raw), Platforms: []manifest.Platform{{Platform: "linux/amd64", Digest: digest.FromString(raw)}}})
			}
			return writeBundle(f, t, config, raw)
		}),
		woven("A27", "300 manifests of one large config", "a config that is read for each", func(w *web) tarball {
			c, layer := w.put(config), w.put("layer")
			list := make([]string, 300)
			for i := range list {
				list[i] = descriptor(mtManifest, w.put(fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[%s],"annotations":{"n":"%d"}}`, descriptor(mtConfig, c, ""), descriptor(mtLayer, layer, ""), i)), "")
			}
			return w.tar(index(list...))
		}),
	}
	if full {
		all = append(all, bundle("58000 charts of one blob", 0, shared(58_000, manifest.MediaTypeChart, func(t *manifest.Table, i int, d digest.Digest) {
			t.Charts = append(t.Charts, manifest.Chart{Name: fmt.Sprint("c", i), Version: "1", Digest: d})
		})), bundle("145000 blobs of no artifact", 4, shared(145_000, "a/b", func(t *manifest.Table, i int, _ digest.Digest) {
			t.Blobs = append(t.Blobs, manifest.Blob{MediaType: "a/b", Digest: digest.FromString(fmt.Sprint(i)), Size: int64(len(fmt.Sprint(i)))})
		})))
	}
	return all
}

// writeBundle writes the bundle of a table. Contents that are not given are numbers.
func writeBundle(f *os.File, t manifest.Table, contents ...string) error {
	b, err := manifest.New(t)
	if err != nil {
		return err
	}
	data := b.Generated()
	for _, s := range contents {
		data[digest.FromString(s)] = []byte(s)
	}
	for i := 0; len(data) < b.NumBlobs(); i++ {
		data[digest.FromString(fmt.Sprint(i))] = fmt.Append(nil, i)
	}
	members := []member{{name: "oci-layout", data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {name: "index.json", data: b.Index()}}
	for d := range b.EachBlob() {
		members = append(members, member{name: "blobs/sha256/" + d.Digest.Encoded(), data: data[d.Digest]})
	}
	return tarball{members: members}.write(f)
}

// TestLargest: the largest root there may be, and contents that many share, keep the bounds.
// Reports as text only: one in JSON fills the memory of the test, which counts for what it starts.
func TestLargest(t *testing.T) {
	for _, s := range large() {
		t.Run(s.String(), func(t *testing.T) {
			r := start(t, "seeder", "verify", s.file(t, t.TempDir()))
			r.bounded(t)
			if !slices.Contains(s.codes(), r.code) {
				t.Errorf("exit code %d, want %v:\n%s", r.code, s.codes(), clip(r.stdout+r.stderr))
			}
			t.Logf("%v, %d MB", r.cpu, r.memory/1e6)
		})
	}
}
