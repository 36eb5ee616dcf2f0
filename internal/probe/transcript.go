package probe

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A Transcript is what was asked of a server and what it answered, fit to be sent to
// others: it holds no credentials, cookies or tokens.
type Transcript struct {
	Program   string     `json:"program"` // "airbundle v1.2.3"
	Started   time.Time  `json:"started"`
	Run       string     `json:"run"` // the part of every name that is this run's own
	Server    Server     `json:"server"`
	Scratch   []Scratch  `json:"scratch"`
	Questions []Question `json:"questions"` // by number
	Cleanup   Question   `json:"cleanup"`   // number 0
	Seconds   float64    `json:"seconds"`
}

// Server is what the server says of itself.
type Server struct {
	URL     string `json:"url"`
	Header  string `json:"header"`  // of the answer, "Nexus/3.40.1-01 (OSS)"; a proxy may have its own
	Version string `json:"version"` // "3.40.1-01"; empty when it does not tell
	Edition string `json:"edition"` // OSS, COMMUNITY or PRO; empty when a proxy hides it
	Date    string `json:"date"`    // as the server writes it
}

// Scratch is a repository that the run may write to.
type Scratch struct {
	Name         string `json:"name"`
	Format       string `json:"format"`
	WritePolicy  string `json:"writePolicy,omitempty"` // empty: not told
	Strict       bool   `json:"strictContentTypes"`
	Depth        int    `json:"repodataDepth"` // yum; -1: not told
	DeployPolicy string `json:"deployPolicy,omitempty"`
	Used         bool   `json:"used"` // a second one of a format is not needed
}

// A Question is one of the list of what is not known of Nexus; it keeps its number, so that
// transcripts can be compared.
type Question struct {
	Number    int        `json:"number"`
	Text      string     `json:"question"`
	Findings  []Finding  `json:"findings"`
	Exchanges []Exchange `json:"exchanges,omitempty"`
}

// A State says what became of a question.
type State string

// The states of a finding.
const (
	Answered State = "answered"
	Open     State = "open"      // asked, or begun, without an answer that settles it
	NotAsked State = "not asked" // the text says what it would take
)

// A Finding is a conclusion in words.
type Finding struct {
	State      State  `json:"state"`
	Repository string `json:"repository,omitempty"`
	Says       string `json:"says"`
	// Switch is the position of the matching switch of the double of Nexus that the
	// program is tested with, "YumPutStatus=200"; empty when there is none.
	Switch string `json:"switch,omitempty"`
}

// An Exchange is one request and its answer, as they went over the wire but for what is
// secret.
type Exchange struct {
	Request string   `json:"request"` // "PUT /repository/raw/a%20b"
	Sent    []string `json:"sent,omitempty"`
	Answer  string   `json:"answer,omitempty"` // "400 the reason phrase"; empty without an answer
	Headers []string `json:"headers,omitempty"`
	Body    string   `json:"body,omitempty"` // the beginning, unpacked
	Error   string   `json:"error,omitempty"`
	Seconds float64  `json:"seconds"`
}

func (q *Question) answered(repo, sw, format string, args ...any) {
	q.Findings = append(q.Findings, Finding{Answered, repo, fmt.Sprintf(format, args...), sw})
}

func (q *Question) open(repo, format string, args ...any) {
	q.Findings = append(q.Findings, Finding{Open, repo, fmt.Sprintf(format, args...), ""})
}

func (q *Question) notAsked(format string, args ...any) {
	q.Findings = append(q.Findings, Finding{State: NotAsked, Says: fmt.Sprintf(format, args...)})
}

// Counts returns the number of findings in each state.
func (t *Transcript) Counts() map[State]int {
	n := map[State]int{}
	for _, q := range t.Questions {
		for _, f := range q.Findings {
			n[f.State]++
		}
	}
	return n
}

// WriteText prints the transcript with its summary at the end.
func (t *Transcript) WriteText(w io.Writer) error {
	p := &printer{w: w}
	p.line("Transcript of seeder probe, fit to be sent on: it holds no credentials, cookies or tokens.")
	p.line("Lines with > were sent, lines with < and | came back; names of headers are spelt in one way, long bodies are cut.")
	p.line("")
	p.line("program:     %s", t.Program)
	p.line("started:     %s, run %s", t.Started.UTC().Format(time.RFC3339), t.Run)
	p.line("server:      %s", t.Server.URL)
	p.line("version:     %s, edition %s (Server: %s)", orUnknown(t.Server.Version), orUnknown(t.Server.Edition), orUnknown(t.Server.Header))
	p.line("server date: %s", orUnknown(t.Server.Date))
	for _, s := range t.Scratch {
		p.line("scratch:     %s", s)
	}
	for _, q := range t.Questions {
		p.line("")
		p.line("== %d. %s", q.Number, q.Text)
		p.question(q)
	}
	p.line("")
	p.line("== Cleanup")
	p.question(t.Cleanup)
	p.line("")
	p.line("== Summary")
	t.summary(p)
	return p.err
}

// summary prints one line a finding, and the last line of the run.
func (t *Transcript) summary(p *printer) {
	tab := tabwriter.NewWriter(p, 0, 0, 2, ' ', 0)
	for _, q := range t.Questions {
		for _, f := range q.Findings {
			fmt.Fprintf(tab, "%d\t%s\t%s\n", q.Number, f.State, f.words())
		}
	}
	if err := tab.Flush(); p.err == nil {
		p.err = err
	}
	n := t.Counts()
	p.line("%d answered, %d open, %d not asked; %.1f s", n[Answered], n[Open], n[NotAsked], t.Seconds)
}

// words is the finding on one line.
func (f Finding) words() string {
	says := f.Says
	if f.Repository != "" {
		says = f.Repository + ": " + says
	}
	if f.Switch != "" {
		says += " [" + f.Switch + "]"
	}
	return says
}

func (s Scratch) String() string {
	out := fmt.Sprintf("%s: hosted %s", s.Name, s.Format)
	if s.WritePolicy != "" {
		out += ", " + s.WritePolicy
	}
	if s.Strict {
		out += ", strict content types"
	}
	if s.Format == formatYum {
		out += ", repodata depth not told"
		if s.Depth >= 0 {
			out = strings.TrimSuffix(out, "not told") + fmt.Sprint(s.Depth)
		}
		out += ", deploy policy " + orUnknown(s.DeployPolicy)
	}
	if !s.Used {
		out += "; not used, another one does"
	}
	return out
}

func orUnknown(s string) string {
	if s == "" {
		return "(not told)"
	}
	return s
}

// printer keeps the first error, so that its callers need not look.
type printer struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (p *printer) Write(b []byte) (int, error) {
	if p.err == nil {
		_, p.err = p.w.Write(b)
	}
	return len(b), p.err
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *printer) question(q Question) {
	for _, x := range q.Exchanges {
		p.exchange(x)
	}
	for _, f := range q.Findings {
		p.line("= %s: %s", f.State, f.words())
	}
}

func (p *printer) exchange(x Exchange) {
	p.line("> %s", x.Request)
	for _, h := range x.Sent {
		p.line("%s", strings.TrimSpace("> "+h))
	}
	if x.Error != "" {
		p.line("< no answer: %s (%.3f s)", x.Error, x.Seconds)
		return
	}
	p.line("< %s (%.3f s)", x.Answer, x.Seconds)
	for _, h := range x.Headers {
		p.line("< %s", h)
	}
	if x.Body != "" {
		for line := range strings.SplitSeq(strings.TrimRight(x.Body, "\n"), "\n") {
			p.line("| %s", line)
		}
	}
}
