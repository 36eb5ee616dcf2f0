package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

// request says which wishes of a request no lock pins. Without locks that is every one,
// which is what a request is for, and no finding.
func (r *run) request(f *File, locks []*lockfile.Lock) {
	req, err := lockfile.DecodeRequest(f.Name, f.Data)
	if err != nil {
		r.rep.AddError("request", f.Name, "", report.Failed, err)
		r.sum.Findings++
		return
	}
	w := &wishes{file: f.Name, req: req, locks: locks}
	w.images()
	w.files()
	w.charts()
	w.packages()
	r.sum.Wishes, r.sum.Unpinned = w.count, len(w.unpinned)
	left, accepted := accept(w.unpinned, req.Accept)
	r.sum.Accepted += len(accepted)
	for _, one := range left {
		rec := one.record()
		if r.sum.Locks == 0 {
			rec.State, rec.Class = report.Wanted, report.ClassOK
		} else {
			r.sum.Findings++
		}
		r.rep.Add(rec)
	}
}

// wishes are compared with locks.
type wishes struct {
	file     string
	req      *lockfile.Request
	locks    []*lockfile.Lock
	count    int
	unpinned []Finding
}

func (w *wishes) lack(kind, artifact string, line lockfile.Line, what string) {
	w.unpinned = append(w.unpinned, Finding{ID: Unpinned, Kind: kind, Artifact: artifact, File: w.file, Line: int(line), What: what, Do: "bundler lock pins it"})
}

// fullName is a reference with all that it leaves out.
func fullName(source string) string {
	if (lockfile.Image{Source: source}).Local() {
		return source
	}
	named, err := reference.ParseNormalizedNamed(source)
	if err != nil {
		return source
	}
	return reference.TagNameOnly(named).String()
}

func (w *wishes) images() {
	have := map[string]bool{}
	for _, l := range w.locks {
		for _, i := range l.Images {
			have[fullName(i.Source)] = true
			if name := imageName(i.Source); name != "" {
				have[name] = true                      // busybox:1@sha256:… pins busybox:1
				have[name+"@"+string(i.Digest)] = true // and the other way round
			}
		}
	}
	for _, i := range w.req.Images {
		if w.count++; !have[fullName(i.Source)] {
			w.lack("image", i.Source, i.Line, "no image of the lock is from this source")
		}
	}
}

func (w *wishes) files() {
	have := map[string]bool{}
	for _, l := range w.locks {
		for _, f := range l.Files {
			have[f.Path] = true
		}
		for _, a := range l.Absent {
			have[a.Path+" "+a.Arch] = a.Path != ""
		}
	}
	for _, f := range w.req.Files {
		expanded, err := f.Expand(w.req.Arches)
		if err != nil {
			continue // a request that decodes expands
		}
		for _, one := range expanded {
			w.count++
			absent := len(one.Arches) == 1 && have[one.Path+" "+one.Arches[0]]
			if !have[one.Path] && !absent {
				w.lack("file", one.Path, f.Line, "no file of the lock has this path")
			}
		}
	}
}

func (w *wishes) charts() {
	have := map[string]bool{}
	for _, l := range w.locks {
		for _, c := range l.Charts {
			have[c.Name+" "+c.Version] = true
		}
	}
	for _, c := range w.req.Charts {
		if w.count++; !have[c.Name+" "+c.Version] {
			w.lack("chart", c.Name+" "+c.Version, c.Line, "no chart of the lock has this name and version")
		}
	}
}

// plainName tells package names from globs, groups, paths and versioned provides.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]*$`)

// packages compares each set, for each of its arches, with the packages of the
// repository that it goes into. Only plain names can be compared; of a set of other
// specs there has to be some package.
func (w *wishes) packages() {
	have := map[string]map[string]bool{} // by repository path
	absent := map[string]bool{}
	for _, l := range w.locks {
		for _, p := range l.RPMs {
			if have[p.Repo] == nil {
				have[p.Repo] = map[string]bool{}
			}
			for _, name := range []string{p.Name, p.Name + "." + p.Arch, p.NEVRA(), p.Name + "-" + p.EVR, strings.TrimSuffix(p.File(), ".rpm")} {
				have[p.Repo][name] = true
			}
		}
		for _, a := range l.Absent {
			absent[a.Name+" "+a.Arch] = a.Name != ""
		}
	}
	for _, s := range w.req.Packages {
		arches := s.Arches
		if len(arches) == 0 {
			arches = w.req.Arches
		}
		for _, arch := range arches {
			repo := s.Into + "/" + arch
			for _, spec := range s.Install {
				w.count++
				switch {
				case have[repo] == nil:
					w.lack("rpm", spec, s.Line, fmt.Sprintf("the lock has no packages in %s", repo))
				case plainName.MatchString(spec) && !have[repo][spec] && !absent[spec+" "+arch] && !slices.Contains(s.Present, spec):
					w.lack("rpm", spec, s.Line, fmt.Sprintf("the lock has no package of this name in %s; if another one provides it, accept this", repo))
				}
			}
		}
	}
}

// IsRequest tells a request from a lock by its kind, without reading the rest.
func IsRequest(data []byte) bool { return requestKind.Match(data) }

var requestKind = regexp.MustCompile(`(?m)^kind:[ \t]*["']?Request["']?[ \t\r]*(#.*)?$`)
