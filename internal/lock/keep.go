package lock

import (
	"cmp"
	"fmt"
	"slices"

	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

// compare brings the new lock together with the old one: what people wrote is kept, and
// what is different is told.
func (r *resolver) compare() {
	old := r.o.Old
	if old == nil || len(r.errs) > 0 {
		return
	}
	fresh := r.result.Lock
	r.keepWords(fresh)
	if r.named != nil {
		fresh = r.splice(fresh)
	} else {
		keepRest(fresh, old)
		if !r.o.Check {
			r.replacedInPlace(fresh)
		}
	}
	r.result.Lock = fresh
	r.result.Changes = changes(old, fresh)
}

// keepRest takes over what no source knows.
func keepRest(fresh, old *lockfile.Lock) {
	fresh.Serial, fresh.Expires, fresh.Base, fresh.Derived = old.Serial, old.Expires, old.Base, old.Derived
	for _, a := range old.Accept {
		if !has(fresh.Accept, func(have lockfile.Accept) bool { return have.Finding == a.Finding && have.Artifact == a.Artifact }) {
			fresh.Accept = append(fresh.Accept, a)
		}
	}
}

// keepWords takes over notes, unless the request has one.
func (r *resolver) keepWords(fresh *lockfile.Lock) {
	old := r.o.Old
	keep(fresh.Images, old.Images, func(i *lockfile.Image) (string, *string) { return i.Source, &i.Note })
	keep(fresh.RPMs, old.RPMs, func(p *lockfile.RPM) (string, *string) { return p.Repo + "/" + p.Name + "." + p.Arch, &p.Note })
	keep(fresh.Keys, old.Keys, func(k *lockfile.Key) (string, *string) { return k.ID, &k.Note })
	keep(fresh.Files, old.Files, func(f *lockfile.File) (string, *string) { return f.Path, &f.Note })
	keep(fresh.Charts, old.Charts, func(c *lockfile.Chart) (string, *string) { return c.Name + " " + c.Version, &c.Note })
	keep(fresh.Metadata, old.Metadata, func(m *lockfile.Metadata) (string, *string) { return m.Repo + " " + m.Type, &m.Note })
}

// keep gives entries without a note that of the old entry with the same key.
func keep[T any](fresh, old []T, of func(*T) (key string, note *string)) {
	notes := map[string]string{}
	for i := range old {
		key, note := of(&old[i])
		notes[key] = cmp.Or(*note, notes[key])
	}
	for i := range fresh {
		key, note := of(&fresh[i])
		*note = cmp.Or(*note, notes[key])
	}
}

// replacedInPlace refuses packages whose bytes changed under the same name: a release that
// somebody trusted is not exchanged in silence.
func (r *resolver) replacedInPlace(fresh *lockfile.Lock) {
	old := map[string]lockfile.RPM{}
	for _, p := range r.o.Old.RPMs {
		old[p.Path()] = p
	}
	for _, p := range fresh.RPMs {
		have, ok := old[p.Path()]
		if !ok || have.Digest == p.Digest {
			continue
		}
		line := 0
		if i := slices.IndexFunc(r.req.Packages, func(s lockfile.PackageSet) bool { return s.Into == intoOf(p) }); i >= 0 {
			line = int(r.req.Packages[i].Line)
		}
		r.fail(line, "package "+p.Path(), report.WithClass(report.ClassContent, fmt.Errorf("upstream changed %s under the same name: the lock has %s, %s is now %s; if that is right, --update %s takes it", p.NEVRA(), have.Digest, httpx.Redact(p.URLs[0]), p.Digest, p.Name)))
	}
}
