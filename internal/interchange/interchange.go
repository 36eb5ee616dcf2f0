// Package interchange reads what other tools write down about images, files,
// charts and RPMs, so that it becomes part of a request, and writes what a lock
// pins in the forms that other tools read. It opens no files and no connections:
// bytes in, values out, and the other way round.
//
// Importing is strict: a file that is not of the named format, or that says
// something that cannot be carried over, is refused with every problem and its
// line. What a format has and a request has not (signature checks, platforms of
// one image) is told in Notes, never passed over.
package interchange

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"airbundle/internal/lockfile"
	"airbundle/manifest"
)

// MaxSize is the size in bytes above which a file is not imported: several times
// the largest manifests that projects publish.
const MaxSize = 16 << 20

// Bounds of one file, so that reading it takes neither long nor much memory.
const (
	maxProblems = 1000 // that are kept, and so many notes
	maxWishes   = 10_000
)

// An Imported is what a file of another tool asks for.
type Imported struct {
	File   string // as given to Import
	Images []lockfile.ImageWish
	Files  []lockfile.FileWish
	Charts []lockfile.ChartWish
	RPMs   []PinnedRPM
	Places []Place  // where each image reference stands, in the order of the file
	Notes  []string // what the file says and a request cannot: to be shown
}

// A Place is where an image reference was found.
type Place struct {
	Source string
	Line   int
	Path   string // "Deployment/web spec.template.spec.containers[0].image"; may be empty
}

// A PinnedRPM is a package that a file pins. It is a promise to be checked, not
// a pin of ours: Into asks for the package by its full name, and Check compares
// what was locked with the checksum and size here.
type PinnedRPM struct {
	Name, EVR, Arch string
	BaseArch        string // of the set it belongs to
	RepoID          string // of the repository it came from
	URL             string
	Size            int64  // bytes
	Checksum        string // algorithm:hex
	Line            int
}

// NEVRA is the package's full name.
func (p PinnedRPM) NEVRA() string { return manifest.NEVRA(p.Name, p.EVR, p.Arch) }

// importers by the name of the format.
func importers() map[string]func(*reader, []byte) {
	return map[string]func(*reader, []byte){
		"images":       readImages,
		"imageslock":   readImagesLock,
		"hauler":       readHauler,
		"compose":      readCompose,
		"kubernetes":   readKubernetes,
		"rpm-lockfile": readRPMLockfile,
	}
}

// Formats are the names of the formats that Import knows, sorted.
func Formats() []string {
	var out []string
	for name := range importers() {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Import reads data as the named format. The file is its name, for messages. An
// error is a *lockfile.Errors with every problem, or says that there is no such
// format.
func Import(format, file string, data []byte) (*Imported, error) {
	read, ok := importers()[format]
	if !ok {
		return nil, &lockfile.Error{File: file, Msg: fmt.Sprintf("import format %q is not known, known are %s", lockfile.Show(format), strings.Join(Formats(), ", "))}
	}
	r := &reader{file: file, out: &Imported{File: file}, sources: map[string]bool{}}
	if len(data) > MaxSize {
		r.bad(0, "the file has %d bytes, more than the %d that are imported", len(data), MaxSize)
	} else {
		read(r, data)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	if o := r.out; len(o.Images)+len(o.Files)+len(o.Charts)+len(o.RPMs) == 0 {
		o.Notes = append(o.Notes, file+" asks for nothing: no image, file, chart or package was found in it")
	}
	return r.out, nil
}

// A reader collects what a file asks for, and its problems.
type reader struct {
	file    string
	out     *Imported
	sources map[string]bool // of the images so far
	errs    lockfile.Errors
}

func (r *reader) bad(line int, format string, args ...any) {
	if len(r.errs.List) == maxProblems {
		r.errs.More++
		return
	}
	r.errs.List = append(r.errs.List, &lockfile.Error{File: r.file, Line: line, Msg: fmt.Sprintf(format, args...)})
}

func (r *reader) err() error {
	if len(r.errs.List) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errs.List, func(a, b *lockfile.Error) int { return a.Line - b.Line })
	return &r.errs
}

func (r *reader) note(line int, format string, args ...any) {
	switch n := len(r.out.Notes); {
	case n > maxProblems:
		return
	case n == maxProblems:
		r.out.Notes = append(r.out.Notes, r.file+": there is more to be told than these notes")
		return
	}
	r.out.Notes = append(r.out.Notes, fmt.Sprintf("%s:%d: ", r.file, line)+fmt.Sprintf(format, args...))
}

// image takes an image once, whatever the number of places it is found at.
func (r *reader) image(w lockfile.ImageWish, path string) {
	if !r.sources[w.Source] {
		if len(r.out.Images) == maxWishes {
			r.bad(int(w.Line), "more than %d images", maxWishes)
			return
		}
		if p := problem(lockfile.Request{Images: []lockfile.ImageWish{w}}); p != "" {
			r.bad(int(w.Line), "%s", p)
			return
		}
		r.sources[w.Source] = true
		r.out.Images = append(r.out.Images, w)
	}
	r.out.Places = append(r.out.Places, Place{w.Source, int(w.Line), path})
}

func (r *reader) addFile(w lockfile.FileWish) {
	if len(r.out.Files) == maxWishes {
		r.bad(int(w.Line), "more than %d files", maxWishes)
		return
	}
	if p := problem(lockfile.Request{Files: []lockfile.FileWish{w}}); p != "" {
		r.bad(int(w.Line), "%s", p)
		return
	}
	r.out.Files = append(r.out.Files, w)
}

func (r *reader) addChart(w lockfile.ChartWish) {
	if len(r.out.Charts) == maxWishes {
		r.bad(int(w.Line), "more than %d charts", maxWishes)
		return
	}
	if p := problem(lockfile.Request{Charts: []lockfile.ChartWish{w}}); p != "" {
		r.bad(int(w.Line), "%s", p)
		return
	}
	r.out.Charts = append(r.out.Charts, w)
}

// problem says what a request with these wishes would be refused for, so that an
// import is as strict as a request; empty when nothing.
func problem(wishes lockfile.Request) string {
	wishes.Name, wishes.Arches = "import", manifest.Arches()
	_, err := wishes.Encode()
	if err == nil {
		return ""
	}
	all, ok := errors.AsType[*lockfile.Errors](err)
	if !ok {
		return err.Error()
	}
	var out []string
	for _, one := range all.List {
		out = append(out, one.Msg)
	}
	return strings.Join(out, "; ")
}
