package interchange

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

// rpmsInto is the repository path at the target that imported packages go into,
// with $basearch after it.
const rpmsInto = "imported"

// Into adds the wishes to a request. What both ask for is one wish; a reference
// with a digest takes the place of the same reference without. Packages are asked
// for by their full names, out of the repositories that the request has under the
// same ids, one set for each arch. Contradictions (one name with two digests, one
// path with two URLs, a repository that the request does not have) are an
// *lockfile.Errors, and the request stays as it was. Packages of arches that the
// request does not have are left out; Notes says so.
func (i *Imported) Into(r *lockfile.Request) error {
	m := &merge{reader: &reader{file: i.File, out: i}, r: *r}
	m.images(i.Images)
	m.files(i.Files)
	m.charts(i.Charts)
	m.rpms(i.RPMs)
	if err := m.err(); err != nil {
		return err
	}
	if _, err := m.r.Encode(); err != nil {
		return fmt.Errorf("%s does not go together with the request: %w", i.File, err)
	}
	*r = m.r
	return nil
}

// A merge works on a copy of the request, so that a failure changes nothing.
type merge struct {
	*reader
	r lockfile.Request
}

// imageName is what a reference names, and the digest that it pins: NAME:TAG, or
// NAME@DIGEST where there is no tag. Sources on disk name themselves.
func imageName(source string) (name string, d digest.Digest) {
	named, d := splitDigest(source)
	if named == nil {
		return source, ""
	}
	if t, ok := named.(reference.Tagged); ok {
		return named.Name() + ":" + t.Tag(), d
	}
	if d != "" {
		return named.Name() + "@" + string(d), d
	}
	return reference.TagNameOnly(named).String(), ""
}

func (m *merge) images(wishes []lockfile.ImageWish) {
	all := slices.Clone(m.r.Images)
	at := map[string]int{}
	for i, w := range all {
		name, _ := imageName(w.Source)
		at[name] = i
	}
	for _, w := range wishes {
		name, d := imageName(w.Source)
		i, known := at[name]
		if !known {
			at[name] = len(all)
			all = append(all, w)
			continue
		}
		old := all[i]
		_, before := imageName(old.Source)
		switch {
		case d != "" && before != "" && d != before:
			m.bad(int(w.Line), "image %s is pinned to %s here and to %s before", name, d, before)
		case d != "" && before == "":
			old.Source = w.Source
		}
		old.Publish, old.Groups = union(old.Publish, w.Publish), union(old.Groups, w.Groups)
		all[i] = old
	}
	m.r.Images = all
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (m *merge) files(wishes []lockfile.FileWish) {
	all := slices.Clone(m.r.Files)
	at := map[string]string{}
	for _, w := range all {
		at[w.Path] = w.URL
	}
	for _, w := range wishes {
		switch from, known := at[w.Path]; {
		case !known:
			at[w.Path] = w.URL
			all = append(all, w)
		case from != w.URL:
			m.bad(int(w.Line), "file %s comes from another URL here than before", lockfile.Show(w.Path))
		}
	}
	m.r.Files = all
}

func (m *merge) charts(wishes []lockfile.ChartWish) {
	all := slices.Clone(m.r.Charts)
	at := map[string]string{}
	for _, w := range all {
		at[w.Name+" "+w.Version] = strings.TrimSuffix(w.Repo, "/")
	}
	for _, w := range wishes {
		key, repo := w.Name+" "+w.Version, strings.TrimSuffix(w.Repo, "/")
		switch from, known := at[key]; {
		case !known:
			at[key] = repo
			all = append(all, w)
		case from != repo:
			m.bad(int(w.Line), "chart %s comes from another repository here than before", lockfile.Show(key))
		}
	}
	m.r.Charts = all
}

func (m *merge) rpms(pins []PinnedRPM) {
	sets := map[string]*lockfile.PackageSet{}
	first := map[string]PinnedRPM{}
	left := map[string]int{}
	for _, p := range pins {
		key := p.BaseArch + " " + p.NEVRA()
		if old, known := first[key]; known {
			if old.Checksum != p.Checksum || old.Size != p.Size {
				m.bad(p.Line, "package %s has another checksum or size than at line %d", p.NEVRA(), old.Line)
			}
			continue
		}
		first[key] = p
		if !slices.Contains(m.r.Arches, p.BaseArch) {
			left[p.BaseArch]++
			continue
		}
		if !m.hasRepo(p) {
			continue
		}
		set := sets[p.BaseArch]
		if set == nil {
			set = &lockfile.PackageSet{Into: rpmsInto, Arches: []string{p.BaseArch}, Note: m.from(), Line: lockfile.Line(p.Line)}
			sets[p.BaseArch] = set
		}
		set.Install = append(set.Install, p.NEVRA())
		set.From = union(set.From, []string{p.RepoID})
	}
	m.r.Packages = slices.Clone(m.r.Packages)
	for _, arch := range m.r.Arches {
		if set := sets[arch]; set != nil {
			m.r.Packages = append(m.r.Packages, *set)
		}
	}
	for _, arch := range []string{"x86_64", "aarch64"} {
		if n := left[arch]; n > 0 {
			m.out.Notes = append(m.out.Notes, fmt.Sprintf("%s: %d packages for %s are left out: the request has no such arch", m.file, n, arch))
		}
	}
}

// hasRepo asks for the repository that a package came from.
func (m *merge) hasRepo(p PinnedRPM) bool {
	for _, repo := range m.r.Repos {
		if repo.ID == p.RepoID && (len(repo.Arches) == 0 || slices.Contains(repo.Arches, p.BaseArch)) {
			return true
		}
	}
	m.bad(p.Line, "package %s is from the repository %q, which repos of the request do not have for %s: add it, with its gpgkeys",
		p.NEVRA(), lockfile.Show(p.RepoID), p.BaseArch)
	return false
}

// Check compares what was locked with what the file pins: a package that is not in
// the lock, or has another sha256 or size there, is an error of class content.
func (i *Imported) Check(l *lockfile.Lock) error {
	locked := map[string]lockfile.RPM{}
	for _, p := range l.RPMs {
		locked[p.BaseArch+" "+p.NEVRA()] = p
	}
	var errs []error
	for _, want := range i.RPMs {
		if !slices.Contains(l.Arches, want.BaseArch) {
			continue
		}
		got, ok := locked[want.BaseArch+" "+want.NEVRA()]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s:%d: package %s is not in the lock", i.File, want.Line, want.NEVRA()))
		case got.Size != want.Size:
			errs = append(errs, fmt.Errorf("%s:%d: package %s has %d bytes in the lock, %d here", i.File, want.Line, want.NEVRA(), got.Size, want.Size))
		case strings.HasPrefix(want.Checksum, "sha256:") && want.Checksum != string(got.Digest):
			errs = append(errs, fmt.Errorf("%s:%d: package %s is %s in the lock, %s here", i.File, want.Line, want.NEVRA(), got.Digest, want.Checksum))
		}
	}
	return report.WithClass(report.ClassContent, errors.Join(errs...))
}
