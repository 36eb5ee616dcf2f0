package report

import (
	"slices"
	"strings"
)

// An Adviser is an error that knows what to do about it. Its message ends with that, behind
// a colon or semicolon, or in parentheses; error types of all packages may have the method
// without importing this one.
type Adviser interface {
	error
	Advice() string
}

// Advise gives err a next step, in the imperative and without a full stop; nil stays nil.
func Advise(err error, next string) error {
	if err == nil {
		return nil
	}
	return &advised{err, next}
}

type advised struct {
	error
	next string
}

func (a *advised) Error() string  { return a.error.Error() + "; " + a.next }
func (a *advised) Advice() string { return a.next }
func (a *advised) Unwrap() error  { return a.error }

// Explain parts what an error says into the cause and, where it has an Adviser or a cause
// with one remedy, the next step.
func Explain(err error) (reason, next string) {
	reason = err.Error()
	if next = advice(err); next == "" {
		return reason, Advice(err)
	}
	for _, end := range []string{next, "(" + next + ")"} {
		if cause, ok := strings.CutSuffix(reason, end); ok {
			reason = strings.TrimRight(cause, ",;: ")
		}
	}
	return reason, next
}

// advice is that of the outermost Adviser that has any: one without hides none within.
func advice(err error) string {
	if a, ok := err.(Adviser); ok && a.Advice() != "" { //nolint:errorlint // the walk is by hand, see above
		return a.Advice()
	}
	switch e := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		return advice(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			if next := advice(part); next != "" {
				return next
			}
		}
	}
	return ""
}

// A step is what to do about findings that do not say it themselves. Empty fields fit all.
type step struct {
	command string
	state   State
	class   Class
	next    string
}

// steps are all next steps that depend on the kind of a finding alone. The first that fits
// counts; each class has a last one that fits whatever the command.
var steps = []step{
	{"verify", "", ClassContent, "do not use it: copy it again from where it was built, and compare the root"},
	{"verify", "", ClassLocal, "see that the file can be read; where its medium fails, copy it again from where it was built"},
	{"push", "", ClassContent, "run seeder verify on the archive: copy a damaged one again; if it is whole, find out what changes content on the way or at the target, and push again"},
	{"plan", "", ClassContent, "run seeder verify on the archive: copy a damaged one again; if it is whole, find out who else writes to the target"},
	{"push", "", ClassIncomplete, "run the same command again, which sends what is missing"},
	{"plan", "", ClassIncomplete, "ask an administrator of the target, or push and see"},
	{"audit", Missing, 0, "push the bundle again, which sends what is missing"},
	{"audit", Foreign, 0, "remove it there if nobody needs it, or audit without --exact"},
	{"audit", Different, ClassContent, "find out who else writes there; seeder push --overwrite puts back what the bundle has"},
	{"audit", "", ClassContent, "run seeder verify on the archive: copy a damaged one again"},
	{"audit", "", ClassTrust, "find out who signed what is served; a push with --repo-sign-key signs it anew"},
	{"build", "", ClassContent, "never retry blindly: find out why the source gives something else than the lock says, and lock again only when that is known"},
	{"build", "", ClassTrust, "do not carry it: ask whoever signs these packages, and lock again with the right key"},
	{"build", "", ClassUnavailable, "see whether its source still has it, and check network and proxy; the same command goes on where it was"},
	{"lock", "", ClassContent, "change the request so that it can be met; what changed upstream without a reason that you know stays out"},
	{"lock", "", ClassUnavailable, "see whether the source still has it, and check network and proxy, then run the same command again"},
	{"lint", "", ClassUnavailable, "see whether the source still has it, and check network and proxy, then run the same command again"},

	{"", "", ClassOK, reportIt}, // a finding that nobody gave a class
	{"", "", ClassInternal, reportIt},
	{"", "", ClassUsage, "correct what the message names; --help explains the flags, docs/format.md the files"},
	{"", "", ClassIncomplete, "run the same command again"},
	{"", "", ClassContent, "look at what the message names before it is used or tried again"},
	{"", "", ClassTrust, "do not use it: ask the side that built it"},
	{"", "", ClassUnavailable, "check address, network and proxy, then run the same command again"},
	{"", "", ClassRefused, "check login and rights, write policy and free space there, then run the same command again"},
	{"", "", ClassLocked, "wait for the other process or end it, then run the same command again"},
	{"", "", ClassLocal, "see that what the message names is there, may be used and has space, then run the same command again"},
	{"", "", classInterrupted, "run the same command again"},
	{"", "", classTerminated, "run the same command again"},
}

const reportIt = "this is a fault in the program: keep the message and report it"

// The exit codes of a run that a signal ended.
const (
	classInterrupted Class = 130
	classTerminated  Class = 143
)

// NextStep says what to do about a finding of a command by its state and class.
func NextStep(command string, state State, class Class) string {
	i := slices.IndexFunc(steps, func(s step) bool {
		return (s.command == "" || s.command == command) && (s.state == "" || s.state == state) && (s.class == class || s.state != "" && s.class == 0)
	})
	if i < 0 {
		return ""
	}
	return steps[i].next
}
