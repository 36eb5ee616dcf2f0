package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"airbundle/internal/report"
)

// An Output is the --output flag: text or json.
type Output string

// AddFlag adds --output.
func (o *Output) AddFlag(f *pflag.FlagSet) {
	*o = "text"
	f.Var(o, "output", "`format` of results: text or json")
}

// JSON says whether results are wanted as JSON.
func (o *Output) JSON() bool { return *o == "json" }

// String implements pflag.Value.
func (o *Output) String() string { return string(*o) }

// Type implements pflag.Value.
func (o *Output) Type() string { return "format" }

// Set implements pflag.Value.
func (o *Output) Set(v string) error {
	if v != "text" && v != "json" {
		return Usage("output %q is neither text nor json", v)
	}
	*o = Output(v)
	return nil
}

// Results are the flags that say what is printed, and how.
type Results struct {
	Output         Output
	Quiet, Verbose bool
}

// AddFlags adds --output, --quiet and, for commands with reports, --verbose.
func (r *Results) AddFlags(f *pflag.FlagSet, verbose bool) {
	r.Output.AddFlag(f)
	f.BoolVar(&r.Quiet, "quiet", false, "print results only")
	if verbose {
		f.BoolVar(&r.Verbose, "verbose", false, "print good artifacts too")
	}
}

// Jobs is a number of things done at once, at least 1.
type Jobs int

// spare is how many descriptors a program needs beside those of its jobs: the standard
// streams, Go's own, the archive and its journal, a file that is read for a moment.
const spare = 12

// Within returns j, or as many as the limit on open files allows where that is less. Each
// takes up to two descriptors: a connection, and the next one that replaces it.
func (j Jobs) Within() int {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil || lim.Cur > 4096 {
		return int(j)
	}
	return min(int(j), max(1, (int(lim.Cur)-spare)/2))
}

// AddFlag adds --jobs; where n is 0, the text says what the default is.
func (j *Jobs) AddFlag(f *pflag.FlagSet, n int, what string) {
	*j = Jobs(n)
	f.Var(j, "jobs", what)
}

// String implements pflag.Value.
func (j *Jobs) String() string {
	if *j == 0 {
		return ""
	}
	return strconv.Itoa(int(*j))
}

// Type implements pflag.Value.
func (j *Jobs) Type() string { return "n" }

// Set implements pflag.Value.
func (j *Jobs) Set(v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 1024 {
		return Usage("%q is not a number from 1 to 1024", v)
	}
	*j = Jobs(n)
	return nil
}

// WriteJSON prints one value as indented JSON.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(v)
}

// Judge runs a command that ends with a report or a result. Where it fails before there is
// one, and results are wanted as JSON, a report is printed all the same, with a finding for
// each of joined errors.
func Judge(s Streams, command, path string, o Results, run func() error) error {
	err := run()
	_, told := errors.AsType[*ResultError](err)
	_, unwritten := errors.AsType[*unwrittenError](err)
	if err == nil || told || unwritten || !o.Output.JSON() {
		return err
	}
	rep := &report.Report{Command: command, Trust: "none", Place: path}
	for _, part := range parts(err) {
		rep.Add(failure(path, part))
	}
	if werr := rep.WriteJSON(s.Out, nil); werr != nil {
		return errors.Join(err, werr)
	}
	return err
}

// failure is the record of an error: about what it names, or else about the whole file.
func failure(path string, err error) report.Record {
	rec := report.Record{Kind: "archive", Name: path}
	if about, ok := errors.AsType[interface {
		error
		Subject() report.Record
	}](err); ok {
		rec = about.Subject()
		rec.Place = cmp.Or(rec.Place, rec.Name)
	}
	rec.State, rec.Class = report.Failed, report.Class(exitCode(err, true))
	rec.Reason, rec.Next = report.Explain(err)
	return rec
}

// parts are the errors that err joins; one that joins none, or says more than they do, is its
// own part. Where a class was given to all of them, each has it.
func parts(err error) []error {
	classed := false
	for e := err; e != nil && e.Error() == err.Error(); e = errors.Unwrap(e) {
		if _, ok := e.(report.Classified); ok { //nolint:errorlint // is it this very one?
			classed = true
		}
		joined, ok := e.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		if strings.Count(err.Error(), "\n") < len(joined.Unwrap())-1 {
			break
		}
		var all []error
		for _, one := range joined.Unwrap() {
			for _, part := range parts(one) {
				if classed {
					part = report.WithClass(report.Classify(err), part)
				}
				all = append(all, part)
			}
		}
		return all
	}
	return []error{err}
}

// An unwrittenError says that a report could not be printed.
type unwrittenError struct {
	err   error
	class report.Class
}

func (e *unwrittenError) Error() string { return e.err.Error() }
func (e *unwrittenError) Unwrap() error { return e.err }

// Advice says what to do, for the line behind the error.
func (*unwrittenError) Advice() string {
	return "see what standard output leads to, and whether there is space"
}

// ExitCode is the worse of that and of what the report has found.
func (e *unwrittenError) ExitCode() int { return int(e.class) }

// PrintReport prints a report with its last line, or its JSON form with the summary. It
// returns a *ResultError when the report has findings. Findings that could not be printed
// decide the exit code all the same.
func PrintReport(s Streams, rep *report.Report, o Results, last string, summary any) error {
	var err error
	if o.Output.JSON() {
		err = rep.WriteJSON(s.Out, summary)
	} else if err = rep.WriteText(s.Out, o.Verbose); err == nil {
		_, err = fmt.Fprintln(s.Out, report.Printable(last))
	}
	if err != nil {
		return &unwrittenError{err, report.Worst(report.ClassLocal, report.Class(rep.Code()))}
	}
	if code := rep.Code(); code != 0 {
		return &ResultError{code}
	}
	return nil
}
