package preflight

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"airbundle/internal/report"
	"airbundle/internal/target"
)

// A version is major, minor and patch; the zero value is not known.
type version [3]int

func parseVersion(s string) version {
	var v version
	s, _, _ = strings.Cut(s, "-")
	parts := strings.Split(s, ".")
	for i := range min(len(parts), len(v)) {
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < 0 {
			return version{}
		}
		v[i] = n
	}
	return v
}

func (v version) known() bool { return v != version{} }

func (v version) before(minor int) bool {
	return v.known() && slices.Compare(v[:], []int{3, minor, 0}) < 0
}

func (v version) is(minor int, patches ...int) bool {
	return v[0] == 3 && v[1] == minor && slices.Contains(patches, v[2])
}

// orient says whether the server keeps its records in OrientDB; up to 3.70 it may use H2,
// too, which answers no worse.
func (v version) orient() bool { return v.before(71) }

// community says whether the server may be a Community Edition, which 3.77 began.
func (j *judge) community() bool {
	return j.f.Edition == "COMMUNITY" || j.f.Edition == "" && !j.v.before(77)
}

// wants says whether a repository of the format is wanted.
func (j *judge) wants(format string) bool {
	return slices.ContainsFunc(j.q.Wanted, func(w target.Wanted) bool { return w.Format == format })
}

// version speaks of the releases that are known to be broken. Sources: sonatype/nexus-public
// #551 and #552 (3.76.0), #565 and #580 (3.77.0, 3.77.1), #1059 (3.96.0, 3.96.1).
func (j *judge) version() {
	edition := j.f.Edition
	if edition == "" {
		edition = "not told (a proxy hides it)"
	}
	j.ok(KindTarget, "edition", edition)
	say := func(state report.State, reason, next string) {
		j.server("version", state, j.f.Version+": "+reason, next)
	}
	switch {
	case !j.v.known():
		j.server("version", report.Unknown, "the server does not tell its version", "look for it in the user interface: 3.76.0 makes no yum metadata, and nothing before 3.16 is known to work")
	case j.v.before(16):
		say(report.Warning, "older than 3.16, which nothing here was made for", "update the Nexus")
	case j.v.is(76, 0) && j.wants(target.FormatYum):
		j.rep.Add(report.Record{Kind: KindTarget, Name: "version", State: report.Failed, Class: report.ClassIncomplete,
			Reason: j.f.Version + ": this version makes no yum metadata, so that no client would find the RPMs", Next: "update to 3.76.1 or later, or push with --rpm-layout raw"})
	case j.v.is(76, 0):
		say(report.Warning, "this version makes no metadata in yum repositories", "update to 3.76.1 or later before RPMs are pushed")
	case j.v.is(77, 0, 1):
		say(report.Warning, "docker clients that are asked for a token are sent to null://, and fail", "update to 3.77.2 or later; a push is not affected")
	case j.v.is(96, 0, 1):
		say(report.Warning, "it may answer 500 to the question for a manifest by its digest", "update to 3.96.2 or later; a push takes that for not known and goes on")
	default:
		j.ok(KindTarget, "version", j.f.Version)
	}
}

func (j *judge) writable() {
	if j.f.ReadOnly {
		j.server("writable", report.Failed, "the server is read-only", "an administrator has frozen it, or its disk is nearly full: see the status page of its user interface")
		return
	}
	j.ok(KindTarget, "writable", "yes")
}

// eula never accepts an agreement: that is for its owner to do.
func (j *judge) eula() {
	e := j.f.EULA
	switch {
	case e.Err == nil && e.Value:
		j.ok(KindTarget, "eula", "accepted")
	case e.Err == nil:
		j.server("eula", report.Failed, "the license agreement of the Community Edition is not accepted, and the server may refuse to work until it is", "its owner has to read and accept it in the user interface")
	case notTold(e.Err) && j.community() && !j.v.before(77) && j.v.before(81):
		j.server("eula", report.Warning, "this version does not tell whether a license agreement is to be accepted", "look in the user interface")
	case notTold(e.Err) || !j.community():
		j.ok(KindTarget, "eula", "this version asks for none")
	default:
		j.server("eula", report.Unknown, "whether the license agreement is accepted is not known: "+why(e.Err), "ask an administrator")
	}
}

// adminRole is the role that may do everything.
const adminRole = "nx-admin"

func (j *judge) login() {
	rights := fmt.Sprintf("the account needs browse, read, add and edit on each repository (privileges nx-repository-view-FORMAT-NAME-*)%s", j.createRights())
	switch r := j.f.Roles; {
	case j.f.User == "":
		j.server("login", report.Failed, "there is no login, and nobody may write without one", "set NEXUS_USERNAME and NEXUS_PASSWORD, or --username with --password-stdin")
	case r.Err != nil:
		j.server("login", report.Warning, "the login is taken; what the account may do is not known: "+why(r.Err), rights)
	case slices.Contains(r.Value, adminRole):
		j.ok(KindTarget, "login", "the account may do everything ("+adminRole+")")
	default:
		j.server("login", report.Warning, fmt.Sprintf("the login is taken, with the roles %s; what they allow is not known", strings.Join(r.Value, ", ")), rights)
	}
}

func (j *judge) createRights() string {
	if !j.q.Create {
		return ""
	}
	return ", and nx-repository-admin-FORMAT-NAME-add for --create"
}

// anonymous says who can pull without a login. A push does not depend on it.
func (j *judge) anonymous() {
	const name = "anonymous access"
	a, realms := j.f.Anonymous, j.f.Realms
	tokens := slices.Contains(realms.Value, "DockerToken")
	switch {
	case a.Err != nil:
		j.server(name, report.Warning, "whether clients can pull without a login is not known: "+why(a.Err), "")
	case !a.Value:
		j.ok(KindTarget, name, "off: clients need a login to pull")
	case !j.wants(target.FormatDocker):
		j.ok(KindTarget, name, "on: clients can read without a login")
	case realms.Err != nil:
		j.server(name, report.Warning, "on; whether images can be pulled without a login is not known: "+why(realms.Err), "")
	case !tokens:
		j.server(name, report.Warning, "on, but images cannot be pulled without a login: the realm DockerToken is not active", "where anonymous pulls are wanted, activate the Docker Bearer Token Realm, and allow anonymous docker pull in the repository")
	default:
		j.ok(KindTarget, name, "on, and the realm DockerToken is active: images can be pulled without a login where the repository allows it")
	}
}

// caps are the limits of the Community Edition: components in all, requests a day. Sources:
// sonatype/nexus-public #581 (3.77 to 3.86) and #883 (3.87 and later).
func (j *judge) caps() {
	const name = "usage caps"
	if !j.community() {
		j.ok(KindTarget, name, "none in this edition and version")
		return
	}
	components, requests := 40_000, 100_000
	if j.v.before(87) {
		components, requests = 100_000, 200_000
	}
	there, bound := j.blobs()
	n, asked := 0, 3*j.q.Blobs
	for _, w := range j.q.Wanted {
		n += w.Components
		asked += 4 * w.Items
	}
	said := fmt.Sprintf("%d components to push, cap %d; about %d requests, cap %d a day", n, components, asked, requests)
	full := "beyond the cap the server takes nothing new after a period of grace: count what it holds in its user interface, and split the push or the server"
	switch {
	case n > components:
		j.server(name, report.Failed, said, full)
	case asked > requests:
		j.server(name, report.Warning, said, "push in parts on several days (--only); requests that fail count, too")
	case !bound:
		j.server(name, report.Warning, said+"; how many the server holds is not known", full)
	case int64(n)+there > int64(components):
		j.server(name, report.Warning, fmt.Sprintf("%s; the server holds up to %d (that many blobs)", said, there), full)
	default:
		j.ok(KindTarget, name, fmt.Sprintf("%s; the server holds at most %d (that many blobs)", said, there))
	}
}

// blobs returns how many blobs the server holds: no component is without one.
func (j *judge) blobs() (n int64, known bool) {
	for _, s := range j.f.Stores.Value {
		n += s.Blobs
	}
	return n, j.f.Stores.Err == nil
}

// collisions are two contents for one name: the lock is at fault, not the server.
func (j *judge) collisions() {
	all := append(target.Collisions(j.q.Items), target.Nested(j.q.Items)...)
	for _, c := range all {
		reason, next := report.Explain(c)
		j.rep.Add(report.Record{Kind: KindTarget, Name: "names", State: report.Failed, Reason: reason, Next: next, Class: report.ClassContent})
	}
	if len(all) == 0 {
		j.ok(KindTarget, "names", "each name stands for one content")
	}
}
