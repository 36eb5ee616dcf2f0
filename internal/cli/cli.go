// Package cli is what both programs share at the border to the operator: streams,
// signals, exit codes, environment variables for flags, progress on a terminal. The
// command trees are in its sub-packages.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"airbundle/internal/report"
)

// Streams are the program's standard streams: results go to Out, all talk to Err.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Terminal bool // Err is a terminal that progress may be drawn on
}

// System returns the process's own streams.
func System() Streams {
	return Streams{os.Stdin, &printer{w: os.Stdout}, os.Stderr, term.IsTerminal(int(os.Stderr.Fd()))}
}

// collectFrom is the size of the heap at which the collector stops leaving garbage: what seeder
// holds at once is less even for the largest root there may be, and archives are not to be
// trusted with more.
const collectFrom = 128 << 20

// SaveMemory makes the program collect garbage before it grows large, and not when it has
// doubled. GOMEMLIMIT, which asks for the same, goes first.
func SaveMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(collectFrom)
	}
}

// A SignalError says that a signal asked the program to stop.
type SignalError struct{ Signal syscall.Signal }

func (e *SignalError) Error() string {
	return "signal: " + e.Signal.String()
}

// Notify returns a context that ends with a *SignalError on the first SIGINT or
// SIGTERM; the second one ends the process at once.
func Notify(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for n := 0; ; n++ {
			sig, ok := <-ch
			if !ok {
				return
			}
			s, _ := sig.(syscall.Signal)
			if n > 0 {
				os.Exit(128 + int(s))
			}
			cancel(&SignalError{s})
		}
	}()
	return ctx, func() { signal.Stop(ch); close(ch); cancel(nil) }
}

// A ResultError ends a command whose findings were printed already; it carries their
// exit code and prints nothing more.
type ResultError struct{ Code int }

func (e *ResultError) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

// exitCodes is part of the help of both programs.
const exitCodes = `Exit status:
  0 done    1 internal error    2 usage or malformed input file
  3 incomplete: part is missing, a rerun resumes
  4 content is not what it should be (damaged, colliding names, lint findings)
  5 trust: signature, rollback, not the locked set
  6 remote unavailable after retries
  7 remote refused: login, read-only, full, conflict
  8 another process holds the lock    9 local resources: space, files, permissions
  130, 143 interrupted
Where several apply: 5 > 4 > 7 > 6 > 9 > 3.`

// Main runs a command tree and returns the exit code.
func Main(ctx context.Context, root *cobra.Command, args []string, s Streams) int {
	withoutCore()
	return guard(s.Err, root.Name(), func() int { return run(ctx, root, args, s) })
}

func run(ctx context.Context, root *cobra.Command, args []string, s Streams) int {
	started := false
	root.Version = Version()
	for _, cmd := range append(root.Commands(), root) {
		cmd.Long += "\n\n" + exitCodes
	}
	strictCommands(root)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetArgs(args)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		started = true
		return errors.Join(fromEnvironment(cmd.Flags(), strings.ToUpper(root.Name())), notEmpty(cmd.Flags()))
	}
	cmd, err := root.ExecuteContextC(ctx)
	if p, ok := s.Out.(*printer); ok && err == nil {
		err = p.failed()
	}
	code := exitCode(err, started)
	if _, told := errors.AsType[*ResultError](err); err != nil && !told {
		printError(s.Err, root.Name(), err, args)
		if code == int(report.ClassUsage) && !started {
			fmt.Fprintf(s.Err, "Run '%s --help' for usage.\n", cmd.CommandPath())
		} else if next := nextSteps(cmd.Name(), err); next != "" {
			fmt.Fprintf(s.Err, "%s: next: %s\n", root.Name(), next)
		}
	}
	return code
}

// strictCommands makes the commands that cobra adds refuse words that they do not know,
// instead of printing their help and ending well.
func strictCommands(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		case "help":
			cmd.Run, cmd.RunE = nil, func(_ *cobra.Command, args []string) error {
				about, _, err := root.Find(args)
				if err != nil {
					return Usage("%v", err)
				}
				about.InitDefaultHelpFlag()
				about.InitDefaultVersionFlag()
				return about.Help()
			}
		}
	}
}

// maxErrors caps the lines of joined errors, as reports are capped.
const maxErrors = 1000

// printError prints each of joined errors on a line of its own, and counts the rest. Names
// of files that were given make no lines: a shell may have found them on a strange medium.
func printError(w io.Writer, name string, err error, args []string) {
	text := err.Error()
	for _, arg := range args {
		text = strings.ReplaceAll(text, arg, report.Printable(arg))
	}
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return line == "" })
	for _, line := range lines[:min(len(lines), maxErrors)] {
		fmt.Fprintf(w, "%s: %s\n", name, report.Printable(strings.TrimSpace(line)))
	}
	if more := len(lines) - maxErrors; more > 0 {
		fmt.Fprintf(w, "%s: and %d more that are not listed\n", name, more)
	}
}

// nextSteps says what to do about an error whose message does not end with that, the same
// as a report has it.
func nextSteps(command string, err error) string {
	var all []string
	for _, part := range parts(err) {
		_, next := report.Explain(part)
		told := next != "" && strings.Contains(part.Error(), next)
		next = cmp.Or(next, report.NextStep(command, report.Failed, report.Class(exitCode(part, true))))
		if !told && !slices.Contains(all, next) {
			all = append(all, next)
		}
	}
	return strings.Join(all, "; or: ")
}

// exitCode derives the exit code from an error; started is false while the command
// line itself is still being read.
func exitCode(err error, started bool) int {
	if err == nil {
		return 0
	}
	if r, ok := errors.AsType[*ResultError](err); ok {
		return r.Code
	}
	if s, ok := errors.AsType[*SignalError](err); ok {
		return 128 + int(s.Signal)
	}
	class := report.Classify(err)
	if !started && class != report.ClassLocal { // as a version that cannot be printed
		class = report.ClassUsage
	}
	return int(class)
}

// Usage marks an error as one of the command line.
func Usage(format string, args ...any) error {
	return report.WithClass(report.ClassUsage, fmt.Errorf(format, args...))
}

// FlagFile is the error of reading a file that a flag names. What the system says of it is a
// matter of this machine, also that there is none; anything else is of the command line.
func FlagFile(flag string, err error) error {
	err = fmt.Errorf("%s: %w", flag, err)
	if report.Classify(err) == report.ClassLocal {
		return err
	}
	return report.WithClass(report.ClassUsage, err)
}

// MayBeEmpty marks a flag whose empty value says something.
func MayBeEmpty(flags *pflag.FlagSet, name string) {
	_ = flags.SetAnnotation(name, mayBeEmpty, nil) // fails for a name that is none, which Lookup shows in tests
}

const mayBeEmpty = "airbundle_may_be_empty"

// notEmpty refuses flags that were given, or set by a variable that counts, and say nothing:
// whoever writes --root "$ROOT" and never set ROOT asked for a check, and must not go without;
// --arch "$ARCH" must not mean all of them.
func notEmpty(flags *pflag.FlagSet) error {
	var errs []error
	flags.Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if _, may := f.Annotations[mayBeEmpty]; !may && (len(values) == 0 || slices.Contains(values, "")) {
			err := report.Advise(fmt.Errorf("--%s is given and empty, as by a variable that is not set", f.Name), "give a value, or leave it out")
			errs = append(errs, report.WithClass(report.ClassUsage, err))
		}
	})
	return errors.Join(errs...)
}

// fromEnvironment sets flags that were not given from PREFIX_FLAG_NAME variables.
func fromEnvironment(flags *pflag.FlagSet, prefix string) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := prefix + "_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := os.LookupEnv(name)
		if !ok || f.Changed || f.Name == "help" || f.Name == "version" || value == "" && saysNothing(f) {
			return
		}
		err := flags.Set(f.Name, value)
		switch {
		case err != nil && f.Value.Type() == "bool": // who mistakes password-stdin for the password must not read it in a log
			errs = append(errs, Usage("%s is neither true nor false", name))
		case err != nil:
			errs = append(errs, Usage("%s=%q: %v", name, value, err))
		}
	})
	return errors.Join(errs...)
}

// narrowing are the flags without which more is taken, or less is signed: that must not come
// of a variable that is there and empty.
var narrowing = []string{"root", "key", "signature", "sign", "repo-sign-key", "arch", "only", "group"}

// saysNothing says whether a variable for the flag that is set and empty counts as not set.
func saysNothing(f *pflag.Flag) bool {
	_, may := f.Annotations[mayBeEmpty]
	return !may && !slices.Contains(narrowing, f.Name)
}

// Version is the module's version as the build stamped it, with the commit it was
// built from where there is no tag.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	return info.Main.Version
}
