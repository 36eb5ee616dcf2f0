package report

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	cause := errors.New("it is red")
	for _, c := range []struct {
		err          error
		reason, next string
	}{
		{cause, "it is red", ""},
		{Advise(cause, "paint it"), "it is red", "paint it"},
		{fmt.Errorf("look at wall: %w", Advise(cause, "paint it")), "look at wall: it is red", "paint it"},
		{fmt.Errorf("%w: with what?", Advise(cause, "paint it")), "it is red; paint it: with what?", "paint it"},
		{fmt.Errorf("it is red (%w)", bare("paint it")), "it is red", "paint it"},
		{errors.Join(cause, Advise(errors.New("it is blue"), "paint it")), "it is red\nit is blue", "paint it"},
		{WithClass(ClassTrust, Advise(cause, "paint it")), "it is red", "paint it"},
		{bare(""), "", ""},
		{errors.Join(bare(""), Advise(cause, "paint it")), "\nit is red", "paint it"},
		{silent{Advise(cause, "paint it")}, "it is red", "paint it"},
		{silent{cause}, "it is red", ""},
	} {
		if reason, next := Explain(c.err); reason != c.reason || next != c.next {
			t.Errorf("%q: %q, %q; want %q, %q", c.err, reason, next, c.reason, c.next)
		}
	}
	if Advise(nil, "paint it") != nil {
		t.Error("advice made an error out of nil")
	}
	if !errors.Is(Advise(cause, "paint it"), cause) {
		t.Error("advice hides the cause")
	}
}

// bare is an error that is nothing but its advice.
type bare string

func (b bare) Error() string  { return string(b) }
func (b bare) Advice() string { return string(b) }

// silent is an error that could have advice, has none, and wraps one.
type silent struct{ error }

func (s silent) Advice() string { return "" }
func (s silent) Unwrap() error  { return s.error }

// allStates and allClasses are those of this package; TestEachFindingHasANextStep counts on
// them being all, which test/messages holds against the source.
var (
	allStates  = []State{OK, Sent, Present, Planned, Missing, Different, Damaged, Failed, Unknown, Faulty, Wanted, Warning, Foreign, Superseded}
	allClasses = []Class{ClassOK, ClassInternal, ClassUsage, ClassIncomplete, ClassContent, ClassTrust, ClassUnavailable, ClassRefused, ClassLocked, ClassLocal, classInterrupted, classTerminated}
)

// A finding of any command, state and class has a place and a next step; what is no finding
// has none that nobody gave it.
func TestEachFindingHasANextStep(t *testing.T) {
	for _, command := range []string{"verify", "plan", "push", "audit", "serve", "probe", "lock", "lint", "build", "inspect", "diff", "export", "keygen"} {
		for _, state := range allStates {
			for _, class := range allClasses {
				rep := &Report{Command: command, Place: "there"}
				rep.Add(Record{Kind: "image", Name: "a", State: state, Class: class})
				got := rep.Records()[0]
				if finding := rep.Bad() == 1; finding != (got.Next != "") || finding != (got.Place == "there") {
					t.Errorf("%s, %s, class %d: %+v", command, state, class, got)
				}
				if strings.HasSuffix(got.Next, ".") || oneLine(got.Next) != got.Next {
					t.Errorf("%q is not in the form of a next step", got.Next)
				}
			}
		}
	}
	rep := &Report{}
	rep.Add(Record{Kind: "image", Name: "a", State: Failed, Class: ClassRefused, Next: "wait", Place: "here"})
	rep.Add(Record{Kind: "image", Name: "b", State: Failed, Class: 77})
	if got := rep.Records(); got[0].Next != "wait" || got[0].Place != "here" || got[1].Place != "b" {
		t.Errorf("%+v", got)
	}
}

// No step stands behind one that fits all that it fits.
func TestEachStepCounts(t *testing.T) {
	for i, s := range steps {
		command, state, class := s.command, s.state, s.class
		if command == "" {
			command = "other"
		}
		if state == "" {
			state = Failed
		}
		if got := NextStep(command, state, class); got != s.next {
			t.Errorf("step %d, %+v: what counts is %q", i, s, got)
		}
	}
}
