// Package lint says what is wrong with a lock, or missing from it, before anything is
// carried. Most of it is read off the lock alone; with sources, which come from
// outside, it also asks registries about image digests and reads the headers of RPMs.
// It changes nothing, and downloads no content beyond manifests and headers.
package lint

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
)

// The findings, as accept: of a lock names them. They do not change.
const (
	BadEntry       = "bad-entry"       // the lock cannot be used as it is
	BadDigest      = "bad-digest"      // no digest, or not sha256: and 64 lower-case hex digits
	MissingSize    = "missing-size"    // no size, or one that cannot be
	Userinfo       = "userinfo"        // a name or password in a URL
	Duplicate      = "duplicate"       // one thing twice
	TwoDigests     = "two-digests"     // one name, two contents
	NameCollision  = "name-collision"  // two images under one name at the target
	DigestRole     = "digest-role"     // one digest as an index and as an image of one platform
	NEVRADigests   = "nevra-digests"   // one package, two contents, in two repositories
	ArchGap        = "arch-gap"        // there for one arch and not for another, and nothing says why
	ForeignDist    = "foreign-dist"    // a package of another distribution's release
	RPMLib         = "rpmlib"          // a package that rpm of the target cannot read
	TooDeep        = "too-deep"        // a repository path deeper than Nexus has repodata
	TwoDepths      = "two-depths"      // one yum repository, two depths
	ConfigDigest   = "config-digest"   // the ID of an image instead of its digest
	PlatformDigest = "platform-digest" // the image does not have this platform
	Gone           = "gone"            // the registry does not have the digest
	WrongHeader    = "wrong-header"    // an RPM that is not the package the lock says
	Unpinned       = "unpinned"        // a wish that the lock does not pin
)

// A Finding is one thing that is wrong.
type Finding struct {
	ID       string // one of the above
	Kind     string // image, rpm, file, chart; what else a lock has by its field
	Artifact string // what accept: names
	File     string
	Line     int
	What, Do string
	Class    report.Class // 0: content
	Package  string       // of an RPM, its name: accept: may name it, too
}

// Images asks registries what digests are.
type Images interface {
	// Resolve returns what a source names now.
	Resolve(ctx context.Context, source string) (ocispec.Descriptor, error)
	// Manifest returns the verified bytes of a manifest or index, by digest.
	Manifest(ctx context.Context, source string, d digest.Digest) (raw []byte, mediaType string, err error)
}

// Headers reads the header of an RPM without the whole package.
type Headers interface {
	Header(ctx context.Context, url string, size int64) (*rpm.Package, error)
}

// Options tune Run. The zero value lints what the lock alone says.
type Options struct {
	TargetOS string // "el7": what the RPMs are for; empty: as repository paths say
	Images   Images // nil: registries are not asked
	Headers  Headers
	Jobs     int // questions asked at once; default 8
}

// A File is a file to lint.
type File struct {
	Name string
	Data []byte
}

// A Summary counts.
type Summary struct {
	Locks     int      `json:"locks"`
	Artifacts int      `json:"artifacts"`
	Findings  int      `json:"findings"`
	Accepted  int      `json:"accepted"`
	Wishes    int      `json:"wishes,omitempty"`   // of the request
	Unpinned  int      `json:"unpinned,omitempty"` // of them, in no lock
	Unchecked []string `json:"unchecked,omitempty"`
}

// Run lints locks and, where request is not nil, says which of its wishes none of
// them pins; without locks, all are. Findings are in the report, each with the file
// and line it is about. A finding that accept: of its lock names is counted and told in
// a note; what makes a lock unusable cannot be accepted. A file that is no lock is a
// record of class usage, and the others are linted all the same.
func Run(ctx context.Context, locks []File, request *File, o Options) (*report.Report, *Summary, error) {
	o.Jobs = cmp.Or(o.Jobs, 8)
	r := &run{o: o, rep: &report.Report{Command: "lint", Trust: "none"}, sum: &Summary{Locks: len(locks)}}
	var read []*lockfile.Lock
	for _, f := range locks {
		l, problems, err := lockfile.Judge(f.Name, f.Data)
		if err != nil {
			r.rep.AddError("lock", f.Name, "", report.Failed, err)
			r.sum.Findings++
			continue
		}
		hideLogins(l)
		read = append(read, l)
		r.lock(ctx, f.Name, l, problems)
	}
	if request != nil {
		r.request(request, read)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, nil, fmt.Errorf("lint stopped: %w", err)
	}
	return r.rep, r.sum, nil
}

// hideLogins has images whose source is no reference named as the decoder names them:
// one reason is a login in it, which must not get into a report.
func hideLogins(l *lockfile.Lock) {
	for n := range l.Images {
		i := &l.Images[n]
		if _, err := reference.ParseNormalizedNamed(i.Source); err != nil && !i.Local() {
			i.Source = lockfile.Show(i.Source)
		}
	}
}

type run struct {
	o   Options
	rep *report.Report
	sum *Summary
}

// lock lints one lock.
func (r *run) lock(ctx context.Context, file string, l *lockfile.Lock, problems *lockfile.Errors) {
	c := &linter{file: file, l: l, o: r.o}
	var bad []Finding
	if problems != nil {
		bad = decodeFindings(problems)
	}
	c.images()
	c.rpms()
	c.files()
	c.online(ctx)
	left, accepted := accept(c.findings, l.Accept)
	for _, a := range accepted {
		r.rep.Notes = append(r.rep.Notes, fmt.Sprintf("%s:%d: %s of %s is accepted: %s", a.File, a.Line, a.ID, a.Artifact, a.Do))
	}
	for _, n := range c.advice {
		r.rep.Notes = append(r.rep.Notes, file+": "+n)
	}
	for _, n := range c.notes {
		r.rep.Notes = append(r.rep.Notes, file+": "+n)
		r.sum.Unchecked = append(r.sum.Unchecked, file+": "+n)
	}
	r.sum.Accepted += len(accepted)
	findings := append(bad, left...)
	r.sum.Findings += len(findings)
	named := map[string]bool{}
	for _, f := range findings {
		named[f.Kind+" "+f.Artifact] = true
		r.rep.Add(f.record())
	}
	for _, a := range artifacts(file, l) {
		r.sum.Artifacts++
		if !named[a.Kind+" "+a.Name] {
			r.rep.Add(a)
		}
	}
}

func (f Finding) record() report.Record {
	state := report.Faulty
	switch {
	case f.Class != report.ClassOK && f.Class != report.ClassContent:
		state = report.Unknown
	case f.ID == Unpinned || f.ID == ArchGap || f.ID == Gone:
		state = report.Missing
	}
	return report.Record{
		Kind: f.Kind, Name: f.Artifact, Place: place(f.File, f.Line), State: state,
		Finding: f.ID, Reason: f.What, Next: f.Do, Class: cmp.Or(f.Class, report.ClassContent),
	}
}

func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// artifacts are the records of the lock's artifacts, as good.
func artifacts(file string, l *lockfile.Lock) []report.Record {
	var out []report.Record
	add := func(kind, name, arch string, d digest.Digest, line lockfile.Line) {
		out = append(out, report.Record{Kind: kind, Name: name, Arch: arch, Digest: d, Place: place(file, int(line)), State: report.OK})
	}
	for _, i := range l.Images {
		add("image", i.Source, "", i.Digest, i.Line)
	}
	for _, p := range l.RPMs {
		add("rpm", p.NEVRA(), p.BaseArch, p.Digest, p.Line)
	}
	for _, f := range l.Files {
		add("file", f.Path, f.Arch, f.Digest, f.Line)
	}
	for _, c := range l.Charts {
		add("chart", c.Name+" "+c.Version, "", c.Digest, c.Line)
	}
	return out
}

// accept parts the findings into those that stay and those that the lock accepts;
// what is to be done about the latter is why they are accepted.
func accept(findings []Finding, wanted []lockfile.Accept) (left, accepted []Finding) {
	for _, f := range findings {
		i := slices.IndexFunc(wanted, func(a lockfile.Accept) bool {
			return a.Finding == f.ID && (a.Artifact == f.Artifact || a.Artifact == f.Package)
		})
		if i < 0 || f.Class != report.ClassOK && f.Class != report.ClassContent {
			left = append(left, f)
			continue
		}
		f.Do = wanted[i].Why
		accepted = append(accepted, f)
	}
	return left, accepted
}

// A linter collects what is wrong with one lock.
type linter struct {
	file     string
	l        *lockfile.Lock
	o        Options
	findings []Finding
	notes    []string // what was not checked
	advice   []string // what is no fault of the lock, and good to know
}

// findRPM is find for one package.
func (c *linter) findRPM(id string, p lockfile.RPM, what, do string) {
	c.find(id, "rpm", p.NEVRA(), p.Line, what, do)
	c.findings[len(c.findings)-1].Package = p.Name
}

func (c *linter) find(id, kind, artifact string, line lockfile.Line, what, do string) {
	c.findings = append(c.findings, Finding{ID: id, Kind: kind, Artifact: artifact, File: c.file, Line: int(line), What: what, Do: do})
}
