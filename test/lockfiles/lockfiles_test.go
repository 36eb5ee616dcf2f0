package lockfiles

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/lockfile"
	"airbundle/internal/rpm"
	"airbundle/internal/source/web"
	"airbundle/manifest"
)

const dir = "../../lockfiles"

// A pair is a request and the lock of what of it could be pinned.
type pair struct {
	name    string
	request *lockfile.Request
	lock    *lockfile.Lock
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// pairs decodes all requests and locks. Both decoders are strict.
func pairs(t *testing.T) []pair {
	t.Helper()
	locks, err := filepath.Glob(filepath.Join(dir, "*.lock.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(locks) == 0 || len(all) != 2*len(locks) {
		t.Fatalf("%s has %d locks among %d YAML files, want one for each request", dir, len(locks), len(all))
	}
	var out []pair
	for _, file := range locks {
		p := pair{name: strings.TrimSuffix(filepath.Base(file), ".lock.yaml")}
		if p.request, err = lockfile.DecodeRequest(p.name+".yaml", read(t, p.name+".yaml")); err != nil {
			t.Fatal(err)
		}
		if p.lock, err = lockfile.DecodeLock(p.name+".lock.yaml", read(t, p.name+".lock.yaml")); err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func TestCanonical(t *testing.T) {
	for _, p := range pairs(t) {
		if p.request.Name != p.name || p.lock.Name != p.name {
			t.Errorf("%s: the request is named %s, the lock %s", p.name, p.request.Name, p.lock.Name)
		}
		for file, encode := range map[string]func() ([]byte, error){".yaml": p.request.Encode, ".lock.yaml": p.lock.Encode} {
			got, err := encode()
			if err != nil {
				t.Error(err)
			}
			if want := read(t, p.name+file); !bytes.Equal(got, want) {
				t.Errorf("%s%s is not in canonical form (-file +canonical):\n%s", p.name, file, cmp.Diff(string(want), string(got)))
			}
		}
	}
}

// TestLocksFollowRequests keeps each lock a part of what its request would become.
func TestLocksFollowRequests(t *testing.T) {
	for _, p := range pairs(t) {
		for _, arch := range p.lock.Arches {
			if !slices.Contains(p.request.Arches, arch) {
				t.Errorf("%s: the request has no %s", p.name, arch)
			}
		}
		wished := map[string]lockfile.ImageWish{}
		for _, w := range p.request.Images {
			wished[w.Source] = w
		}
		for _, i := range p.lock.Images {
			got := lockfile.ImageWish{Source: i.Source, Publish: i.Publish, Groups: i.Groups, Note: i.Note}
			if diff := cmp.Diff(wished[i.Source], got); diff != "" {
				t.Errorf("%s: image %s (-request +lock):\n%s", p.name, i.Source, diff)
			}
		}
		files := map[string]lockfile.FileWish{}
		for _, f := range expanded(t, p.request) {
			files[f.Path] = f
		}
		for _, f := range p.lock.Files {
			w := files[f.Path]
			got := lockfile.FileWish{Path: f.Path, URL: f.URLs[0], Checksums: w.Checksums, Groups: f.Groups, Note: f.Note}
			if f.Arch != "" {
				got.Arches = []string{f.Arch}
			}
			if diff := cmp.Diff(w, got); diff != "" || len(f.URLs) != 1 {
				t.Errorf("%s: file %s, %d URLs (-request +lock):\n%s", p.name, f.Path, len(f.URLs), diff)
			}
		}
		for _, r := range p.lock.RPMs {
			if !slices.ContainsFunc(p.request.Packages, func(s lockfile.PackageSet) bool {
				return s.Into+"/"+r.BaseArch == r.Repo && slices.Contains(archesOf(s.Arches, p.request), r.BaseArch)
			}) {
				t.Errorf("%s: package %s goes into %s, which no set of the request does", p.name, r.NEVRA(), r.Repo)
			}
		}
	}
}

func archesOf(own []string, r *lockfile.Request) []string {
	if len(own) > 0 {
		return own
	}
	return r.Arches
}

func expanded(t *testing.T, r *lockfile.Request) []lockfile.FileWish {
	t.Helper()
	var out []lockfile.FileWish
	for _, f := range r.Files {
		e, err := f.Expand(r.Arches)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e...)
	}
	return out
}

// TestRequestsMakeLocks: with made-up digests for all that is wanted, each request gives a
// lock that can be read, so no two of its names, paths or sources are in each other's way.
func TestRequestsMakeLocks(t *testing.T) {
	for _, p := range pairs(t) {
		l := &lockfile.Lock{Name: p.name, Arches: p.request.Arches}
		for _, w := range p.request.Images {
			_, pinned, ok := strings.Cut(w.Source, "@")
			i := lockfile.Image{Source: w.Source, Digest: digest.Digest(pinned), Publish: w.Publish, Groups: w.Groups, Platforms: map[string]digest.Digest{}}
			if !ok {
				i.Digest = digest.FromString(w.Source)
			}
			for _, arch := range p.request.Arches {
				i.Platforms[manifest.PlatformFor(arch)] = digest.FromString(w.Source + arch)
			}
			l.Images = append(l.Images, i)
		}
		for _, f := range expanded(t, p.request) {
			l.Files = append(l.Files, lockfile.File{Path: f.Path, URLs: []string{f.URL}, Size: 1, Digest: digest.FromString(f.URL), Groups: f.Groups})
		}
		for _, c := range p.request.Charts {
			l.Charts = append(l.Charts, lockfile.Chart{Name: c.Name, Version: c.Version, URLs: []string{c.Repo}, Size: 1, Digest: digest.FromString(c.Name)})
		}
		data, err := l.Encode()
		if err == nil {
			_, err = lockfile.DecodeLock(p.name, data)
		}
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

// TestPublishedNamesAreUnique makes it possible to push all locks into one registry.
func TestPublishedNamesAreUnique(t *testing.T) {
	taken := map[string]string{}
	for _, p := range pairs(t) {
		for _, w := range p.request.Images {
			for _, name := range w.Publish {
				if other, dup := taken[name]; dup && other != w.Source {
					t.Errorf("%s: %s is published by %s and by %s", p.name, name, other, w.Source)
				}
				taken[name] = w.Source
			}
		}
	}
}

// A sum is one line of a list of checksums.
type sum struct{ list, name string }

// sums reads the lists that requests name, by the digests in them.
func sums(t *testing.T) map[sum]digest.Digest {
	t.Helper()
	source := web.New(http.DefaultClient, dir)
	out := map[sum]digest.Digest{}
	for _, p := range pairs(t) {
		for _, f := range expanded(t, p.request) {
			if f.Checksums == "" {
				continue
			}
			list, err := source.Checksums(t.Context(), f.Checksums)
			if err != nil {
				t.Fatal(err)
			}
			for name, d := range list {
				out[sum{strings.TrimPrefix(f.Checksums, "file:"), name}] = d
			}
		}
	}
	return out
}

// TestChecksums: every file with a list of checksums is in it, with the digest that the
// lock has where the lock has it, and no list says anything else.
func TestChecksums(t *testing.T) {
	all := sums(t)
	unused := maps.Clone(all)
	for _, p := range pairs(t) {
		for _, f := range expanded(t, p.request) {
			if f.Checksums == "" {
				continue
			}
			key := sum{strings.TrimPrefix(f.Checksums, "file:"), path.Base(f.URL)}
			want, ok := all[key]
			if !ok {
				t.Errorf("%s: %s does not name %s", p.name, key.list, key.name)
			}
			delete(unused, key)
			for _, l := range p.lock.Files {
				if l.Path == f.Path && l.Digest != want {
					t.Errorf("%s: %s is locked as %s, %s says %s", p.name, f.Path, l.Digest, key.list, want)
				}
			}
		}
	}
	for key := range unused {
		t.Errorf("%s: no request wants %s", key.list, key.name)
	}
	lists, err := filepath.Glob(filepath.Join(dir, "sums", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(s sum) bool { return s.list == "sums/"+filepath.Base(list) }) {
			t.Errorf("%s: no request names it", list)
		}
	}
}

// TestKeys: what a lock calls a key is that key, and a key file that is not here is said
// to be missing.
func TestKeys(t *testing.T) {
	armor := map[string]bool{}
	for _, p := range pairs(t) {
		for _, k := range p.lock.Keys {
			keys, err := rpm.ReadKeys(k.Armor)
			if err == nil {
				_, err = rpm.SelectKey(keys, k.ID)
			}
			if err != nil || len(keys) != 1 {
				t.Errorf("%s: key %s: %d keys, %v", p.name, k.ID, len(keys), err)
			}
			armor[k.Armor] = true
		}
		for _, r := range p.request.Repos {
			if len(r.GPGKeys) == 0 {
				t.Errorf("%s: repo %s: no key vouches for its packages", p.name, r.ID)
			}
			for _, file := range r.GPGKeys {
				data, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil && !strings.Contains(r.Note, "key") {
					t.Errorf("%s: repo %s: %v, and its note does not say so", p.name, r.ID, err)
				}
				if err == nil && !armor[string(data)] {
					t.Errorf("%s: repo %s: %s is not one of the lock's keys", p.name, r.ID, file)
				}
			}
		}
	}
}

// TestReadme compares the table of counts with the files.
func TestReadme(t *testing.T) {
	readme := string(read(t, "README.md"))
	for _, p := range pairs(t) {
		n := p.count(t)
		row := fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d |", p.name,
			len(p.lock.Images), len(p.lock.RPMs), len(p.lock.Files), len(p.lock.Charts),
			n.imagesLeft, n.indexKnown, n.packagesLeft, n.filesLeft, n.sumKnown, n.chartsLeft)
		if !strings.Contains(readme, row+"\n") {
			t.Errorf("README.md lacks the row\n%s", row)
		}
	}
}

// counts are of wishes that the lock does not pin, and of those with a known digest.
type counts struct {
	imagesLeft, indexKnown, packagesLeft, filesLeft, sumKnown, chartsLeft int
}

func (p pair) count(t *testing.T) counts {
	t.Helper()
	pinned := map[string]bool{}
	for _, i := range p.lock.Images {
		pinned["image "+i.Source] = true
	}
	for _, f := range p.lock.Files {
		pinned["file "+f.Path] = true
	}
	for _, c := range p.lock.Charts {
		pinned["chart "+c.Name+" "+c.Version] = true
	}
	for _, r := range p.lock.RPMs {
		pinned["package "+r.Name+" "+r.Repo] = true
	}
	var n counts
	for _, w := range p.request.Images {
		if !pinned["image "+w.Source] {
			n.imagesLeft++
			n.indexKnown += strings.Count(w.Source+" "+w.Note, "sha256:")
		}
	}
	for _, f := range expanded(t, p.request) {
		if !pinned["file "+f.Path] {
			n.filesLeft++
			if f.Checksums != "" {
				n.sumKnown++
			}
		}
	}
	for _, c := range p.request.Charts {
		if !pinned["chart "+c.Name+" "+c.Version] {
			n.chartsLeft++
		}
	}
	for _, s := range p.request.Packages {
		for _, arch := range archesOf(s.Arches, p.request) {
			for _, spec := range s.Install {
				if !pinned["package "+spec+" "+s.Into+"/"+arch] {
					n.packagesLeft++
				}
			}
		}
	}
	return n
}

// platforms of an image in the words of the facts.
func platforms(i lockfile.Image) map[string]digest.Digest {
	out := map[string]digest.Digest{"index": i.Digest}
	for p, d := range i.Platforms {
		out[manifest.GoArch(manifest.ArchOf(p))] = d
	}
	return out
}
