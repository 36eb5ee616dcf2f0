package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"airbundle/internal/report"
)

// A sick writer fails at one write alone.
type sick struct {
	buf   bytes.Buffer
	at, n int
}

func (s *sick) Write(p []byte) (int, error) {
	if s.n++; s.n == s.at {
		return 0, syscall.ENOSPC
	}
	return s.buf.Write(p)
}

// A result that could not be printed is a failure, at whichever write, though the command
// does not look; what comes after it would be a part that looks whole.
func TestResultsThatCannotBePrinted(t *testing.T) {
	for at, want := range map[int]string{1: "", 2: "one\n", 3: "one\ntwo\n"} {
		w := &sick{at: at}
		var talk strings.Builder
		s := Streams{In: strings.NewReader(""), Out: &printer{w: w}, Err: &talk}
		root := &cobra.Command{Use: "tool"}
		root.AddCommand(&cobra.Command{Use: "do", RunE: func(*cobra.Command, []string) error {
			for _, word := range []string{"one", "two", "three"} {
				fmt.Fprintln(s.Out, word)
			}
			return nil
		}})
		code := Main(context.Background(), root, []string{"do"}, s)
		if code != 9 || w.buf.String() != want || !strings.Contains(talk.String(), "write the result: no space left") {
			t.Errorf("write %d: status %d, printed %q\n%s", at, code, w.buf.String(), talk.String())
		}
	}
	var talk strings.Builder
	root := &cobra.Command{Use: "tool", Long: "does things"}
	if code := Main(context.Background(), root, []string{"--help"}, Streams{Out: &printer{w: &sick{at: 1}}, Err: &talk}); code != 9 {
		t.Errorf("help that cannot be printed: status %d\n%s", code, talk.String())
	}
}

// What a report has found decides the exit code, where it can be printed or not, and is not
// printed a second time.
func TestReportsThatCannotBePrinted(t *testing.T) {
	for _, format := range []Output{"text", "json"} {
		for class, want := range map[report.Class]int{report.ClassOK: 9, report.ClassContent: 4, report.ClassIncomplete: 9, report.ClassTrust: 5} {
			rep := &report.Report{Command: "verify"}
			rec := report.Record{Kind: "archive", Name: "a", State: report.OK}
			if class != report.ClassOK {
				rec.State, rec.Class = report.Damaged, class
			}
			rep.Add(rec)
			w := &sick{at: 1}
			o := Results{Output: format}
			err := Judge(Streams{Out: w}, "verify", "a", o, func() error { return PrintReport(Streams{Out: w}, rep, o, "last", nil) })
			if got := exitCode(err, true); got != want || !errors.Is(err, syscall.ENOSPC) || w.buf.Len() > 0 {
				t.Errorf("%s, class %d: status %d, want %d; %v; then printed %q", format, class, got, want, err, w.buf.String())
			}
		}
	}
}
