package lockfile

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/manifest"
)

// maxBlob bounds sizes, so that no sum over a lock can overflow.
const maxBlob = 16 << 40

// A lockChecker holds what entries of a lock are compared with.
type lockChecker struct {
	*checker
	l        *Lock
	keys     map[string]bool
	sizes    map[digest.Digest]sized
	absent   map[string]int // lines of the absences, by absentKey
	sources  claims
	publish  claims
	packages claims
	paths    claims // of the raw repository
	charts   claims
}

// A sized is the first entry with a digest.
type sized struct {
	claim
	size int64
}

func checkLock(c *checker, l *Lock) {
	k := &lockChecker{
		checker: c, l: l,
		keys: map[string]bool{}, sizes: map[digest.Digest]sized{},
		sources: claims{}, publish: claims{}, packages: claims{}, paths: claims{}, charts: claims{},
	}
	k.header(&l.Name, &l.Arches)
	k.release()
	k.keyRing()
	k.absent = k.absences(l.Absent, &l.Arches)
	for i := range l.Images {
		k.image(&l.Images[i])
	}
	for i := range l.RPMs {
		k.rpm(&l.RPMs[i])
	}
	for i := range l.Files {
		k.file(&l.Files[i])
	}
	for i := range l.Charts {
		k.chart(&l.Charts[i])
	}
	k.metadata()
	k.derived()
	k.directories()
	k.accepted(l.Accept)
}

func (k *lockChecker) release() {
	l := k.l
	if _, given := k.at[&l.Serial]; l.Serial < 0 || given && l.Serial == 0 {
		k.errorf(&l.Serial, "serial %d is not above 0", l.Serial)
	}
	if !l.Expires.IsZero() {
		if err := checkTime(l.Expires.UTC()); err != nil {
			k.errorf(&l.Expires, "expires: %v", err)
		}
	}
	if l.Base != "" {
		k.wantAt(&l.Base, "base", string(l.Base), checkDigest)
	}
}

func (k *lockChecker) keyRing() {
	ids := claims{}
	for i := range k.l.Keys {
		key := &k.l.Keys[i]
		if !k.enter(key, key.Line, "key", key.ID) {
			k.bad[&k.l.Keys] = true // no signer can be told to be unknown
			continue
		}
		k.want(&key.ID, "id", checkKeyID)
		k.want(&key.Armor, "armor", manifest.CheckArmor)
		k.notes(nil, &key.Note)
		k.claim(ids, &key.ID, "id", key.ID, "")
		k.keys[key.ID] = true
	}
}

// blob checks what every downloaded artifact has, and that one digest has one
// size.
func (k *lockChecker) blob(urls *[]string, size *int64, d *digest.Digest) {
	k.blobFrom(checkURL, urls, size, d)
}

// blobFrom is blob for urls that are judged by check.
func (k *lockChecker) blobFrom(check func(string) error, urls *[]string, size *int64, d *digest.Digest) {
	k.some(urls, "urls", check)
	_, given := k.at[size]
	switch {
	case *size == 0 && !given:
		k.errorf(size, "size is missing")
	case *size <= 0 || *size > maxBlob:
		k.errorf(size, "size %d is not between 1 and %d", *size, int64(maxBlob))
	}
	if !k.wantAt(d, "digest", string(*d), checkDigest) || k.bad[size] || *size <= 0 {
		return
	}
	first, dup := k.sizes[*d]
	switch {
	case !dup:
		k.sizes[*d] = sized{claim{line: k.line}, *size}
	case first.size != *size:
		k.errorf(size, "size %d: the same digest has size %d %s", *size, first.size, first.where())
	}
}

func (k *lockChecker) image(i *Image) {
	if !k.enter(i, i.Line, "image", i.Source) {
		return
	}
	if k.want(&i.Source, "source", checkSource) {
		k.claim(k.sources, &i.Source, "source", sourceKey(i.Source), i.Digest)
	}
	if k.wantAt(&i.Digest, "digest", string(i.Digest), checkDigest) {
		if pinned := sourceDigest(i.Source); pinned != "" && pinned != i.Digest {
			k.errorf(&i.Digest, "digest is not the one that source pins")
		}
	}
	k.platforms(i)
	if i.Local() && len(i.Publish) == 0 {
		k.errorf(&i.Publish, "publish is missing: an image from disk has no name of its own")
	}
	k.publishes(&i.Publish, k.publish, i.Digest)
	k.notes(&i.Groups, &i.Note)
}

func (k *lockChecker) platforms(i *Image) {
	if len(i.Platforms) == 0 {
		k.errorf(&i.Platforms, "platforms is missing or empty")
		return
	}
	for _, p := range slices.Sorted(maps.Keys(i.Platforms)) {
		field := itemKey{&i.Platforms, p}
		arch := manifest.ArchOf(p)
		if arch == "" {
			k.errorf(field, "platform %q is not known, known are %s", show(p), knownPlatforms())
			continue
		}
		k.among(field, "platform "+p+": arch", arch, &k.l.Arches, "arches")
		if line, absent := k.absent[absentKey("source", i.Source, arch)]; absent {
			k.errorf(field, "platform %s is said to be absent %s", p, claim{line: line}.where())
		}
		d := i.Platforms[p]
		if k.wantAt(field, "digest of "+p, string(d), checkDigest) && d == i.Digest && len(i.Platforms) > 1 {
			k.errorf(field, "%s has the digest of the whole image, so the image has no other platform", p)
		}
	}
	if k.bad[&k.l.Arches] || k.bad[&k.l.Absent] {
		return
	}
	for _, arch := range k.l.Arches {
		p := manifest.PlatformFor(arch)
		_, carried := i.Platforms[p]
		_, absent := k.absent[absentKey("source", i.Source, arch)]
		if !carried && !absent && p != "" {
			k.errorf(&i.Platforms, "platforms lack %s: a missing arch is said, absent: [{source: %s, arch: %s, why: …}]",
				p, show(i.Source), arch)
		}
	}
}

func knownPlatforms() string {
	var out []string
	for _, arch := range manifest.Arches() {
		out = append(out, manifest.PlatformFor(arch))
	}
	return strings.Join(out, ", ")
}

func (k *lockChecker) rpm(r *RPM) {
	name := r.Name
	if name != "" && r.EVR != "" && r.Arch != "" {
		name = r.NEVRA()
	}
	if !k.enter(r, r.Line, "rpm", name) {
		k.bad[&k.l.RPMs] = true // no repository can be told to have no RPM
		return
	}
	ok := k.want(&r.Name, "name", checkRPMName)
	ok = k.want(&r.EVR, "evr", checkEVR) && ok
	ok = k.want(&r.Arch, "arch", checkRPMArch) && ok
	ok = k.want(&r.Repo, "repo", checkPath) && ok
	k.archOf(&r.BaseArch, "basearch", &k.l.Arches)
	if r.BaseArch != "" && !manifest.FitsArch(r.Arch, r.BaseArch) {
		k.errorf(&r.Arch, "arch %s does not belong to basearch %s", r.Arch, show(r.BaseArch))
	}
	if ok {
		k.claim(k.packages, &r.Name, "package", r.Path(), r.Digest)
	}
	k.blob(&r.URLs, &r.Size, &r.Digest)
	k.signature(r)
	k.notes(&r.Groups, &r.Note)
}

func (k *lockChecker) signature(r *RPM) {
	switch {
	case r.Signer == "" && r.Unsigned == "" && !k.bad[&r.Signer] && !k.bad[&r.Unsigned]:
		k.errorf(r, "signer is missing: name one of keys, or say unsigned: accepted and why:")
	case r.Signer != "" && r.Unsigned != "":
		k.errorf(&r.Unsigned, "signer and unsigned exclude each other")
	}
	k.may(&r.Signer, "signer", checkKeyID)
	if r.Signer != "" && !k.keys[r.Signer] && !k.bad[&k.l.Keys] {
		k.errorf(&r.Signer, "signer %s is not one of keys", show(r.Signer))
	}
	if r.Unsigned == "" {
		if r.Why != "" {
			k.errorf(&r.Why, "why goes with unsigned: accepted")
		}
		return
	}
	if r.Unsigned != "accepted" {
		k.errorf(&r.Unsigned, "unsigned is %q, want accepted", show(r.Unsigned))
	}
	k.want(&r.Why, "why", checkWhy)
}

func (k *lockChecker) file(f *File) {
	if !k.enter(f, f.Line, "file", f.Path) {
		return
	}
	if k.want(&f.Path, "path", checkPath) {
		k.claim(k.paths, &f.Path, "path", f.Path, f.Digest)
	}
	k.blob(&f.URLs, &f.Size, &f.Digest)
	if f.Arch != "" {
		k.archOf(&f.Arch, "arch", &k.l.Arches)
		if line, absent := k.absent[absentKey("path", f.Path, f.Arch)]; absent {
			k.errorf(&f.Path, "path is said to be absent for %s %s", show(f.Arch), claim{line: line}.where())
		}
	}
	k.notes(&f.Groups, &f.Note)
}

func (k *lockChecker) chart(h *Chart) {
	name := h.Name
	if h.Version != "" {
		name += " " + h.Version
	}
	if !k.enter(h, h.Line, "chart", name) {
		return
	}
	ok := k.want(&h.Name, "name", checkChart)
	if k.want(&h.Version, "version", checkVersion) && ok {
		k.claim(k.charts, &h.Name, "chart", h.File(), h.Digest)
	}
	k.blobFrom(checkChartURL, &h.URLs, &h.Size, &h.Digest)
	k.notes(&h.Groups, &h.Note)
}

// metadata checks slices of metadata: each belongs to a repository that has RPMs.
func (k *lockChecker) metadata() {
	taken, carried := claims{}, repos(k.l.RPMs)
	for i := range k.l.Metadata {
		m := &k.l.Metadata[i]
		if !k.enter(m, m.Line, "metadata", m.Repo) {
			continue
		}
		ok := k.want(&m.Repo, "repo", checkPath)
		if ok && !carried[m.Repo] && !k.bad[&k.l.RPMs] {
			k.errorf(&m.Repo, "repo %s has no RPM in this lock", show(m.Repo))
		}
		if k.want(&m.Type, "type", checkMetadataType) && ok {
			k.claim(taken, &m.Type, "type", m.Type+" of "+m.Repo, m.Digest)
		}
		k.blob(&m.URLs, &m.Size, &m.Digest)
		k.notes(nil, &m.Note)
	}
}

func checkMetadataType(t string) error {
	if t != "modules" && t != "comps" && t != "updateinfo" {
		return errors.New("is not modules, comps or updateinfo")
	}
	return nil
}

func (k *lockChecker) derived() {
	platforms := map[string]map[string]digest.Digest{}
	for _, i := range k.l.Images {
		platforms[i.Source] = i.Platforms
	}
	for i := range k.l.Derived {
		d := &k.l.Derived[i]
		if !k.enter(d, d.Line, "derived", d.Path) {
			continue
		}
		if k.want(&d.Path, "path", checkPath) {
			k.claim(k.paths, &d.Path, "path", d.Path, "")
		}
		k.archOf(&d.Arch, "arch", &k.l.Arches)
		if k.want(&d.From, "from", checkSource) && d.Arch != "" && !k.bad[&k.l.Images] {
			platform := manifest.PlatformFor(d.Arch)
			if _, ok := platforms[d.From][platform]; !ok {
				k.errorf(&d.From, "from names no image of this lock with platform %s", platform)
			}
		}
		if d.As != "docker-archive" {
			k.errorf(&d.As, "as is %q, want docker-archive", show(d.As))
		}
		k.notes(nil, &d.Note)
	}
}

// directories finds files that are in the way of others.
func (k *lockChecker) directories() {
	k.label = ""
	for p, dir := range manifest.Below(slices.Collect(maps.Keys(k.paths)), nil) {
		k.line = k.paths[p].line
		k.errorf(nil, "path %q is below the path %q of the file %s", show(p), show(dir), k.paths[dir].where())
	}
}
