package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/manifest"
)

type coded int

func (c coded) Error() string { return "coded" }
func (c coded) ExitCode() int { return int(c) }

// errorList is a joined error without members, codedList one that knows its code.
type (
	errorList struct{}
	codedList struct{ errorList }
)

func (errorList) Error() string   { return "nothing in particular" }
func (errorList) Unwrap() []error { return nil }
func (codedList) ExitCode() int   { return int(ClassUsage) }

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Class
	}{
		{nil, ClassOK},
		{errors.New("a bug"), ClassInternal},
		{fmt.Errorf("read: %w", &digestio.MismatchError{}), ClassContent},
		{&httpx.StatusError{Code: 401}, ClassRefused},
		{&httpx.StatusError{Code: 403}, ClassRefused},
		{&httpx.StatusError{Code: 409}, ClassRefused},
		{&httpx.StatusError{Code: 507}, ClassRefused},
		{&httpx.StatusError{Code: 404}, ClassUnavailable},
		{&httpx.StatusError{Code: 503}, ClassUnavailable},
		{&httpx.StatusError{Code: 429}, ClassUnavailable},
		{&httpx.StatusError{Code: 429, Reason: "Too many authentication attempts"}, ClassRefused},
		{&httpx.StatusError{Code: 503, Reason: "Nexus Repository Manager is in read-only mode"}, ClassRefused},
		{&httpx.StatusError{Code: 409, Body: "PAYMENT REQUIRED: at current usage levels"}, ClassRefused},
		{&httpx.UnavailableError{Err: io.ErrUnexpectedEOF}, ClassUnavailable},
		{&net.OpError{Err: syscall.ECONNREFUSED}, ClassUnavailable},
		{&fs.PathError{Err: fs.ErrPermission}, ClassLocal},
		{&fs.PathError{Err: syscall.ENOENT}, ClassLocal},
		{fmt.Errorf("write: %w", syscall.ENOSPC), ClassLocal},
		{fmt.Errorf("lock: %w", syscall.ENOLCK), ClassLocal},
		{&os.LinkError{Op: "rename", Err: syscall.EISDIR}, ClassLocal},
		{&net.DNSError{Name: "x"}, ClassUnavailable},
		{context.DeadlineExceeded, ClassUnavailable},
		{&fs.PathError{Err: syscall.EIO}, ClassLocal},
		{context.Canceled, ClassIncomplete},
		{coded(5), ClassTrust},
		{fmt.Errorf("x: %w", coded(7)), ClassRefused},
		{errorList{}, ClassInternal},
		{fmt.Errorf("x: %w", codedList{}), ClassUsage},
		{errors.Join(&httpx.StatusError{Code: 503}, &digestio.MismatchError{}), ClassContent},
		{fmt.Errorf("all: %w", errors.Join(&httpx.StatusError{Code: 503}, &httpx.StatusError{Code: 401})), ClassRefused},
		{WithClass(ClassTrust, errors.Join(&httpx.StatusError{Code: 503})), ClassTrust},
	} {
		if got := Classify(c.err); got != c.want {
			t.Errorf("%v is class %d, want %d", c.err, got, c.want)
		}
	}
	if WithClass(ClassTrust, nil) != nil {
		t.Error("a class made an error out of nil")
	}
}

func TestWorst(t *testing.T) {
	order := []Class{ClassIncomplete, ClassLocal, ClassUnavailable, ClassRefused, ClassContent, ClassTrust, ClassInternal}
	for i, lower := range order {
		for _, higher := range order[i:] {
			if got := Worst(lower, higher, ClassOK); got != higher {
				t.Errorf("worst of %d and %d is %d", lower, higher, got)
			}
			if got := Worst(higher, lower); got != higher {
				t.Errorf("worst of %d and %d is %d", higher, lower, got)
			}
		}
	}
	if Worst() != ClassOK {
		t.Error("nothing is not OK")
	}
}

func TestReportIsTheSameInAnyOrder(t *testing.T) {
	records := []Record{
		{Kind: "file", Name: "a", State: Present},
		{Kind: "image", Name: "b", Arch: "linux/arm64", State: Missing, Class: ClassIncomplete},
		{Kind: "image", Name: "b", Arch: "linux/amd64", State: Different, Class: ClassContent, Reason: "two\nlines"},
		{Kind: "archive", Name: "x", State: Damaged, Class: ClassContent},
		{Kind: "rpm", Name: "z", State: OK},
	}
	var want string
	for shift := range records {
		rep := &Report{Command: "verify"}
		var wg sync.WaitGroup
		for i := range records {
			wg.Go(func() { rep.Add(records[(i+shift)%len(records)]) })
		}
		wg.Wait()
		var b bytes.Buffer
		if err := rep.WriteText(&b, true); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = b.String()
		}
		if b.String() != want {
			t.Errorf("shift %d:\n%s\nwant\n%s", shift, b.String(), want)
		}
		if rep.Code() != int(ClassContent) || len(rep.Findings()) != 3 {
			t.Errorf("code %d, %d findings", rep.Code(), len(rep.Findings()))
		}
	}
	if strings.Count(want, "\n") != len(records) || !strings.Contains(want, "two; lines") {
		t.Errorf("a record is not one line:\n%s", want)
	}
}

func TestTextAndJSONAgree(t *testing.T) {
	rep := &Report{Command: "audit", Bundle: digest.FromString("root"), Name: "demo", Trust: "none"}
	rep.AddError("rpm", "evil\x1b[2J\u202e", digest.FromString("r"), Unknown, &httpx.StatusError{Code: 500})
	rep.Add(Record{Kind: "file", Name: "good", State: Present})
	var text, raw bytes.Buffer
	if err := rep.WriteText(&text, false); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(text.String(), "\x1b\u202e") || strings.Contains(text.String(), "good") {
		t.Errorf("text: %q", text.String())
	}
	if err := rep.WriteJSON(&raw, map[string]int{"n": 1}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Bundle   bool
		ExitCode int
		Root     string
		Records  []Record
	}
	if err := json.Unmarshal(raw.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if !got.Bundle || got.ExitCode != int(ClassUnavailable) || len(got.Records) != 2 || got.Records[0].State != Unknown {
		t.Errorf("JSON: %+v", got)
	}
	raw.Reset()
	if err := (&Report{}).WriteJSON(&raw, nil); err != nil || !strings.Contains(raw.String(), `"bundle": false`) || !strings.Contains(raw.String(), `"records": []`) {
		t.Errorf("empty: %s %v", raw.String(), err)
	}
}

func TestFindingsAreCapped(t *testing.T) {
	rep := &Report{}
	for i := range maxFindings + 7 {
		rep.Add(Record{Kind: "rpm", Name: fmt.Sprint(i), State: Missing, Class: ClassIncomplete})
	}
	rep.Add(Record{Kind: "rpm", Name: "good", State: OK})
	rep.Add(Record{Kind: "rpm", Name: "zz", State: Failed, Class: ClassTrust})
	if rep.Code() != int(ClassTrust) {
		t.Errorf("a finding past the cap does not count: code %d", rep.Code())
	}
	var b bytes.Buffer
	if err := rep.WriteText(&b, false); err != nil || strings.Count(b.String(), "missing") != maxFindings || rep.Bad() != maxFindings+8 || !strings.Contains(b.String(), "and 8 more findings") {
		t.Errorf("%d findings, %v", len(rep.Findings()), err)
	}
}

// What the bundle does not hold is no finding until somebody gives it a class. Text shows
// some of it, JSON all.
func TestForeign(t *testing.T) {
	r := &Report{Command: "audit"}
	for i := range 1500 {
		r.Add(Record{Kind: "file", Name: fmt.Sprintf("x%04d", i), State: Foreign})
	}
	r.Add(Record{Kind: "metadata", Name: "old", State: Superseded})
	r.Add(Record{Kind: "repository", Name: "raw", State: Foreign})
	if r.Bad() != 0 || r.Code() != 0 || len(r.Findings()) != 0 || r.Records()[0].Kind != "repository" {
		t.Errorf("%d findings, code %d, first is %+v", r.Bad(), r.Code(), r.Records()[0])
	}
	count := func(r *Report, verbose bool) (text, json int, more string) {
		var out, doc strings.Builder
		if err := errors.Join(r.WriteText(&out, verbose), r.WriteJSON(&doc, nil)); err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(out.String()) {
			if strings.HasPrefix(l, "and ") {
				more += l
			}
		}
		return strings.Count("\n"+out.String(), "\nforeign"), strings.Count(doc.String(), `"state": "foreign"`), more
	}
	if text, json, more := count(r, false); text != 20 || json != 1501 || !strings.Contains(more, "and 1482 more that the bundle does not hold") {
		t.Errorf("%d in text, %d in JSON, %q", text, json, more)
	}
	if text, json, more := count(r, true); text != 1501 || json != 1501 || more != "" {
		t.Errorf("verbose: %d in text, %d in JSON, %q", text, json, more)
	}
	exact := &Report{Command: "audit"}
	for i := range 1500 {
		exact.Add(Record{Kind: "file", Name: fmt.Sprintf("x%04d", i), State: Foreign, Class: ClassContent})
	}
	if _, json, _ := count(exact, false); exact.Bad() != 1500 || exact.Code() != 4 || len(exact.Findings()) != 1500 || json != 1500 {
		t.Errorf("%d findings, code %d, %d in JSON", exact.Bad(), exact.Code(), json)
	}
}

// A name out of a hostile archive drives no terminal in JSON either, and is not lost.
func TestJSONShowsEverything(t *testing.T) {
	name := "a\u202egnp.exe\u200b\u009b31m\x7fü😀\u2028"
	r := &Report{Command: "verify", Trust: "none"}
	r.Add(Record{Kind: "archive", Name: name, State: Damaged, Class: ClassContent})
	var b bytes.Buffer
	if err := r.WriteJSON(&b, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range b.String() {
		if c != '\n' && !manifest.Shown(c) {
			t.Errorf("raw %U", c)
		}
	}
	var back struct{ Records []Record }
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Records[0].Name != name {
		t.Errorf("%+v, %v", back.Records, err)
	}
}

// However many findings there are, those that are written are kept, and all count.
func TestManyFindings(t *testing.T) {
	const n = 20_000
	all := func(r *Report) {
		for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
			class := ClassContent
			if i == n-1 {
				class = ClassLocal
			}
			r.Add(Record{Kind: "file", Name: fmt.Sprintf("f%05d", i), State: Damaged, Class: class})
		}
		r.Add(Record{Kind: "file", Name: "good", State: OK})
	}
	var r, other Report
	all(&r)
	all(&other)
	r.AddFindings(&other)
	if len(r.found) >= 8*maxFindings || len(other.found) >= 4*maxFindings {
		t.Errorf("%d and %d findings are held", len(r.found), len(other.found))
	}
	for _, c := range []struct {
		r    *Report
		want int
		last string
	}{{&other, n, "f00999"}, {&r, 2 * n, "f00499"}} {
		records := c.r.Records()
		if len(records) != maxFindings+1 || records[maxFindings-1].Name != c.last || records[maxFindings].Name != "good" {
			t.Errorf("%d records, the last finding is %v, want %s", len(records), records[maxFindings-1], c.last)
		}
		if got := c.r.Counts(); got[Damaged] != c.want || got[OK] != 1 || c.r.Bad() != c.want || c.r.Code() != int(Worst(ClassContent, ClassLocal)) {
			t.Errorf("counts %v, %d findings, code %d, want %d", got, c.r.Bad(), c.r.Code(), c.want)
		}
		var out bytes.Buffer
		var doc struct {
			Unlisted int
			Records  []Record
		}
		if err := c.r.WriteJSON(&out, nil); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out.Bytes(), &doc); err != nil || doc.Unlisted != c.want-maxFindings || len(doc.Records) != maxFindings+1 {
			t.Errorf("%d unlisted, %d records, %v", doc.Unlisted, len(doc.Records), err)
		}
	}
}

// What the target holds beside the bundle is no finding of whoever takes findings over, and
// its class is not either.
func TestAddFindingsWithoutWhatIsForeign(t *testing.T) {
	var r, other Report
	other.Add(Record{Kind: "file", Name: "a", State: Foreign, Class: ClassContent})
	if r.AddFindings(&other); r.Bad() != 0 || r.Code() != 0 || len(r.Records()) != 0 || other.Code() != int(ClassContent) {
		t.Errorf("%d findings, code %d, %v; the other has code %d", r.Bad(), r.Code(), r.Records(), other.Code())
	}
}
