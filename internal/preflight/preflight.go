// Package preflight judges, before anything is sent, whether a Nexus will take a push:
// what the server is, how much space it has, and whether each repository that the push
// needs is there and fits. Of repositories that are missing it says how they have to be,
// and makes them where that is wanted; one that is there it never changes.
//
// What the server says of itself it is given as Facts. It tells no lies about what is not
// known: a question that the account may not ask, or that the version does not answer,
// is neither a yes nor a no.
package preflight

import (
	"errors"
	"fmt"
	"net/http"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
	"airbundle/internal/target"
)

// The kinds of records: about the server as a whole, and about one repository.
const (
	KindTarget     = "target"
	KindRepository = "repository"
)

// What is found about a repository, as Record.Finding has it.
const (
	FindingMissing     = "no-repository" // there is none of that name
	FindingInvisible   = "invisible"     // the login does not see it, if it is there
	FindingFormat      = "format"        // it is of another format or type
	FindingOffline     = "offline"
	FindingWritePolicy = "write-policy"
	FindingDepth       = "depth"    // of yum metadata
	FindingSettings    = "settings" // cannot be read
	FindingMembers     = "members"  // of a group
	FindingDiffers     = "differs"  // from what --create would have made
	FindingCreate      = "create"   // cannot be made
)

// An Answer is what the server says to one question; Err is why it is not known.
type Answer[T any] struct {
	Value T
	Err   error
}

// ErrNoAPI is the Err of questions that the server's version has no API for, and of a
// Maker that has none to make repositories with.
var ErrNoAPI = errors.New("this version does not tell")

// ErrOther is the Err of settings of which the server has none for the wanted name, format
// and type.
var ErrOther = errors.New("there is none of that name, format and type")

// Facts are what a Nexus says of itself.
type Facts struct {
	Version   string // "3.40.1-01"; empty: not told
	Edition   string // OSS, COMMUNITY, PRO; empty: not told
	ReadOnly  bool
	User      string           // of the login; empty: anonymous
	Refused   error            // of the login: nothing that needs it is known then
	Roles     Answer[[]string] // of User
	EULA      Answer[bool]     // accepted; ErrNoAPI: there is none
	Anonymous Answer[bool]
	Realms    Answer[[]string] // ids of the active ones
	Stores    Answer[[]Store]
	// Repositories are what is known of those that are wanted, by name.
	Repositories map[string]Repository
}

// A Store is a blob store.
type Store struct {
	Name, Type  string // Type is File where the space is that of a file system
	Unavailable bool
	Blobs       int64
	Available   int64        // bytes
	Quota       Answer[bool] // the soft quota is violated
	Message     string       // of the quota, in the server's words
}

// A Repository is what is known of one name.
type Repository struct {
	Format, Type string           // as in the list of what the login may browse; empty: not listed
	Absent       Answer[bool]     // the server has no repository of that name
	Settings     Answer[Settings] // of the wanted format and type
}

// Settings are how a repository is set up.
type Settings struct {
	Online         bool
	BlobStore      string
	Strict         bool   // the content type is checked against the file name
	WritePolicy    string // ALLOW, ALLOW_ONCE, DENY; empty for groups
	Depth          int    // yum: Repodata Depth
	HTTPPort       int    // docker: of the connector; 0: none
	HTTPSPort      int
	ForceBasicAuth bool     // docker: no anonymous pulls
	Members        []string // of a group
}

// A Question is what a push asks of a server.
type Question struct {
	Wanted []target.Wanted
	Groups []target.Group
	Items  []target.Item
	// Move are the bytes that are to be sent to each repository; nil: not asked.
	Move map[string]int64
	// AtMost says that part of Move may be there already.
	AtMost bool
	Blobs  int // of images, roughly: to count requests
	Create bool
	Ports  map[string]int // of the connectors of docker repositories and groups that are made
	// Read means that nothing is to be written: Repositories is content with groups and proxies.
	Read bool
}

// Judge says of everything that a push depends on whether it is as it should be, and what
// to do where it is not. The report's exit code is 0 when nothing speaks against the push.
func Judge(f Facts, q Question) *report.Report {
	j := &judge{f: f, q: q, v: parseVersion(f.Version), rep: &report.Report{Command: "plan"}}
	j.collisions()
	j.version()
	if f.Refused != nil {
		j.server("login", report.Failed, f.Refused.Error(), "check user and password; nothing else was asked")
		return j.rep
	}
	j.writable()
	j.eula()
	j.login()
	j.caps()
	j.anonymous()
	j.move()
	j.repositories()
	j.stores()
	return j.rep
}

// Repositories judges the repositories alone, as Judge does.
func Repositories(f Facts, q Question) []report.Record {
	j := &judge{f: f, q: q, v: parseVersion(f.Version), rep: &report.Report{}}
	j.repositories()
	return j.rep.Records()
}

// A judge is one judgement under way.
type judge struct {
	f   Facts
	q   Question
	v   version
	rep *report.Report
}

func (j *judge) ok(kind, name, reason string) {
	j.rep.Add(report.Record{Kind: kind, Name: name, State: report.OK, Reason: reason})
}

// server takes what is not as it should be about the server, and what to do.
func (j *judge) server(name string, state report.State, reason, next string) {
	j.rep.Add(report.Record{Kind: KindTarget, Name: name, State: state, Reason: reason, Next: next, Class: classOf(state)})
}

// found is server for a repository.
func (j *judge) found(name string, state report.State, finding, reason, next string) {
	j.rep.Add(report.Record{Kind: KindRepository, Name: name, State: state, Finding: finding, Reason: reason, Next: next, Class: classOf(state)})
}

// classOf is the exit code that a state stands for.
func classOf(s report.State) report.Class {
	switch s {
	case report.Failed, report.Missing:
		return report.ClassRefused
	case report.Unknown:
		return report.ClassIncomplete // part of the answer is missing
	}
	return report.ClassOK
}

// why says in words why something is not known.
func why(err error) string {
	switch code := httpx.StatusCode(err); {
	case notTold(err):
		return "this version does not tell"
	case code == http.StatusForbidden, code == http.StatusUnauthorized:
		return fmt.Sprintf("this login may not read it (%d)", code)
	}
	return err.Error()
}

// notTold says whether the version has no such question.
func notTold(err error) bool {
	code := httpx.StatusCode(err)
	return errors.Is(err, ErrNoAPI) || code == http.StatusNotFound || code == http.StatusMethodNotAllowed
}
