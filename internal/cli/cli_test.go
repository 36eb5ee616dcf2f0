package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"airbundle/internal/archive"
	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/workers"
)

// runWith runs a command tree with one sub-command that ends with err.
func runWith(t *testing.T, err error, args ...string) (code int, out, talk string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	root := &cobra.Command{Use: "tool", Long: "tool does things."}
	var jobs Jobs
	var results Results
	sub := &cobra.Command{Use: "do FILE", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, _ []string) error {
		fmt.Fprintf(cmd.OutOrStdout(), "jobs %s output %s verbose %v", jobs.String(), results.Output.String(), results.Verbose)
		return err
	}}
	jobs.AddFlag(sub.Flags(), 8, "`number` of jobs")
	results.AddFlags(sub.Flags(), true)
	root.AddCommand(sub)
	code = Main(t.Context(), root, args, Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("a bug"), 1},
		{Usage("no such thing"), 2},
		{fmt.Errorf("read: %w", &lockfile.Errors{}), 2},
		{&archive.IncompleteError{}, 3},
		{&digestio.MismatchError{}, 4},
		{fmt.Errorf("x: %w", &archive.FormatError{Msg: "m"}), 4},
		{fmt.Errorf("x: %w", archive.ErrNotBundle), 4},
		{FlagFile("--key", &fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}), 9},
		{FlagFile("--key", &fs.PathError{Op: "open", Path: "x", Err: errors.New("not a regular file")}), 9},
		{FlagFile("--key", errors.New("too long")), 2},
		{FlagFile("--key", &fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}), 9},
		{FlagFile("--key", &fs.PathError{Op: "read", Path: "x", Err: syscall.EIO}), 9},
		{report.WithClass(report.ClassTrust, errors.New("x")), 5},
		{&httpx.StatusError{Code: 503}, 6},
		{&httpx.StatusError{Code: 401}, 7},
		{fmt.Errorf("create: %w", &archive.LockedError{}), 8},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, 9},
		{&ResultError{Code: 4}, 4},
		{fmt.Errorf("build stopped: %w", &SignalError{syscall.SIGINT}), 130},
		{errors.Join(fmt.Errorf("stopped: %w", &SignalError{syscall.SIGTERM})), 143},
	} {
		if code, _, talk := runWith(t, c.err, "do", "x"); code != c.want {
			t.Errorf("%v: exit %d, want %d (%s)", c.err, code, c.want, talk)
		}
	}
}

func TestCommandLineErrors(t *testing.T) {
	for _, args := range [][]string{{"do"}, {"do", "a", "b"}, {"undo"}, {"do", "x", "--nope"}, {"do", "x", "--jobs", "0"}, {"do", "x", "--jobs=-5"}, {"do", "x", "--output", "xml"}} {
		code, _, talk := runWith(t, nil, args...)
		if code != 2 || !strings.Contains(talk, "tool: ") || !strings.Contains(talk, "--help") {
			t.Errorf("%v: exit %d, %q", args, code, talk)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("TOOL_JOBS", "3")
	t.Setenv("TOOL_OUTPUT", "json")
	t.Setenv("TOOL_VERBOSE", "true")
	if code, out, talk := runWith(t, nil, "do", "x"); code != 0 || out != "jobs 3 output json verbose true" {
		t.Errorf("exit %d, %q %q", code, out, talk)
	}
	if _, out, _ := runWith(t, nil, "do", "x", "--jobs", "5"); !strings.HasPrefix(out, "jobs 5 ") {
		t.Errorf("the flag does not win: %q", out)
	}
	t.Setenv("TOOL_JOBS", "") // set and empty: as if not set, whatever the type
	t.Setenv("TOOL_OUTPUT", "")
	t.Setenv("TOOL_VERBOSE", "")
	if code, out, talk := runWith(t, nil, "do", "x", "--jobs", "5"); code != 0 || out != "jobs 5 output text verbose false" {
		t.Errorf("exit %d, %q %q", code, out, talk)
	}
	t.Setenv("TOOL_JOBS", "many")
	if code, _, talk := runWith(t, nil, "do", "x"); code != 2 || !strings.Contains(talk, "TOOL_JOBS") {
		t.Errorf("exit %d, %q", code, talk)
	}
}

func TestEachErrorHasItsLine(t *testing.T) {
	_, _, talk := runWith(t, errors.Join(errors.New("one"), errors.New("two")), "do", "x")
	const last = "tool: next: this is a fault in the program: keep the message and report it\n"
	if talk != "tool: one\ntool: two\n"+last {
		t.Errorf("%q", talk)
	}
	many := make([]error, maxErrors+500)
	for i := range many {
		many[i] = fmt.Errorf("number %d", i)
	}
	if _, _, talk := runWith(t, errors.Join(many...), "do", "x"); strings.Count(talk, "\n") != maxErrors+2 || !strings.HasSuffix(talk, "tool: and 500 more that are not listed\n"+last) {
		t.Errorf("%d lines, %q", strings.Count(talk, "\n"), talk[len(talk)-60:])
	}
	if _, _, talk := runWith(t, &ResultError{Code: 4}, "do", "x"); talk != "" {
		t.Errorf("a result that was printed already is told again: %q", talk)
	}
}

func TestHelpTellsExitCodes(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"do", "--help"}} {
		if code, out, _ := runWith(t, nil, args...); code != 0 || !strings.Contains(out, "another process holds the lock") {
			t.Errorf("%v: exit %d, %q", args, code, out)
		}
	}
}

func TestPrintReport(t *testing.T) {
	rep := &report.Report{Command: "verify", Trust: "none"}
	var out bytes.Buffer
	s := Streams{Out: &out}
	if err := PrintReport(s, rep, Results{Output: "text"}, "the last line", nil); err != nil || out.String() != "the last line\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	rep.Add(report.Record{Kind: "rpm", Name: "r", State: report.Missing, Class: report.ClassIncomplete})
	out.Reset()
	err := PrintReport(s, rep, Results{Output: "json"}, "the last line", map[string]int{"n": 1})
	if r, ok := errors.AsType[*ResultError](err); !ok || r.Code != 3 || !strings.Contains(out.String(), `"exitCode": 3`) || strings.Contains(out.String(), "last line") {
		t.Errorf("%v, %s", err, out.String())
	}
	s.Out = brokenWriter{}
	for _, o := range []Output{"text", "json"} {
		if err := PrintReport(s, rep, Results{Output: o}, "", nil); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: a result that was not written: %v", o, err)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestBarNeverGoesBack(t *testing.T) {
	bar := NewBar(Streams{Err: io.Discard, Terminal: true}, false, "push", -1)
	bar.SetTotal(100)
	task := bar.Begin("a", 100)
	for _, n := range []int64{60, -60, 30, 70} {
		task.Add(n)
		if bar.top < 60 {
			t.Errorf("the bar went back to %d", bar.top)
		}
	}
	task.End(nil)
	bar.Finish()
	if bar.top != 100 {
		t.Errorf("the bar ends at %d", bar.top)
	}
}

func TestTalk(t *testing.T) {
	for _, c := range []struct {
		terminal, quiet bool
		want            string
	}{{false, false, "item\nline\n"}, {true, false, "line\n"}, {false, true, ""}} {
		var b bytes.Buffer
		talk := NewTalk(Streams{Err: &b, Terminal: c.terminal}, c.quiet)
		talk.Item("item")
		talk.Printf("line")
		if b.String() != c.want {
			t.Errorf("%+v: %q", c, b.String())
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_234_567: "1.2 MB", 3_228_656_640: "3.2 GB", 5e15: "5.0 PB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestNotifyEndsWithTheSignal(t *testing.T) {
	ctx, stop := Notify(context.Background())
	defer stop()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if s, ok := errors.AsType[*SignalError](context.Cause(ctx)); !ok || s.Signal != syscall.SIGTERM {
		t.Errorf("%v", context.Cause(ctx))
	}
}

// A panic of a goroutine is an internal error that shows nothing of what was in memory.
func TestPanicIsAnInternalError(t *testing.T) {
	root := &cobra.Command{Use: "tool", RunE: func(*cobra.Command, []string) error {
		g := workers.New()
		g.Go(func() error { panic("password s3cr3t") })
		return g.Wait()
	}}
	var talk bytes.Buffer
	code := Main(t.Context(), root, nil, Streams{strings.NewReader(""), io.Discard, &talk, false})
	if got := talk.String(); code != 1 || strings.Contains(got, "s3cr3t") || strings.Count(got, "\n") != 1 || !strings.Contains(got, "TestPanicIsAnInternalError") {
		t.Errorf("status %d, %q", code, got)
	}
}
