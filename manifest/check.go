package manifest

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
)

// check says everything that is wrong with a decoded table.
func (t *Table) check() error {
	c := checker{blobs: make(map[digest.Digest]bool, len(t.Blobs))}
	c.name("name", t.Name)
	if len(t.Arches) == 0 {
		c.addf("no arches")
	}
	c.digest("lock", t.Lock)
	if t.Serial < 0 {
		c.addf("serial %d is negative", t.Serial)
	}
	c.checkBlobs(t.Blobs)
	c.checkOrder(t)
	for _, m := range t.Images {
		c.image(m)
	}
	for _, r := range t.RPMs {
		c.path("rpm", r.Path())
		c.text("rpm "+r.Path(), r.Arch, r.BaseArch, r.Signer, r.Unsigned)
		if strings.ContainsAny(r.Name+r.EVR+r.Arch, "/") {
			c.addf("rpm %q: a slash in its name", r.Path())
		}
		c.carried("rpm "+r.Path(), r.Digest)
	}
	for _, f := range t.Files {
		c.path("file", f.Path)
		c.carried("file "+f.Path, f.Digest)
	}
	for _, h := range t.Charts {
		c.path("chart", h.File())
		c.carried("chart "+h.File(), h.Digest)
	}
	for _, k := range t.Keys {
		if !keyID.MatchString(k.ID) {
			c.addf("key %q: not a key id or fingerprint in lower-case hexadecimal digits", k.ID)
		}
	}
	return errors.Join(c.errs...)
}

// keyID is a key id (16 digits) or a fingerprint (40 or 64) as OpenPGP has them
// (RFC 9580, section 5.5.4).
var keyID = regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{40}|[0-9a-f]{64})$`)

// maxProblems caps how many problems of one table are told.
const maxProblems = 1000

type checker struct {
	errs  []error
	blobs map[digest.Digest]bool
}

func (c *checker) addf(format string, args ...any) {
	if len(c.errs) < maxProblems {
		c.errs = append(c.errs, fmt.Errorf(format, args...))
	}
}

func (c *checker) digest(what string, d digest.Digest) {
	if err := checkDigest(d); err != nil {
		c.addf("%s: %w", what, err)
	}
}

func (c *checker) carried(what string, d digest.Digest) {
	if !c.blobs[d] {
		c.addf("%s: its blob %q is not listed", what, d)
	}
}

func (c *checker) checkBlobs(blobs []Blob) {
	total := int64(0)
	for i, b := range blobs {
		c.digest("blob", b.Digest)
		switch {
		case b.Size < 0:
			c.addf("blob %s: size %d is negative", b.Digest, b.Size)
		case b.Size > math.MaxInt64/4-total:
			c.addf("blob %s: sizes add up to more than a file can hold", b.Digest)
		default:
			total += b.Size
		}
		c.text("blob "+string(b.Digest), b.MediaType)
		if i > 0 && compareBlobs(blobs[i-1], b) >= 0 || c.blobs[b.Digest] {
			c.addf("blob %s: out of order or listed twice", b.Digest)
		}
		c.blobs[b.Digest] = true
	}
}

// checkOrder finds lists that are not strictly sorted, which finds duplicates too.
func (c *checker) checkOrder(t *Table) {
	ordered(c, "images", t.Images, compareImages)
	ordered(c, "rpms", t.RPMs, compareRPMs)
	ordered(c, "files", t.Files, compareFiles)
	ordered(c, "charts", t.Charts, compareCharts)
	ordered(c, "arches", t.Arches, strings.Compare)
	ordered(c, "keys", t.Keys, func(a, b Key) int { return strings.Compare(a.ID, b.ID) })
	paths := map[string]bool{}
	for _, r := range t.RPMs {
		if p := r.Path(); paths[p] {
			c.addf("rpm %s: two packages want this path", p)
		} else {
			paths[p] = true
		}
	}
}

func ordered[T any](c *checker, what string, list []T, compare func(a, b T) int) {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			c.addf("%s: entry %d is out of order or stands twice", what, i+1)
		}
	}
}

func (c *checker) image(m Image) {
	what := "image " + m.Name
	if c.name("image", m.Name); strings.Contains(m.Name, " ") {
		c.addf("%s: a space in its name", what)
	}
	c.carried(what, m.Digest)
	if m.Original == m.Digest {
		c.addf("%s: its original is itself", what)
	}
	if m.Original != "" {
		c.carried(what+" (original index)", m.Original)
	}
	if len(m.Platforms) == 0 {
		c.addf("%s: no platform", what)
	}
	for i, p := range m.Platforms {
		if strings.Count(p.Platform, "/") < 1 || !clean(p.Platform) {
			c.addf("%s: platform %q is not os/arch", what, p.Platform)
		}
		if i > 0 && m.Platforms[i-1].Platform >= p.Platform {
			c.addf("%s: platform %s is out of order or stands twice", what, p.Platform)
		}
		c.carried(what+" "+p.Platform, p.Digest)
	}
	for _, p := range m.Publish {
		if !publishName.MatchString(p) {
			c.addf("%s: publish name %q is not repository:tag", what, p)
		}
	}
}

// publishName is the grammar of repository and tag of the OCI distribution
// specification 1.1 ("Pulling manifests"), without a registry.
var publishName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*:[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// name checks a free name: not empty, printable, no white space.
func (c *checker) name(what, s string) {
	if s == "" || !clean(s) {
		c.addf("%s: %q is not a name", what, s)
	}
}

func (c *checker) text(what string, all ...string) {
	for _, s := range all {
		if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			c.addf("%s: %q has control characters", what, s)
		}
	}
}

// path checks a relative slash path that is safe on every file system and target.
func (c *checker) path(what, p string) {
	if err := CheckPath(p); err != nil {
		c.addf("%s: %w", what, err)
	}
}

// CheckPath says why p is not a clean relative path: it must have no empty, "." or
// ".." segment, no backslash and no character that is not printable.
func CheckPath(p string) error {
	bad := p == "" || strings.Contains(p, `\`) || !clean(p) ||
		slices.ContainsFunc(strings.Split(p, "/"), func(s string) bool { return s == "" || s == "." || s == ".." })
	if bad {
		return fmt.Errorf("%q is not a clean relative path", p)
	}
	return nil
}

func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) && r != ' ' })
}

var sha256Digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func checkDigest(d digest.Digest) error {
	if !sha256Digest.MatchString(string(d)) {
		return fmt.Errorf("%q is not sha256: and 64 lower-case hexadecimal digits", d)
	}
	return nil
}
