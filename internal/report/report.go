// Package report holds what a command found out about each artifact, says it as text
// or JSON, and derives the exit code from it. Verify, push and audit write the same
// report. It judges nothing itself.
package report

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"airbundle/manifest"
)

// Schema names the JSON form; it changes when members change their meaning.
const Schema = "airbundle/report/v1"

// A State is what is known of an artifact at the end.
type State string

// The states of artifacts. OK, Sent, Present, Planned, Wanted, Warning, Superseded and, without a
// class, Foreign are good, all others are findings.
const (
	OK        State = "ok"        // whole in the archive
	Sent      State = "sent"      // was put there by this run
	Present   State = "present"   // is there, equal
	Planned   State = "planned"   // a dry run would send it
	Missing   State = "missing"   // is not there
	Different State = "different" // something else is there
	Damaged   State = "damaged"   // content is not what it should be
	Failed    State = "failed"    // could not be done
	Unknown   State = "unknown"   // could not be found out
	Faulty    State = "faulty"    // a lock says something wrong of it, or too little
	Wanted    State = "wanted"    // a request asks for it, and no lock was named that could pin it
	Warning   State = "warning"   // it will do, but the reader should know something of it

	Foreign    State = "foreign"    // the target holds it, the bundle does not
	Superseded State = "superseded" // metadata of before, which nothing names any more
)

func (s State) good() bool {
	return s == OK || s == Sent || s == Present || s == Planned || s == Wanted || s == Warning || s == Foreign || s == Superseded
}

// extra says whether a state is about what the bundle does not hold.
func (s State) extra() bool { return s == Foreign || s == Superseded }

// good says whether a record is no finding.
func (r Record) good() bool { return r.State.good() && (r.State != Foreign || r.Class == ClassOK) }

// A Record is one artifact, or one part of the archive, and what is known of it.
type Record struct {
	Kind    string        `json:"kind"` // image, rpm, file, chart, archive; of a plan also target, repository
	Name    string        `json:"name"`
	Arch    string        `json:"arch,omitempty"`
	Digest  digest.Digest `json:"digest,omitempty"`
	Place   string        `json:"place,omitempty"` // where it is, or should be
	State   State         `json:"state"`
	Finding string        `json:"finding,omitempty"` // what kind of finding, as accept: of a lock names it
	Reason  string        `json:"reason,omitempty"`
	Next    string        `json:"next,omitempty"`  // what to do about it
	Proof   string        `json:"proof,omitempty"` // what the state rests on
	Seconds float64       `json:"seconds"`
	Bytes   int64         `json:"bytes"` // moved by this run
	Class   Class         `json:"class,omitempty"`
}

// A Report is the outcome of one command. Its methods are safe for concurrent use.
type Report struct {
	Command  string        // verify, push, audit
	Bundle   digest.Digest // the root's digest; empty when there is none
	Name     string        // the bundle's name
	Serial   int64         // the bundle's; 0 when it has none
	Expires  string        // the bundle's; empty when it does not
	Trust    string        // none, root, key, root+key
	SignedBy digest.Digest // id of the key that Trust rests on
	Notes    []string      // what the reader should know beside the records
	Place    string        // of findings that have none of their own: the archive, or the target

	mu       sync.Mutex
	records  []*Record // all but findings that are not extra
	found    []*Record // findings, of which the first in order are kept
	counts   map[State]int
	findings int
	cut      int   // findings that are not in found any more
	cutWorst Class // of these
	worst    Class
}

// maxFindings caps how many findings are written; all count for the exit code. Of what the
// bundle does not hold, JSON has all, and text maxExtra unless it is verbose.
const maxFindings, maxExtra = 1000, 20

// Add takes a record. A finding without a place or a next step gets one.
func (r *Report) Add(rec Record) {
	rec.Reason, rec.Next = oneLine(rec.Reason), oneLine(rec.Next)
	rec = r.completed(rec)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[State]int{}
	}
	r.counts[rec.State]++
	if !rec.good() {
		r.findings++
		r.worst = Worst(r.worst, rec.Class)
	}
	if rec.good() || rec.State.extra() {
		r.records = append(r.records, &rec)
		return
	}
	if r.found = append(r.found, &rec); len(r.found) >= 4*maxFindings {
		r.trim()
	}
}

// trim forgets findings that will not be written, whatever else is found: a hostile file may
// have millions.
func (r *Report) trim() {
	slices.SortStableFunc(r.found, compareRecords)
	if n := len(r.found); n > maxFindings {
		for _, rec := range r.found[maxFindings:] {
			r.cutWorst = Worst(r.cutWorst, rec.Class)
		}
		clear(r.found[maxFindings:])
		r.found, r.cut = r.found[:maxFindings], r.cut+n-maxFindings
	}
}

// AddFindings takes over the findings of another report, but not what its target holds and
// its bundle does not.
func (r *Report) AddFindings(other *Report) {
	other.mu.Lock()
	found, cut, worst, counts := slices.Clone(other.found), other.cut, other.cutWorst, maps.Clone(other.counts)
	other.mu.Unlock()
	for _, rec := range found {
		counts[rec.State]--
		r.Add(*rec)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.findings, r.cut = r.findings+cut, r.cut+cut
	r.worst, r.cutWorst = Worst(r.worst, worst), Worst(r.cutWorst, worst)
	for state, n := range counts {
		if !state.good() {
			r.counts[state] += n
		}
	}
}

// AddError takes a finding about an artifact, with the reason, next step and class of err.
func (r *Report) AddError(kind, name string, d digest.Digest, state State, err error) {
	reason, next := Explain(err)
	r.Add(Record{Kind: kind, Name: name, Digest: d, State: state, Reason: reason, Next: next, Class: Classify(err)})
}

// completed returns a record in which a finding has a place and a next step.
func (r *Report) completed(rec Record) Record {
	if rec.good() {
		return rec
	}
	rec.Place = cmp.Or(rec.Place, r.Place, rec.Name)
	rec.Next = cmp.Or(rec.Next, NextStep(r.Command, rec.State, rec.Class))
	return rec
}

// Bad returns how many findings there are.
func (r *Report) Bad() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.findings
}

// written returns the records that are written, sorted by kind, name, arch, place and
// state, so that the same input gives the same report in any order of goroutines: all good
// ones, and the first of the findings; more is how many findings are left out.
func (r *Report) written() (records []*Record, more int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trim()
	records = slices.Concat(r.records, r.found)
	slices.SortStableFunc(records, compareRecords)
	return records, r.cut
}

// Records returns the records that are written: of findings no more than the first 1000.
func (r *Report) Records() []Record {
	records, _ := r.written()
	out := make([]Record, len(records))
	for i, rec := range records {
		out[i] = *rec
	}
	return out
}

var kindOrder = []string{"archive", "target", "repository", string(manifest.KindImage), string(manifest.KindRPM), string(manifest.KindFile), string(manifest.KindChart), string(manifest.KindMetadata)}

func compareRecords(a, b *Record) int {
	if n := slices.Index(kindOrder, a.Kind) - slices.Index(kindOrder, b.Kind); n != 0 {
		return n
	}
	if n := strings.Compare(a.Name, b.Name); n != 0 {
		return n // as a rule; the rest costs
	}
	return cmp.Or(cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Place, b.Place), cmp.Compare(a.State, b.State),
		cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Next, b.Next), cmp.Compare(a.Proof, b.Proof))
}

// Findings returns those of Records that are not good.
func (r *Report) Findings() []Record {
	return slices.DeleteFunc(r.Records(), func(rec Record) bool { return rec.good() })
}

// Code returns the exit code of the report: the worst class of its findings.
func (r *Report) Code() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.findings > 0 && r.worst == ClassOK {
		return int(ClassInternal) // a finding that nobody gave a class
	}
	return int(r.worst)
}

// Counts returns how many records each state has.
func (r *Report) Counts() map[State]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := map[State]int{}
	maps.Copy(counts, r.counts)
	return counts
}

// WriteText prints one line a record; without verbose only findings, notes and the first of
// what the bundle does not hold.
func (r *Report) WriteText(w io.Writer, verbose bool) error {
	b := bufio.NewWriter(w)
	records, more := r.written()
	extra := 0
	for _, rec := range records {
		if rec.State.extra() {
			if extra++; extra > maxExtra && !verbose {
				continue
			}
		} else if rec.good() && !verbose {
			continue
		}
		rec.line(b)
	}
	if extra > maxExtra && !verbose {
		fmt.Fprintf(b, "and %d more that the bundle does not hold: --verbose and --output json have all\n", extra-maxExtra)
	}
	if more > 0 {
		fmt.Fprintf(b, "and %d more findings that are not listed\n", more)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(b, "note: %s\n", Printable(n))
	}
	return b.Flush()
}

// line writes the record as one line.
func (rec *Record) line(b *bufio.Writer) {
	fmt.Fprintf(b, "%-9s %-7s %s", rec.State, rec.Kind, Printable(rec.Name))
	if rec.Arch != "" {
		fmt.Fprintf(b, " [%s]", Printable(rec.Arch))
	}
	if rec.Place != "" && rec.Place != rec.Name {
		fmt.Fprintf(b, " at %s", Printable(rec.Place))
	}
	if rec.Digest != "" {
		fmt.Fprintf(b, " %s", Printable(string(rec.Digest)))
	}
	for _, s := range []string{rec.Finding, rec.Reason, rec.Proof, rec.Next} {
		if s != "" {
			fmt.Fprintf(b, ": %s", Printable(s))
		}
	}
	_ = b.WriteByte('\n')
}

// WriteJSON prints the whole report as one JSON document; summary is added as given. It is
// written record by record, for there may be many.
func (r *Report) WriteJSON(w io.Writer, summary any) error {
	records, more := r.written()
	frame, err := indented("", struct {
		Schema   string        `json:"schema"`
		Command  string        `json:"command"`
		IsOurs   bool          `json:"bundle"` // false: not an airbundle
		Name     string        `json:"name,omitempty"`
		Root     digest.Digest `json:"root,omitempty"`
		Serial   int64         `json:"serial,omitempty"`
		Expires  string        `json:"expires,omitempty"`
		Trust    string        `json:"trust"`
		SignedBy digest.Digest `json:"signedBy,omitempty"`
		Code     int           `json:"exitCode"`
		Notes    []string      `json:"notes,omitempty"`
		Dropped  int           `json:"unlisted,omitempty"`
		Records  []struct{}    `json:"records"`
		Summary  any           `json:"summary,omitempty"`
	}{Schema, r.Command, r.Bundle != "", r.Name, r.Bundle, r.Serial, r.Expires, r.Trust, r.SignedBy, r.Code(), r.Notes, more, []struct{}{}, summary})
	if err != nil {
		return err
	}
	const place = "\n \"records\": [" // no string holds a line feed
	head, tail, _ := bytes.Cut(frame, []byte(place))
	b := bufio.NewWriter(w)
	_, _ = b.Write(append(head, place...))
	for i, rec := range records {
		raw, err := indented("  ", rec)
		if err != nil {
			return err
		}
		if i > 0 {
			_ = b.WriteByte(',')
		}
		_, _ = b.WriteString("\n  ")
		_, _ = b.Write(raw)
	}
	if len(records) > 0 {
		_, _ = b.WriteString("\n ")
	}
	_, _ = b.Write(append(tail, '\n'))
	return b.Flush()
}

// indented returns JSON for people, without a line feed at its end.
func indented(prefix string, v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent(prefix, " ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return escaped(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// escaped returns a JSON document in which what a terminal would obey, and what it would
// not show, stands in escapes. Outside strings, JSON has none of it but line feeds.
func escaped(doc []byte) []byte {
	hidden := func(r rune) bool { return r != '\n' && !manifest.Shown(r) }
	if bytes.IndexFunc(doc, hidden) < 0 {
		return doc
	}
	var b bytes.Buffer
	for _, r := range string(doc) {
		if hidden(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

// oneLine folds white space, so that a record stays one line. Lines are what joined errors
// say, each its own.
func oneLine(s string) string {
	var all []string
	for line := range strings.Lines(s) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			all = append(all, line)
		}
	}
	return strings.Join(all, "; ")
}

// Printable replaces what could drive a terminal, or begin a line.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\ufffd'
		}
		return r
	}, s)
}

// Bytes says a number of bytes for people.
func Bytes(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, i := float64(n)/unit, 0
	for ; value >= unit && i < 4; i++ {
		value /= unit
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGTP"[i])
}
