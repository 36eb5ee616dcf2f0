// Command run runs go test and sums up: one line a package, the output of what failed,
// every skipped test with its reason, and the counts at the end. With AIRBUNDLE_FAULTS set it
// also shows what tests log that pass.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

type tally struct {
	output  map[string][]string // by package and test
	skipped []string
	counts  map[string]int // tests and cases that passed, by package
	passed  int
	failed  int
	logs    bool // show what passing tests logged
}

func main() {
	args := append([]string{"test", "-json"}, os.Args[1:]...)
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
	t := &tally{output: map[string][]string{}, counts: map[string]int{}, logs: os.Getenv("AIRBUNDLE_FAULTS") != ""}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		t.take(e)
	}
	err = cmd.Wait()
	t.sum()
	if err != nil || lines.Err() != nil || t.failed > 0 {
		os.Exit(1)
	}
}

func (t *tally) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		t.output[key] = append(t.output[key], e.Output)
	case "build-fail":
		t.failed++
	case "pass", "fail", "skip":
		if e.Test == "" {
			t.pkg(e)
		} else {
			t.test(e, key)
		}
	}
}

func (t *tally) test(e event, key string) {
	switch e.Action {
	case "pass":
		t.passed++
		t.counts[e.Package]++
		if t.logs && !strings.Contains(e.Test, "/") {
			t.log(e, key)
		}
	case "fail":
		t.failed++
		fmt.Printf("FAIL %s %s\n%s", e.Package, e.Test, strings.Join(t.output[key], ""))
	case "skip":
		t.skipped = append(t.skipped, e.Test+": "+reason(t.output[key]))
	}
	delete(t.output, key)
}

// log shows what a test that passed says of itself, such as how many points it tried.
func (t *tally) log(e event, key string) {
	for _, line := range t.output[key] {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "===") {
			fmt.Printf("%s: %s\n", e.Test, line)
		}
	}
}

func (t *tally) pkg(e event) {
	key := e.Package + " "
	switch e.Action {
	case "pass":
		fmt.Printf("ok   %s %.1fs, %d tests and cases\n", e.Package, e.Elapsed, t.counts[e.Package])
	case "fail":
		t.failed++
		fmt.Printf("FAIL %s\n%s", e.Package, strings.Join(t.output[key], ""))
		for k, out := range t.output { // a package that was killed leaves its tests open
			if strings.HasPrefix(k, key) && k != key {
				fmt.Print(strings.Join(out, ""))
			}
		}
	}
	delete(t.output, key)
}

// reason is what a test said when it skipped itself.
func reason(output []string) string {
	for _, line := range slices.Backward(output) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "===") {
			return line
		}
	}
	return "no reason given"
}

func (t *tally) sum() {
	slices.Sort(t.skipped)
	for _, s := range t.skipped {
		fmt.Println("skipped", s)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", t.passed, t.failed, len(t.skipped))
}
