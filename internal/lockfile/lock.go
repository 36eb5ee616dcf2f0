// Package lockfile reads, checks and writes the two YAML files of the connected
// side: the request (what is wanted) and the lock (exact pins of what is
// carried); and it reads the target map of the other side (what goes where).
//
// Decoding is strict: an unknown field, a duplicate key, a number where text is
// meant, an anchor, a second document are errors, and all problems of a file
// are reported together, each with its line. Encoding is canonical: the same
// value gives the same bytes on every machine and with every version of every
// library, because the few forms of YAML that are used are written here, not by
// a YAML library. Decoding what was encoded gives the same value back.
//
// The package knows nothing about networks and files: it turns bytes into
// values and values into bytes. Whether a pin is true is for others to find out.
package lockfile

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/manifest"
)

// APIVersion is the only version of the files that this package reads.
const APIVersion = "airbundle/v1"

// MaxSize is the size in bytes above which a file is refused: many times the
// lock of a whole distribution, and small enough to be parsed in memory.
const MaxSize = 32 << 20

// A Line is where an entry begins in the file it was read from, 0 when it was
// not read from a file. Any two are Equal, so that comparing entries compares
// what they say, not where they stand.
type Line int

// Equal reports true.
func (Line) Equal(Line) bool { return true }

// A Lock is a lock file: exact pins of everything that is carried. Decoded
// locks are in canonical order, so equal content means equal values.
type Lock struct {
	Name    string        `yaml:"name"`
	Serial  int64         `yaml:"serial"`  // rises with each release of the lock; 0: none
	Expires time.Time     `yaml:"expires"` // UTC; zero: never
	Base    digest.Digest `yaml:"base"`    // root of the bundle that this one is a delta to
	Arches  []string      `yaml:"arches"`

	Images   []Image    `yaml:"images"`
	RPMs     []RPM      `yaml:"rpms"`
	Keys     []Key      `yaml:"keys"`
	Files    []File     `yaml:"files"`
	Charts   []Chart    `yaml:"charts"`
	Metadata []Metadata `yaml:"metadata"`
	Derived  []Derived  `yaml:"derived"`
	Absent   []Absent   `yaml:"absent"`
	Accept   []Accept   `yaml:"accept"`
}

// An Image is a pinned container image.
type Image struct {
	Source    string                   `yaml:"source"`
	Digest    digest.Digest            `yaml:"digest"`    // of what Source named: an index or a manifest
	Platforms map[string]digest.Digest `yaml:"platforms"` // what is carried of it: "linux/amd64" to manifest digest
	Publish   []string                 `yaml:"publish"`   // names at the target; the first is the main one
	Groups    []string                 `yaml:"groups"`
	Note      string                   `yaml:"note"`
	Line      Line                     `yaml:"-"`
}

// Local reports whether the image comes from a layout or archive on disk
// instead of a registry.
func (i Image) Local() bool {
	_, _, ok := manifest.LocalSource(i.Source)
	return ok
}

// An RPM is a pinned package of one RPM set. The same package in the sets of
// two arches is two entries.
type RPM struct {
	Name     string        `yaml:"name"`
	EVR      string        `yaml:"evr"`      // version-release, "epoch:" before it when the epoch is not 0
	Arch     string        `yaml:"arch"`     // of the RPM: may be noarch, i686
	BaseArch string        `yaml:"basearch"` // of the set it belongs to
	Repo     string        `yaml:"repo"`     // repository path at the target
	URLs     []string      `yaml:"urls"`
	Size     int64         `yaml:"size"`
	Digest   digest.Digest `yaml:"digest"`
	Signer   string        `yaml:"signer"`   // ID of one of the lock's keys
	Unsigned string        `yaml:"unsigned"` // "accepted" instead of a signer, then Why says why
	Why      string        `yaml:"why"`
	Groups   []string      `yaml:"groups"`
	Note     string        `yaml:"note"`
	Line     Line          `yaml:"-"`
}

// File is the RPM's file name.
func (r RPM) File() string { return manifest.RPMFile(r.Name, r.EVR, r.Arch) }

// Path is where the RPM goes at the target: its repository path and file name.
func (r RPM) Path() string { return r.Repo + "/" + r.File() }

// NEVRA is the RPM's full name.
func (r RPM) NEVRA() string { return manifest.NEVRA(r.Name, r.EVR, r.Arch) }

// A Key is a public key that RPM signatures are checked against.
type Key struct {
	ID    string `yaml:"id"`    // key ID or fingerprint, lower-case hex
	Armor string `yaml:"armor"` // ASCII-armored OpenPGP public key
	Note  string `yaml:"note"`
	Line  Line   `yaml:"-"`
}

// A File is a pinned file for a raw repository.
type File struct {
	Path   string        `yaml:"path"` // below the raw repository
	URLs   []string      `yaml:"urls"`
	Size   int64         `yaml:"size"`
	Digest digest.Digest `yaml:"digest"`
	Arch   string        `yaml:"arch"` // empty: for every arch
	Groups []string      `yaml:"groups"`
	Note   string        `yaml:"note"`
	Line   Line          `yaml:"-"`
}

// A Chart is a pinned Helm chart.
type Chart struct {
	Name    string        `yaml:"name"`
	Version string        `yaml:"version"`
	URLs    []string      `yaml:"urls"`
	Size    int64         `yaml:"size"`
	Digest  digest.Digest `yaml:"digest"`
	Groups  []string      `yaml:"groups"`
	Note    string        `yaml:"note"`
	Line    Line          `yaml:"-"`
}

// File is the chart's file name.
func (c Chart) File() string { return manifest.ChartFile(c.Name, c.Version) }

// Metadata is a slice of repository metadata that belongs to an RPM set.
type Metadata struct {
	Repo   string        `yaml:"repo"`
	Type   string        `yaml:"type"` // modules, comps or updateinfo
	URLs   []string      `yaml:"urls"`
	Size   int64         `yaml:"size"`
	Digest digest.Digest `yaml:"digest"`
	Note   string        `yaml:"note"`
	Line   Line          `yaml:"-"`
}

// A Derived is a file that is computed from a carried image: the image of one
// arch as a tar of another format. It is selected with its image.
type Derived struct {
	Path string `yaml:"path"` // below the raw repository
	From string `yaml:"from"` // source of one of the lock's images
	Arch string `yaml:"arch"`
	As   string `yaml:"as"` // docker-archive
	Note string `yaml:"note"`
	Line Line   `yaml:"-"`
}

// An Absent says that an artifact does not exist for an arch, and why that is
// accepted. Exactly one of Source, Path and Name is set.
type Absent struct {
	Source string `yaml:"source"` // of an image
	Path   string `yaml:"path"`   // of a file
	Name   string `yaml:"name"`   // of an RPM or a chart
	Arch   string `yaml:"arch"`
	Why    string `yaml:"why"`
	Line   Line   `yaml:"-"`
}

// An Accept says that a finding about an artifact is known and wanted.
type Accept struct {
	Finding  string `yaml:"finding"`
	Artifact string `yaml:"artifact"`
	Why      string `yaml:"why"`
	Line     Line   `yaml:"-"`
}

// DecodeLock reads a lock. The name is that of the file and only used in
// errors, which are an *Errors with every problem of the file.
func DecodeLock(name string, data []byte) (*Lock, error) {
	d := newDecoder(name)
	l := new(Lock)
	if d.document(data, "Lock", l) {
		checkLock(d.checker(), l)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return l.canonical(), nil
}

// Encode gives the lock's canonical bytes. It refuses, with an *Errors, what
// DecodeLock would not read.
func (l *Lock) Encode() ([]byte, error) {
	c := &checker{problems: &problems{}}
	checkLock(c, l)
	return finish(c, l.encode())
}

// Digest is the digest of the lock's canonical bytes.
func (l *Lock) Digest() digest.Digest { return digest.FromBytes(l.encode()) }

func (l *Lock) encode() []byte { return encode("Lock", l.canonical()) }
