package preflight

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"airbundle/internal/report"
	"airbundle/internal/target"
)

// repositories judges each repository that is wanted, and each group.
func (j *judge) repositories() {
	for _, w := range j.q.Wanted {
		j.repository(w, j.f.Repositories[w.Repository])
	}
	for _, g := range j.q.Groups {
		j.group(g, j.f.Repositories[g.Name])
	}
}

// another says how to name another repository of the format.
func another(format string) string { return fmt.Sprintf("name another with --%s-repo", format) }

func (j *judge) repository(w target.Wanted, r Repository) {
	say := func(state report.State, finding, reason, next string) {
		j.found(w.Repository, state, finding, reason, next)
	}
	need := "a hosted " + w.Format + " one is needed"
	switch {
	case r.Format != "" && (r.Format != w.Format || !j.q.Read && r.Type != "hosted"):
		say(report.Failed, FindingFormat, fmt.Sprintf("is a %s %s repository, %s", r.Type, r.Format, need), another(w.Format))
	case r.Absent.Err != nil:
		say(report.Unknown, FindingInvisible, "whether there is a repository of that name is not known: "+why(r.Absent.Err), "let an administrator look, or "+another(w.Format))
	case r.Absent.Value:
		j.absent(w)
	case j.q.Read && r.Format == "":
		say(report.Unknown, FindingInvisible, fmt.Sprintf("this login does not see it, and %s", need), "let an administrator grant browse and read on it, or "+another(w.Format))
	case j.q.Read:
		j.ok(KindRepository, w.Repository, r.Type+" "+r.Format)
	case r.Settings.Err == nil:
		j.present(w, r.Settings.Value)
	case r.Format != "":
		say(report.Unknown, FindingSettings, fmt.Sprintf("hosted %s; whether it is online, its write policy and what else is set are not known: %s", w.Format, why(r.Settings.Err)), "let an administrator look: "+design(w, j.q.Ports[w.Repository]).Words())
	case errors.Is(r.Settings.Err, ErrOther):
		say(report.Failed, FindingFormat, fmt.Sprintf("there is a repository of that name that this login does not see, and it is no hosted %s one", w.Format), another(w.Format))
	default:
		say(report.Unknown, FindingInvisible, fmt.Sprintf("there is a repository of that name that this login does not see; its format and settings are not known: %s", why(r.Settings.Err)), "let an administrator grant browse on it")
	}
}

// absent speaks of a repository that is not there.
func (j *judge) absent(w target.Wanted) {
	d := design(w, j.q.Ports[w.Repository])
	err := fits(w)
	switch {
	case err != nil:
		j.found(w.Repository, report.Failed, FindingDepth, "is not there, and none can be made: "+err.Error(), layoutRaw)
	case j.q.Create:
		j.make(d)
	case j.q.Read:
		j.found(w.Repository, report.Missing, FindingMissing, "there is no "+w.Format+" repository of that name", another(w.Format))
	default:
		j.found(w.Repository, report.Missing, FindingMissing, "there is no "+w.Format+" repository of that name, and "+count(w.Items, "artifact")+" cannot go there",
			another(w.Format)+", or make it; push --create makes: "+d.Words())
	}
}

// count says a number of things.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// make says whether a repository can be made. Up to 3.19 none can; up to 3.25 there is a beta
// API, which knows raw ones from 3.24 on and may know others.
func (j *judge) make(d Design) {
	const reason = "is not there; to be made: "
	switch {
	case j.v.before(20):
		j.rep.Add(refused(d, ErrNoAPI))
	case j.v.before(26) && (j.v.before(24) || d.Format != target.FormatRaw):
		j.found(d.Name, report.Unknown, FindingCreate, reason+d.Words(), "whether this version can be asked for that is not known: push --create tries, and otherwise says how to make it by hand")
	default:
		j.rep.Add(report.Record{Kind: KindRepository, Name: d.Name, State: report.Planned, Reason: reason + d.Words()})
	}
}

// layoutRaw is the way out where no yum repository will do.
const layoutRaw = "push with --rpm-layout raw, which takes RPMs at any depth"

// fits says why no yum repository can take the RPMs.
func fits(w target.Wanted) error {
	switch {
	case w.Format != target.FormatYum:
		return nil
	case len(w.Depths) > 1:
		return fmt.Errorf("its RPMs lie %s directories deep, and a yum repository has metadata at one depth", depths(w.Depths))
	case len(w.Depths) == 1 && w.Depths[0] > target.MaxRepodataDepth:
		return fmt.Errorf("its RPMs lie %d directories deep, and a yum repository has its metadata at %d at most", w.Depths[0], target.MaxRepodataDepth)
	}
	return nil
}

func depths(all []int) string {
	words := make([]string, len(all))
	for i, n := range all {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, " and ")
}

// present judges the settings of a hosted repository that is there.
func (j *judge) present(w target.Wanted, s Settings) {
	said := describe(w.Format, s)
	found := j.faults(w, s)
	if d := design(w, j.q.Ports[w.Repository]).differences(s); j.q.Create && len(d) > 0 {
		found = append(found, report.Record{State: report.Warning, Finding: FindingDiffers, Reason: "it stays as it is; --create would have made it with " + strings.Join(d, ", ")})
	}
	if len(found) == 0 {
		j.ok(KindRepository, w.Repository, said)
	}
	for i, rec := range found {
		rec.Kind, rec.Name, rec.Class = KindRepository, w.Repository, classOf(rec.State)
		if i == 0 {
			rec.Proof = said
		}
		j.rep.Add(rec)
	}
}

// describe says how a repository is set up.
func describe(format string, s Settings) string {
	words := []string{"hosted " + format, "online"}
	if !s.Online {
		words[1] = "offline"
	}
	words = append(words, s.WritePolicy)
	switch {
	case format == target.FormatYum:
		words = append(words, fmt.Sprintf("repodata depth %d", s.Depth))
	case format == target.FormatDocker && s.HTTPPort == 0 && s.HTTPSPort == 0:
		words = append(words, "no connector port (the main port will do)")
	case format == target.FormatDocker:
		for scheme, port := range map[string]int{"http": s.HTTPPort, "https": s.HTTPSPort} {
			if port != 0 {
				words = append(words, fmt.Sprintf("connector port %d (%s)", port, scheme))
			}
		}
		slices.Sort(words[3:])
	}
	if format == target.FormatDocker && s.ForceBasicAuth {
		words = append(words, "pulls need a login")
	}
	switch {
	case s.Strict && format == target.FormatRaw:
		words = append(words, "strict content types (a file that is not what its name ends in is refused)")
	case s.Strict:
		words = append(words, "strict content types")
	}
	return strings.Join(append(words, "blob store "+s.BlobStore), ", ")
}

// faults are what is wrong with the settings, in the order of their weight.
func (j *judge) faults(w target.Wanted, s Settings) []report.Record {
	var found []report.Record
	say := func(state report.State, finding, reason, next string) {
		found = append(found, report.Record{State: state, Finding: finding, Reason: reason, Next: next})
	}
	if !s.Online {
		say(report.Failed, FindingOffline, "it is offline and answers nothing", "an administrator has to set it online")
	}
	if w.Format == target.FormatYum && len(w.Depths) > 0 {
		switch said := fmt.Sprintf("its metadata is made %d directories deep, and the RPMs lie %s deep: ", s.Depth, depths(w.Depths)); {
		case w.Depths[0] < s.Depth:
			say(report.Failed, FindingDepth, said+"it refuses RPMs above its metadata", fmt.Sprintf("name one of depth %d or less with --yum-repo, or %s", w.Depths[0], layoutRaw))
		case !slices.Equal(w.Depths, []int{s.Depth}):
			say(report.Warning, FindingDepth, said+"one list has the RPMs of all directories below it, and its directory is the baseurl for clients", "a repository of the RPMs' depth has a list for each directory")
		}
	}
	switch n, asked := j.q.Move[w.Repository]; {
	case s.WritePolicy == "DENY" && asked && n > 0 && !j.q.AtMost:
		say(report.Failed, FindingWritePolicy, "its write policy DENY takes nothing, and there is something to send", "an administrator has to set its deployment policy to Allow redeploy")
	case s.WritePolicy == "DENY":
		say(report.Warning, FindingWritePolicy, "its write policy DENY takes nothing: a push fails for whatever is not there already", "an administrator has to set its deployment policy to Allow redeploy")
	case s.WritePolicy == "ALLOW_ONCE":
		if reason := j.once(w); reason != "" {
			say(report.Warning, FindingWritePolicy, reason, "Allow redeploy is safer; a push overwrites nothing without --overwrite in any case")
		}
	}
	return found
}

// once says where ALLOW_ONCE is more than a refusal to overwrite.
func (j *judge) once(w target.Wanted) string {
	switch {
	case w.Format == target.FormatDocker && j.v.orient():
		return "with ALLOW_ONCE this version refuses a second tag for an image, and one of two uploads of a layer at once"
	case w.Format == target.FormatRaw && len(w.Depths) > 0:
		return "with ALLOW_ONCE the metadata of RPMs can be written once and never replaced: the next push of other packages fails"
	}
	return ""
}

// group judges a group that is wanted.
func (j *judge) group(g target.Group, r Repository) {
	d := groupDesign(g, j.q.Ports[g.Name])
	say := func(state report.State, finding, reason, next string) {
		j.found(g.Name, state, finding, reason, next)
	}
	switch {
	case r.Format != "" && (r.Format != g.Format || r.Type != "group"):
		say(report.Failed, FindingFormat, fmt.Sprintf("is a %s %s repository, a group of %s ones is wanted", r.Type, r.Format, g.Format), "name another group in the target map")
	case r.Absent.Value && j.q.Create:
		j.make(d)
	case r.Absent.Value: // clients would look there; a push does not
		say(report.Warning, FindingMissing, "there is no group of that name", "push --create makes: "+d.Words())
	case r.Absent.Err != nil, r.Settings.Err != nil:
		say(report.Warning, FindingSettings, "its members are not known: "+why(cmp.Or(r.Absent.Err, r.Settings.Err)), "")
	default:
		if lacks := without(g.Members, r.Settings.Value.Members); len(lacks) > 0 {
			say(report.Warning, FindingMembers, "the group does not show "+strings.Join(lacks, ", "), "an administrator has to add them to its members: what is there is not changed")
			return
		}
		j.ok(KindRepository, g.Name, fmt.Sprintf("group of %s, shows %s", g.Format, strings.Join(g.Members, ", ")))
	}
}

// without returns what of want is not in have.
func without(want, have []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(have, s) })
}
