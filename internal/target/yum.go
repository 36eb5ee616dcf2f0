package target

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"airbundle/manifest"
)

// MaxRepodataDepth is the deepest Repodata Depth of a hosted yum repository of Nexus 3, in
// directories (help.sonatype.com, "Yum Repositories").
const MaxRepodataDepth = 5

// rawLayout is the way out of what a yum repository of a Nexus cannot do.
const rawLayout = "--rpm-layout raw"

// Depth returns how many directories lie above a file of a repository.
func (p Place) Depth() int { return strings.Count(p.Path, "/") }

// A deepError says that packages lie deeper than repodata can.
type deepError struct {
	dir RPMDir
}

func (e *deepError) Error() string {
	return fmt.Sprintf("%s lies %d directories deep, and a yum repository of a Nexus has its repodata at most %d deep: clients would find none there; %s",
		path.Join(e.dir.Repository, e.dir.Path), e.dir.depth(), MaxRepodataDepth, e.Advice())
}

// Advice says what to do, for reports.
func (*deepError) Advice() string { return "push these RPMs with " + rawLayout }

// ExitCode says that the content is at fault: the lock names the place.
func (e *deepError) ExitCode() int { return contentCode }

// CheckDepth refuses packages that go to yum repositories of a Nexus where these can have
// no repodata. The error joins one for each directory, with the exit code of wrong content.
func CheckDepth(items []Item) error {
	var errs []error
	for _, dir := range RPMDirs(items) {
		if !dir.Raw && dir.depth() > MaxRepodataDepth {
			errs = append(errs, &deepError{dir})
		}
	}
	return errors.Join(errs...)
}

// depth returns how many directories lie above a package.
func (d RPMDir) depth() int { return Place{Path: path.Join(d.Path, "rpm")}.Depth() }

// RawAdvice says, one sentence each, why the packages among items would be better off with
// --rpm-layout raw than in the yum repositories of a Nexus that they go to: streams of
// modules that clients would not see, depths that need a repository each. What cannot be
// at all is CheckDepth's to say.
func RawAdvice(t *manifest.Table, items []Item) []string {
	var advice []string
	var modular []string
	for _, dir := range RPMDirs(items) {
		if !dir.Raw && slices.ContainsFunc(t.Metadata, func(m manifest.Metadata) bool { return m.Type == manifest.MetadataModules && m.Repo == dir.Repo }) {
			modular = append(modular, path.Join(dir.Repository, dir.Path))
		}
	}
	if len(modular) > 0 {
		advice = append(advice, fmt.Sprintf("use %s for %s: it has modules, which a yum repository of a Nexus does not list", rawLayout, strings.Join(modular, ", ")))
	}
	for _, repo := range yumDepths(items) {
		if len(repo.byDepth) < 2 {
			continue
		}
		var said []string
		for _, depth := range slices.Sorted(maps.Keys(repo.byDepth)) {
			said = append(said, fmt.Sprintf("%s at %d", strings.Join(repo.byDepth[depth], ", "), depth))
		}
		advice = append(advice, fmt.Sprintf("use %s for the RPMs of %s, or a repository for each depth: it has its repodata at one depth, and their directories lie at several (%s)",
			rawLayout, repo.name, strings.Join(said, "; ")))
	}
	return advice
}

// A yumRepository is one that packages go to.
type yumRepository struct {
	name    string
	byDepth map[int][]string // directories
}

func yumDepths(items []Item) []yumRepository {
	var repos []yumRepository
	for _, dir := range RPMDirs(items) {
		if dir.Raw {
			continue
		}
		if n := len(repos); n == 0 || repos[n-1].name != dir.Repository { // they are sorted
			repos = append(repos, yumRepository{dir.Repository, map[int][]string{}})
		}
		by := repos[len(repos)-1].byDepth
		by[dir.depth()] = append(by[dir.depth()], cmp.Or(dir.Path, "its root"))
	}
	return repos
}

// repodataCollisions finds files that go where the metadata of packages beside them goes,
// in a repository that holds both.
func repodataCollisions(items []Item) []*Collision {
	made := map[Place]string{}
	for _, dir := range RPMDirs(items) {
		if !dir.Raw {
			continue
		}
		made[Place{dir.Repository, path.Join(dir.Path, "repodata")}] = path.Join(dir.Repository, dir.Path)
	}
	var out []*Collision
	for _, it := range items {
		rpms, ok := made[it.Place.Dir()]
		if it.Kind != manifest.KindFile || !ok {
			continue
		}
		out = append(out, &Collision{
			Name:    it.Place.Repository + "/" + it.Place.Path,
			Sources: []string{it.Name + " (" + string(it.Digest) + ")", "the repodata that is made for the RPMs in " + rpms},
		})
	}
	return out
}
