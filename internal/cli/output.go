package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"airbundle/internal/report"

	"github.com/spf13/pflag"
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

// WriteJSON prints one value as indented JSON.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(v)
}

// PrintReport prints a report with its last line, or its JSON form with the summary. It
// returns a *ResultError when the report has findings.
func PrintReport(s Streams, rep *report.Report, o Output, verbose bool, last string, summary any) error {
	var err error
	if o.JSON() {
		err = rep.WriteJSON(s.Out, summary)
	} else if err = rep.WriteText(s.Out, verbose); err == nil {
		_, err = fmt.Fprintln(s.Out, last)
	}
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if code := rep.Code(); code != 0 {
		return &ResultError{code}
	}
	return nil
}
