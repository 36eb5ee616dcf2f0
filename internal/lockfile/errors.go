package lockfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxErrors bounds what is reported, and so what a hostile file can make us
// hold, without hiding that there is more.
const maxErrors = 1000

// An Error is one problem of a file.
type Error struct {
	File  string // as given to the decoder; empty for a value that was not read from a file
	Line  int    // counted from 1; 0 when there is none
	Entry string // kind and name of the entry that Msg begins with: "image busybox:1"; may be empty
	Msg   string
}

func (e *Error) Error() string {
	switch {
	case e.File == "":
		return e.Msg
	case e.Line == 0:
		return e.File + ": " + e.Msg
	default:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
	}
}

// usageCode is the exit code of what a user wrote wrong, as in package report.
const usageCode = 2

// ExitCode is that of Errors.
func (e *Error) ExitCode() int { return usageCode }

// Errors are all problems of a file, sorted by line.
type Errors struct {
	List []*Error
	More int // problems beyond those in List
}

// Error lists the problems, one a line.
func (e *Errors) Error() string {
	var b strings.Builder
	for i, one := range e.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(one.Error())
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "\nand %d more problems", e.More)
	}
	return b.String()
}

// ExitCode says that what a user wrote is wrong, and nothing was tried.
func (e *Errors) ExitCode() int { return usageCode }

// Unwrap gives the single problems to errors.Is and errors.As.
func (e *Errors) Unwrap() []error {
	out := make([]error, len(e.List))
	for i, one := range e.List {
		out[i] = one
	}
	return out
}

// problems collects the errors of one file.
type problems struct {
	file string
	list []*Error
	more int
}

func (p *problems) add(line int, format string, args ...any) {
	p.addTo("", line, fmt.Sprintf(format, args...))
}

// addTo adds a problem of an entry.
func (p *problems) addTo(entry string, line int, msg string) {
	if len(p.list) == maxErrors {
		p.more++
		return
	}
	p.list = append(p.list, &Error{File: p.file, Line: line, Entry: entry, Msg: msg})
}

// err is nil when there is no problem, so that callers can return it as it is.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	return &Errors{List: p.list, More: p.more}
}
