package lockfile

import (
	"slices"
	"strings"

	"airbundle/manifest"
)

func checkRequest(c *checker, r *Request) {
	c.header(&r.Name, &r.Arches)
	c.imageWishes(r)
	c.repos(r)
	for i := range r.Packages {
		c.packageSet(&r.Packages[i], r)
	}
	c.fileWishes(r)
	c.chartWishes(r)
	c.absences(r.Absent, &r.Arches)
	c.accepted(r.Accept)
}

// archesOf checks a list of arches that are all of the request.
func (c *checker) archesOf(list *[]string, r *Request) {
	c.each(list, "arches", checkArch)
	for i := range *list {
		if field := &(*list)[i]; checkArch(*field) == nil {
			c.among(field, "arch", *field, &r.Arches, "arches")
		}
	}
}

func (c *checker) imageWishes(r *Request) {
	sources, published := claims{}, claims{}
	for i := range r.Images {
		w := &r.Images[i]
		if !c.enter(w, w.Line, "image", w.Source) {
			continue
		}
		if c.want(&w.Source, "source", checkSource) {
			c.claim(sources, &w.Source, "source", sourceKey(w.Source), "")
		}
		if _, _, local := manifest.LocalSource(w.Source); local && len(w.Publish) == 0 {
			c.errorf(&w.Publish, "publish is missing: an image from disk has no name of its own")
		}
		c.publishes(&w.Publish, published, "")
		c.notes(&w.Groups, &w.Note)
	}
}

func (c *checker) repos(r *Request) {
	ids := claims{}
	for i := range r.Repos {
		p := &r.Repos[i]
		if !c.enter(p, p.Line, "repo", p.ID) {
			continue
		}
		if c.want(&p.ID, "id", checkName) {
			c.claim(ids, &p.ID, "id", p.ID, "")
		}
		c.archesOf(&p.Arches, r)
		c.location(p)
		c.each(&p.GPGKeys, "gpgkeys", checkKeySource)
		if p.RepoGPGCheck && len(p.GPGKeys) == 0 {
			c.errorf(&p.RepoGPGCheck, "repo_gpgcheck needs gpgkeys")
		}
		if _, given := c.at[&p.Priority]; p.Priority < 0 || given && p.Priority == 0 {
			c.errorf(&p.Priority, "priority %d is not above 0", p.Priority)
		}
		c.each(&p.Exclude, "exclude", checkOneLine)
		c.notes(nil, &p.Note)
	}
}

func (c *checker) location(p *Repo) {
	given, bad := 0, false
	for _, u := range []struct {
		field *string
		name  string
	}{{&p.BaseURL, "baseurl"}, {&p.MirrorList, "mirrorlist"}, {&p.Metalink, "metalink"}} {
		bad = bad || c.bad[u.field]
		if *u.field != "" {
			given++
			c.want(u.field, u.name, checkRepoURL)
		}
	}
	if given != 1 && !bad {
		c.errorf(p, "want exactly one of baseurl, mirrorlist and metalink")
	}
}

// checkKeySource takes a URL or the path of a file.
func checkKeySource(s string) error {
	if strings.Contains(s, "://") || strings.HasPrefix(s, "file:") {
		return checkURL(s)
	}
	return checkOneLine(s)
}

func (c *checker) packageSet(s *PackageSet, r *Request) {
	if !c.enter(s, s.Line, "packages", s.Into) {
		return
	}
	c.want(&s.Into, "into", checkPath)
	c.archesOf(&s.Arches, r)
	c.each(&s.From, "from", checkName)
	if !c.bad[&r.Repos] {
		for i := range s.From {
			c.knownRepo(&s.From[i], r)
		}
	}
	c.some(&s.Install, "install", checkOneLine)
	c.each(&s.Exclude, "exclude", checkOneLine)
	c.each(&s.Present, "present", checkOneLine)
	c.each(&s.Modules, "modules", checkStream)
	c.notes(&s.Groups, &s.Note)
}

func (c *checker) knownRepo(id *string, r *Request) {
	for i := range r.Repos {
		if p := &r.Repos[i]; p.ID == *id || c.bad[p] || c.bad[&p.ID] {
			return
		}
	}
	if checkName(*id) == nil {
		c.errorf(id, "from names %q, which is not the id of one of repos", *id)
	}
}

// fileWishes checks files as they are after expansion, for every arch.
func (c *checker) fileWishes(r *Request) {
	paths := claims{}
	for i := range r.Files {
		f := &r.Files[i]
		if !c.enter(f, f.Line, "file", f.Path) {
			continue
		}
		c.archesOf(&f.Arches, r)
		c.notes(&f.Groups, &f.Note)
		if c.bad[&r.Arches] || c.bad[&f.Arches] || !knownArches(r.Arches) || !knownArches(f.Arches) {
			continue // what it expands to cannot be told
		}
		expanded, err := f.Expand(r.Arches)
		if err != nil {
			c.errorf(&f.Path, "%v", err)
			continue
		}
		for _, one := range expanded {
			if !c.fileWish(f, one, paths) {
				break // the other arches have the same problem
			}
		}
	}
}

func knownArches(arches []string) bool {
	return !slices.ContainsFunc(arches, func(a string) bool { return checkArch(a) != nil })
}

// fileWish checks one expanded form of the file f. It reports false when there
// was a problem.
func (c *checker) fileWish(f *FileWish, one FileWish, paths claims) bool {
	ok := c.wantAt(&f.Path, "path", one.Path, checkPath)
	if ok {
		c.claim(paths, &f.Path, "path", one.Path, "")
	}
	ok = c.wantAt(&f.URL, "url", one.URL, checkURL) && ok
	if one.Checksums != "" {
		ok = c.wantAt(&f.Checksums, "checksums", one.Checksums, checkURL) && ok
	}
	return ok
}

func (c *checker) chartWishes(r *Request) {
	taken := claims{}
	for i := range r.Charts {
		h := &r.Charts[i]
		if !c.enter(h, h.Line, "chart", h.Name) {
			continue
		}
		ok := c.want(&h.Name, "name", checkChart)
		if c.want(&h.Version, "version", checkVersion) && ok {
			c.claim(taken, &h.Name, "chart", h.Name+" "+h.Version, "")
		}
		c.want(&h.Repo, "repo", checkChartRepo)
		c.notes(&h.Groups, &h.Note)
	}
}
