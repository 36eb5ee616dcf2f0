// Command fuzz runs every fuzz target, each until it has used up its share of processor
// time or of time, and prints a ledger: target, CPU seconds, executions, new inputs, result.
// The workers run at the lowest priority. What a target finds, Go writes below its testdata.
package main

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	cpu := flag.Duration("cpu", 0, "processor time of each target; 0: -time counts")
	wall := flag.Duration("time", time.Minute, "time of each target")
	only := flag.String("only", "", "only targets that match this `pattern`, such as internal/rpm.FuzzRead$")
	ledger := flag.String("ledger", "", "append the ledger to this `file`, too; what it says of a target counts towards -cpu")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err == nil {
		err = run(*cpu, *wall, pattern, *ledger)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// A target is one fuzz function; Package is its directory.
type target struct{ Package, Name string }

func (t target) String() string { return t.Package + "." + t.Name }

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// targets finds the fuzz functions below root, sorted.
func targets(root string) (all []target, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, m := range declaration.FindAllSubmatch(raw, -1) {
			all = append(all, target{filepath.ToSlash(dir), string(m[1])})
		}
		return err
	})
	return all, err
}

func run(cpu, wall time.Duration, only *regexp.Regexp, ledger string) error {
	all, err := targets(".")
	if err != nil {
		return err
	}
	bin, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	r := &runner{cpu: cpu, wall: wall, bin: bin, out: os.Stdout, used: usedBefore(ledger)}
	if ledger != "" {
		f, err := os.OpenFile(ledger, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		r.out = io.MultiWriter(os.Stdout, f)
	}
	failed := 0
	for _, t := range all {
		if only.MatchString(t.String()) && !r.target(t) {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d targets failed", failed)
	}
	return nil
}

// usedBefore sums up the CPU seconds of a ledger.
func usedBefore(ledger string) map[string]float64 {
	used := map[string]float64{}
	raw, _ := os.ReadFile(ledger) // none yet: nothing was used
	for line := range strings.Lines(string(raw)) {
		if words := strings.Fields(line); len(words) >= 5 && words[4] == "ok" {
			seconds, _ := strconv.ParseFloat(words[1], 64)
			used[words[0]] += seconds
		}
	}
	return used
}

type runner struct {
	cpu, wall time.Duration
	bin       string // where the test programs are built
	out       io.Writer
	used      map[string]float64
}

// target runs one target until its time is used up; false when it failed.
func (r *runner) target(t target) bool {
	program, err := r.build(t.Package)
	if err != nil {
		fmt.Fprintf(r.out, "%s 0 0 0 does-not-build\n", t)
		fmt.Fprintln(os.Stderr, err)
		return false
	}
	for {
		span := r.wall
		if r.cpu > 0 {
			left := r.cpu - time.Duration(r.used[t.String()]*float64(time.Second))
			if left <= 0 {
				return true
			}
			span = max(left, 30*time.Second) // a worker gets less than a processor
		}
		if !r.once(t, program, span) {
			return false
		}
		if r.cpu == 0 {
			return true
		}
	}
}

func (r *runner) build(dir string) (string, error) {
	program := filepath.Join(r.bin, strings.ReplaceAll(dir, "/", "_")+".test")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	out, err := exec.Command("go", "test", "-c", "-fuzz=.", "-o", program, "./"+dir).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the tests of %s: %w\n%s", dir, err, out)
	}
	return program, nil
}

var (
	executions = regexp.MustCompile(`execs: (\d+)`)
	inputs     = regexp.MustCompile(`new interesting: (\d+)`)
)

// once runs a target for a time and writes its line.
func (r *runner) once(t target, program string, span time.Duration) bool {
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "go env GOCACHE:", err)
		return false
	}
	cmd := exec.Command("nice", "-n", "19", program, "-test.run", "^$", "-test.fuzz", "^"+t.Name+"$", "-test.fuzztime", span.String(),
		"-test.fuzzcachedir", filepath.Join(strings.TrimSpace(string(cache)), "fuzz", "airbundle", filepath.FromSlash(t.Package)),
		"-test.fuzzminimizetime", "10x", "-test.parallel", "1", "-test.timeout", "0")
	cmd.Dir = filepath.FromSlash(t.Package)
	out, err := cmd.CombinedOutput()
	seconds, result := 0.0, "ok"
	if cmd.ProcessState != nil {
		seconds = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	}
	if err != nil {
		result = "FAILED"
		fmt.Fprintf(os.Stderr, "%s: %v\n%s", t, err, out)
	}
	r.used[t.String()] += seconds
	fmt.Fprintf(r.out, "%s %.1f %s %s %s\n", t, seconds, last(executions, out), last(inputs, out), result)
	return err == nil && seconds > 0
}

// last is the number of the latest line that tells it.
func last(what *regexp.Regexp, out []byte) string {
	all := what.FindAllSubmatch(out, -1)
	if all == nil {
		return "0"
	}
	return string(all[len(all)-1][1])
}
