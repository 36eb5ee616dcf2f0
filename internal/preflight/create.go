package preflight

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
	"airbundle/internal/target"
)

// A Design is a repository that is to be made.
type Design struct {
	Name, Format, Type string // Type is hosted or group
	BlobStore          string
	Strict             bool
	WritePolicy        string // of a hosted one
	Depth              int    // yum: Repodata Depth
	Port               int    // docker: of the connector; 0: none
	Members            []string
}

// design says how a hosted repository has to be. All of them allow redeployment: a push
// compares before it writes and overwrites only what --overwrite names, while a server
// that forbids it refuses equal content, second tags of an image on OrientDB, and the
// repair of what was damaged. Raw repositories do not check content types, because
// binaries without an extension are what they are for.
func design(w target.Wanted, port int) Design {
	d := Design{Name: w.Repository, Format: w.Format, Type: "hosted", BlobStore: defaultStore, Strict: w.Format != target.FormatRaw, WritePolicy: "ALLOW"}
	if w.Format == target.FormatDocker {
		d.Port = port
	}
	if w.Format == target.FormatYum && len(w.Depths) == 1 {
		d.Depth = w.Depths[0]
	}
	return d
}

// groupDesign says how a group has to be.
func groupDesign(g target.Group, port int) Design {
	return Design{Name: g.Name, Format: g.Format, Type: "group", BlobStore: defaultStore, Strict: g.Format != target.FormatRaw, Port: port, Members: g.Members}
}

// Words says how the repository is, in the words of the user interface, so that a person
// can make it.
func (d Design) Words() string {
	words := []string{fmt.Sprintf("%s (%s)", d.Format, d.Type), "name " + d.Name, "online"}
	if d.Type == "group" {
		words = append(words, "members "+strings.Join(d.Members, ", "))
	}
	switch {
	case d.Format == target.FormatDocker && d.Port > 0:
		words = append(words, fmt.Sprintf("HTTP connector at port %d", d.Port), "no anonymous pull", "no V1 API")
	case d.Format == target.FormatDocker:
		words = append(words, "no connector", "no anonymous pull", "no V1 API")
	case d.Format == target.FormatYum && d.Type == "hosted":
		words = append(words, fmt.Sprintf("repodata depth %d", d.Depth), "layout policy strict")
	}
	words = append(words, "blob store "+d.BlobStore, "strict content type validation "+onOff(d.Strict))
	if d.Type == "hosted" {
		words = append(words, "deployment policy Allow redeploy")
	}
	return strings.Join(words, ", ")
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// differences says what would be otherwise in a repository of this design. Where content lies,
// and who may pull, is the owner's affair.
func (d Design) differences(s Settings) []string {
	var all []string
	if s.WritePolicy != d.WritePolicy {
		all = append(all, fmt.Sprintf("write policy %s, not %s", d.WritePolicy, s.WritePolicy))
	}
	if s.Strict != d.Strict {
		all = append(all, "strict content type validation "+onOff(d.Strict))
	}
	if d.Format == target.FormatYum && s.Depth != d.Depth {
		all = append(all, fmt.Sprintf("repodata depth %d, not %d", d.Depth, s.Depth))
	}
	if d.Port != 0 && s.HTTPPort != d.Port {
		all = append(all, fmt.Sprintf("connector port %d", d.Port))
	}
	return all
}

// Designs returns the repositories that are missing and can be made, hosted ones before the
// groups that show them. What is not known to be missing is not among them.
func Designs(f Facts, q Question) []Design {
	var all []Design
	for _, w := range q.Wanted {
		if r := f.Repositories[w.Repository]; r.Absent.Value && fits(w) == nil {
			all = append(all, design(w, q.Ports[w.Repository]))
		}
	}
	for _, g := range q.Groups {
		if f.Repositories[g.Name].Absent.Value {
			all = append(all, groupDesign(g, q.Ports[g.Name]))
		}
	}
	return all
}

// A Maker makes a repository, and changes nothing that is there. The error is ErrNoAPI where
// the server cannot be asked to, and ErrTaken where the name is in use.
type Maker interface {
	Make(ctx context.Context, d Design) error
}

// ErrTaken is the error of a Maker for a name that is in use.
var ErrTaken = errors.New("the name is in use")

// Create makes the repositories, and says of each whether it is there now. A refused login
// ends it.
func Create(ctx context.Context, m Maker, designs []Design) []report.Record {
	var all []report.Record
	for _, d := range designs {
		rec := report.Record{Kind: KindRepository, Name: d.Name, State: report.Sent, Reason: "made: " + d.Words()}
		err := m.Make(ctx, d)
		if err != nil {
			rec = refused(d, err)
		}
		all = append(all, rec)
		if ctx.Err() != nil || httpx.StatusCode(err) == http.StatusUnauthorized || httpx.StatusCode(err) == http.StatusTooManyRequests {
			break
		}
	}
	return all
}

// refused says why a repository could not be made, and what to do.
func refused(d Design, err error) report.Record {
	rec := report.Record{Kind: KindRepository, Name: d.Name, State: report.Failed, Finding: FindingCreate, Reason: err.Error(), Class: report.Classify(err)}
	switch {
	case errors.Is(err, ErrNoAPI):
		rec.Class, rec.Reason = report.ClassRefused, "this version of Nexus cannot be asked to make it"
		rec.Next = "make it by hand: Administration, Repository, Repositories, Create repository, " + d.Words()
	case errors.Is(err, ErrTaken):
		rec.Class, rec.Next = report.ClassRefused, "let an administrator look which repository has the name, and grant browse on it or name another"
	case httpx.StatusCode(err) == http.StatusForbidden:
		rec.Next = fmt.Sprintf("the account needs the privilege nx-repository-admin-%s-%s-add (or nx-repository-admin-*-*-add); or an administrator makes it: %s", d.Format, d.Name, d.Words())
	case httpx.StatusCode(err) == http.StatusBadRequest:
		rec.Next = "what was asked for: " + d.Words()
	}
	return rec
}
