// Command run runs go test and sums up: one line a package, the output of what failed,
// every skipped test with its reason, and the counts at the end.
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
	passed  int
	failed  int
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
	t := &tally{output: map[string][]string{}}
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
	case "fail":
		t.failed++
		fmt.Printf("FAIL %s %s\n%s", e.Package, e.Test, strings.Join(t.output[key], ""))
	case "skip":
		t.skipped = append(t.skipped, e.Test+": "+reason(t.output[key]))
	}
	delete(t.output, key)
}

func (t *tally) pkg(e event) {
	key := e.Package + " "
	switch e.Action {
	case "pass":
		fmt.Printf("ok   %s %.1fs\n", e.Package, e.Elapsed)
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
