package manifest

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// check says everything that is wrong with a decoded table. Nothing that passes holds a
// character that a terminal would obey.
func (t *Table) check() error {
	c := checker{t: t, blobs: t.listed(), keys: map[string]bool{}, groups: map[string]bool{}}
	c.header()
	c.checkBlobs(t.Blobs)
	c.checkOrder()
	for _, k := range t.Keys {
		c.key(k)
	}
	for _, m := range t.Images {
		c.image(m)
	}
	for _, r := range t.RPMs {
		c.rpm(r)
	}
	for _, f := range t.Files {
		c.file(f)
	}
	for _, h := range t.Charts {
		c.chart(h)
	}
	c.metadata()
	for _, a := range t.Absent {
		c.absent(a)
	}
	c.everyArch()
	c.unique()
	return errors.Join(c.errs...)
}

// expiry is the only form of RFC 3339 that tables have: UTC, in whole seconds.
const expiry = "2006-01-02T15:04:05Z"

func (c *checker) header() {
	t := c.t
	c.name("name", t.Name)
	c.selection(t.Arches)
	for _, g := range t.Groups {
		c.name("the selection: group", g)
		c.groups[g] = true
	}
	c.digest("lock", t.Lock)
	if t.Serial < 0 {
		c.addf("serial %d is negative", t.Serial)
	}
	if at, err := time.Parse(expiry, t.Expires); t.Expires != "" && (err != nil || at.Format(expiry) != t.Expires) {
		c.addf("expires %q: want a time such as 2030-12-31T00:00:00Z", t.Expires)
	}
}

// selection checks the arches of the bundle. Where one of them is wrong, entries are not held
// against them: each would be told to be of none.
func (c *checker) selection(arches []string) {
	before := len(c.errs)
	switch {
	case len(arches) == 0:
		c.addf("no arches")
	case len(arches) > len(archNames):
		c.addf("arches: there are %d, known are %s", len(arches), strings.Join(Arches(), ", "))
		return // which would be many
	}
	for _, a := range arches {
		if GoArch(a) == "" {
			c.addf("arches: arch %q is not known, known are %s", a, strings.Join(Arches(), ", "))
		}
	}
	if len(c.errs) == before {
		c.arches, c.known = arches, strings.Join(arches, ", ")
	}
}

func (c *checker) rpm(r RPM) {
	what := label("rpm", r.Path())
	c.path("rpm", r.Path())
	c.grammar(what+": name", r.Name, CheckRPMName)
	c.grammar(what+": evr", r.EVR, CheckEVR)
	c.grammar(what+": arch", r.Arch, CheckRPMArch)
	c.arch(what, r.BaseArch)
	if !FitsArch(r.Arch, r.BaseArch) {
		c.addf("%s: a package of %q in a set of %q", what, r.Arch, r.BaseArch)
	}
	c.signature(what, r)
	c.member(what, r.Groups)
	c.carried(what, r.Digest)
}

// signature checks that each package is vouched for by a key that is carried, or is said to be
// vouched for by none.
func (c *checker) signature(what string, r RPM) {
	c.text(what, r.Unsigned)
	switch {
	case r.Signer == "" && r.Unsigned == "":
		c.addf("%s: it has neither a signer nor a reason why it is unsigned", what)
	case r.Signer != "" && r.Unsigned != "":
		c.addf("%s: it has both a signer and a reason why it is unsigned", what)
	case r.Signer != "" && !c.keys[r.Signer]:
		c.addf("%s: its signer %q is not one of the keys", what, r.Signer)
	}
}

func (c *checker) file(f File) {
	what := label("file", f.Path)
	c.path("file", f.Path)
	if f.Arch != "" {
		c.arch(what, f.Arch)
	}
	c.member(what, f.Groups)
	c.carried(what, f.Digest)
}

func (c *checker) chart(h Chart) {
	what := label("chart", h.File())
	c.grammar(what+": name", h.Name, CheckChartName)
	c.grammar(what+": version", h.Version, CheckChartVersion)
	c.member(what, h.Groups)
	c.carried(what, h.Digest)
}

// metadata checks slices of metadata: each belongs to a repository that has RPMs, for it
// is with them that it is carried.
func (c *checker) metadata() {
	if len(c.t.Metadata) == 0 {
		return
	}
	repos := map[string]bool{}
	for _, r := range c.t.RPMs {
		repos[r.Repo] = true
	}
	for _, m := range c.t.Metadata {
		what := label("metadata", m.Path())
		c.path("metadata", m.Path())
		if m.MediaType() == "" {
			c.addf("%s: type %q is none of modules, comps, updateinfo", what, m.Type)
		}
		if !repos[m.Repo] {
			c.addf("%s: there is no RPM of this repository", what)
		}
		if b, _ := c.blobs.find(m.Digest); b.Size > MaxMetadata {
			c.addf("%s: %d bytes, more than the %d allowed", what, b.Size, MaxMetadata)
		}
		c.carried(what, m.Digest)
	}
}

func (c *checker) key(k Key) {
	c.keyID("key", k.ID)
	if err := CheckArmor(k.Armor); err != nil {
		c.addf("%s: armor %w", label("key", k.ID), err)
	}
	c.keys[k.ID] = true
}

// Bounds of what is told of one table: how many problems, bytes of all their texts but for the
// last one's, and bytes of a name in them.
const (
	maxProblems    = 1000
	maxProblemText = 1 << 20
	maxLabel       = 1000
)

type checker struct {
	t      *Table
	errs   []error
	told   int      // bytes of the texts of errs
	arches []string // those of the bundle; nil: not known
	known  string   // the same, to be told
	blobs  blobList
	keys   map[string]bool // ids
	groups map[string]bool // those selected
}

func (c *checker) addf(format string, args ...any) {
	if len(c.errs) < maxProblems && c.told < maxProblemText {
		err := fmt.Errorf(format, args...)
		c.errs, c.told = append(c.errs, err), c.told+len(err.Error())
	}
}

func (c *checker) digest(what string, d digest.Digest) {
	if err := CheckDigest(d); err != nil {
		c.addf("%s: digest %q %w", what, d, err)
	}
}

func (c *checker) keyID(what, id string) {
	if err := CheckKeyID(id); err != nil {
		c.addf("%s: %q %w", what, id, err)
	}
}

// arch checks the arch of an entry: only what was selected is carried.
func (c *checker) arch(what, arch string) {
	if c.arches != nil && !slices.Contains(c.arches, arch) {
		c.addf("%s: arch %q is not one of the bundle's, which are %s", what, arch, c.known)
	}
}

// member checks the groups of an entry: with groups selected, it has one of them.
func (c *checker) member(what string, groups []string) {
	selected := len(c.groups) == 0
	for _, g := range groups {
		c.name(what+": group", g)
		selected = selected || c.groups[g]
	}
	for _, g := range repeated(groups, itself) {
		c.addf("%s: group %q stands twice", what, g)
	}
	if !selected {
		c.addf("%s: it has none of the groups selected", what)
	}
}

func (c *checker) carried(what string, d digest.Digest) {
	if _, ok := c.blobs.find(d); !ok {
		c.addf("%s: its blob %q is not listed", what, d)
	}
}

func (c *checker) checkBlobs(blobs []Blob) {
	total := int64(0)
	for i, b := range blobs {
		what := label("blob", string(b.Digest))
		c.digest("blob", b.Digest)
		switch {
		case b.Size < 0:
			c.addf("%s: size %d is negative", what, b.Size)
		case b.Size > math.MaxInt64/4-total:
			c.addf("%s: sizes add up to more than a file can hold", what)
		default:
			total += b.Size
		}
		if err := CheckMediaType(b.MediaType); err != nil {
			c.addf("%s: %q %w", what, b.MediaType, err)
		}
		// One that stands among the JSON blobs could stand among the others, too.
		twice := i < len(c.blobs.json) && search(c.blobs.other, b.Digest) >= 0
		if twice || i > 0 && compareBlobs(blobs[i-1], b) >= 0 {
			c.addf("%s: out of order or listed twice", what)
		}
	}
}

// checkOrder finds lists that are not strictly sorted, which finds duplicates too.
func (c *checker) checkOrder() {
	t := c.t
	ordered(c, "images", t.Images, compareImages)
	ordered(c, "rpms", t.RPMs, compareRPMs)
	ordered(c, "files", t.Files, compareFiles)
	ordered(c, "charts", t.Charts, compareCharts)
	ordered(c, "metadata", t.Metadata, compareMetadata)
	ordered(c, "arches", t.Arches, strings.Compare)
	ordered(c, "groups", t.Groups, strings.Compare)
	ordered(c, "absent", t.Absent, compareAbsent)
	ordered(c, "keys", t.Keys, compareKeys)
}

// unique finds entries that want one place at a target. The sort fields of RPMs and charts may
// differ where the paths made of them do not.
func (c *checker) unique() {
	for _, p := range repeated(c.t.RPMs, RPM.Path) {
		c.addf("%s: two of them want this path", label("rpm", p))
	}
	for _, p := range repeated(c.t.Charts, Chart.File) {
		c.addf("%s: two of them want this path", label("chart", p))
	}
	var published []string
	for _, m := range c.t.Images {
		published = append(published, m.Publish...)
	}
	for _, p := range repeated(published, itself) {
		c.addf("publish name %q stands twice", p)
	}
	paths := make([]string, len(c.t.Files))
	for i, f := range c.t.Files {
		paths[i] = f.Path
	}
	for p, above := range Below(paths, nil) {
		c.addf("%s: it is below the file %q", label("file", p), above)
	}
}

func itself(s string) string { return s }

// repeated lists what is the name of two entries. Hashes that differ say that all names do, in
// far less memory than the names.
func repeated[T any](list []T, name func(T) string) (again []string) {
	seed := maphash.MakeSeed()
	hashes := make([]uint64, len(list))
	for i, one := range list {
		hashes[i] = maphash.String(seed, name(one))
	}
	slices.Sort(hashes)
	if len(slices.Compact(hashes)) == len(list) {
		return nil
	}
	taken := map[string]bool{}
	for _, one := range list {
		n := name(one)
		if taken[n] {
			again = append(again, n)
		}
		taken[n] = true
	}
	return again
}

func ordered[T any](c *checker, what string, list []T, compare func(a, b T) int) {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			c.addf("%s: entry %d is out of order or stands twice", what, i+1)
		}
	}
}

// label names an entry in an error. What a terminal would obey is quoted, for errors are
// shown before anything is known to be good; of a name that is none the beginning will do.
func label(kind, name string) string {
	if len(name) > maxLabel {
		name = strings.ToValidUTF8(name[:maxLabel], "") + "…"
	}
	if CheckText(name) != nil {
		name = strconv.Quote(name)
	}
	return kind + " " + name
}

// name checks a free name: not empty and printable.
func (c *checker) name(what, s string) {
	if s == "" || checkPrintable(s) != nil {
		c.addf("%s: %q is not a name", what, s)
	}
}

func (c *checker) text(what string, all ...string) {
	for _, s := range all {
		if err := CheckText(s); err != nil {
			c.addf("%s: %q %w", what, s, err)
		}
	}
}

// grammar checks a text that has a grammar of its own.
func (c *checker) grammar(what, s string, check func(string) error) {
	if err := check(s); err != nil {
		c.addf("%s %q %w", what, s, err)
	}
}

// path checks a relative slash path that is safe on every file system and target.
func (c *checker) path(what, p string) {
	if err := CheckPath(p); err != nil {
		c.addf("%s: %q %w", what, p, err)
	}
}
