package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"airbundle/internal/lockfile"
	"airbundle/internal/rpm"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// EL7 is the only target so far whose rpm reads less than what is built today.
const EL7 = "el7"

var (
	// el7Path tells repository paths of CentOS and RHEL 7: centos-base/7/os, el7, rhel-7-server.
	el7Path = regexp.MustCompile(`(?i)(^|/)(([^/]*[-_])?(el|rhel|centos)-?7([^0-9/][^/]*)?|7(\.[0-9][0-9.]*)?(server)?)(/|$)`)
	// distTag finds the distribution that a release was built for.
	distTag = regexp.MustCompile(`\.(el|fc|amzn)([0-9]+)`)
)

// el7Features are the rpmlib(...) features of rpm 4.11, which EL7 has. Later ones are
// LargeFiles and RichDependencies (4.12), PayloadIsZstd (4.14), DynamicBuildRequires and
// CaretInVersions (4.15): see the release notes at rpm.org and rpm --showrc.
var el7Features = []string{
	"BuiltinLuaScripts", "CompressedFileNames", "ConcurrentAccess", "ExplicitPackageProvide", "FileCaps", "FileDigests",
	"HeaderLoadSortsTags", "PartialHardlinkSets", "PayloadFilesHavePrefix", "PayloadIsBzip2", "PayloadIsLzma", "PayloadIsXz",
	"ScriptletExpansion", "ScriptletInterpreterArgs", "TildeInVersions", "VersionedDependencies",
}

// forEL7 says whether a package is for EL7, by the declared target or else its
// repository path.
func (c *linter) forEL7(p lockfile.RPM) bool {
	if c.o.TargetOS != "" {
		return c.o.TargetOS == EL7
	}
	return el7Path.MatchString(p.Repo)
}

func (c *linter) rpms() {
	c.sameNEVRA()
	c.archSets()
	c.depths()
	c.modules()
	unread := 0
	for _, p := range c.l.RPMs {
		if !c.forEL7(p) {
			continue
		}
		unread++
		const other = "take a package that was built for EL7, or move it to a set of its own"
		if dist := foreign(p.EVR); dist != "" {
			c.findRPM(ForeignDist, p, fmt.Sprintf("it was built for %s, and goes to EL7 in %s", dist, p.Repo), other)
		}
		if strings.Contains(p.EVR, "^") {
			c.findRPM(RPMLib, p, "its version needs rpmlib(CaretInVersions), which rpm 4.11 of EL7 does not have", other)
		}
	}
	if unread > 0 && c.o.Headers == nil {
		c.notes = append(c.notes, fmt.Sprintf("whether rpm 4.11 of EL7 can read %d packages was not checked: that is in their headers, lint with --online", unread))
	}
}

// foreign gives the distribution that a release names, unless EL7 can use it.
func foreign(evr string) string {
	m := distTag.FindStringSubmatch(evr)
	if m == nil {
		return ""
	}
	if n, err := strconv.Atoi(m[2]); err == nil && m[1] == "el" && n <= 7 {
		return ""
	}
	return m[1] + m[2]
}

// sameNEVRA looks for one package with two contents, as two repositories serve it that
// signed or built it anew. Hosts of one arch see both; the same noarch package of
// another arch's repository they never see.
func (c *linter) sameNEVRA() {
	first := map[string]lockfile.RPM{}
	for _, p := range c.l.RPMs {
		key := p.NEVRA() + " " + p.BaseArch
		old, known := first[key]
		switch {
		case !known:
			first[key] = p
		case old.Digest != p.Digest && old.Repo != p.Repo: // within one repository it is refused when decoding
			c.findRPM(NEVRADigests, p,
				fmt.Sprintf("%s has %s, %s at line %d has %s", p.Repo, p.Digest, old.Repo, old.Line, old.Digest),
				"carry one of them: which one a host installs would be chance")
		}
	}
}

// depths looks at how deep the repositories lie: a yum hosted repository has its
// repodata at one depth, 0 to 5 directories below its root.
func (c *linter) depths() {
	lines := map[string]lockfile.Line{}
	for _, p := range c.l.RPMs {
		if _, known := lines[p.Repo]; !known && p.Repo != "" {
			lines[p.Repo] = p.Line
		}
	}
	byDepth := map[int][]string{}
	for repo, line := range lines {
		depth := strings.Count(repo, "/") + 1
		if depth > target.MaxRepodataDepth {
			c.find(TooDeep, "rpm", repo, line, fmt.Sprintf("the repository lies %d directories deep; a yum repository of Nexus has its repodata at most %d deep", depth, target.MaxRepodataDepth),
				"shorten into: of the package set, or offer it with seeder serve or push --rpm-layout raw, and accept this")
			continue
		}
		byDepth[depth] = append(byDepth[depth], repo)
	}
	if len(byDepth) < 2 {
		return
	}
	var said []string
	var last string
	for depth := range target.MaxRepodataDepth + 1 {
		if repos := byDepth[depth]; len(repos) > 0 {
			slices.Sort(repos)
			said = append(said, fmt.Sprintf("%d: %s", depth, some(repos)))
			last = repos[0]
		}
	}
	c.find(TwoDepths, "rpm", "repositories", lines[last], "repositories lie at different depths ("+strings.Join(said, "; ")+"), and one yum repository of Nexus has one Repodata Depth",
		"make into: of the package sets equally deep, or push with --rpm-layout raw or to a repository for each depth, and accept this")
}

// modules says where a yum repository of Nexus would not show all that the lock has: no
// fault of the lock.
func (c *linter) modules() {
	for _, m := range c.l.Metadata {
		if m.Type == manifest.MetadataModules {
			c.advice = append(c.advice, fmt.Sprintf("%s has modules, which a yum repository of Nexus does not list: push with --rpm-layout raw, or offer it with seeder serve", m.Repo))
		}
	}
}

// header judges what the header of a package says.
func (c *linter) header(p lockfile.RPM, h *rpm.Package) []Finding {
	at := Finding{Kind: "rpm", Artifact: p.NEVRA(), Package: p.Name, File: c.file, Line: int(p.Line)}
	if h.NEVRA() != p.NEVRA() {
		at.ID, at.What, at.Do = WrongHeader, "the package at its URL is "+h.NEVRA(), "lock it again"
		return []Finding{at}
	}
	if !c.forEL7(p) {
		return nil
	}
	var missing []string
	for _, d := range h.Requires {
		feature, ok := strings.CutPrefix(d.Name, "rpmlib(")
		feature = strings.TrimSuffix(feature, ")")
		if ok && !slices.Contains(el7Features, feature) && !slices.Contains(missing, feature) {
			missing = append(missing, feature)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	at.ID, at.What = RPMLib, fmt.Sprintf("it needs rpmlib(%s), which rpm 4.11 of EL7 does not have", strings.Join(missing, "), rpmlib("))
	at.Do = "take a package that was built for EL7, or move it to a set of its own"
	return []Finding{at}
}
