package hostile

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// bin is where the programs lie.
var bin string

// full says that the larger samples run, too.
var full = os.Getenv("AIRBUNDLE_FAULTS") == "full"

// makes names the variable by which the test program is asked to write one sample and end.
const makes = "AIRBUNDLE_HOSTILE_SAMPLE"

func TestMain(m *testing.M) {
	code := 1
	err := func() (err error) {
		if name := os.Getenv(makes); name != "" {
			code = 0
			return writeNamed(name, os.Getenv(makes+"_FILE"))
		}
		if bin = os.Getenv("AIRBUNDLE_HOSTILE_BIN"); bin == "" {
			if bin, err = os.MkdirTemp("", "airbundle-hostile"); err != nil {
				return err
			}
			defer os.RemoveAll(bin)
			build := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "airbundle/cmd/bundler", "airbundle/cmd/seeder")
			build.Env = append(os.Environ(), "CGO_ENABLED=0") // as releases are built: no libraries are opened
			out, err := build.CombinedOutput()
			if err != nil {
				return fmt.Errorf("build the programs: %w\n%s", err, out)
			}
		}
		code = m.Run()
		return nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func writeNamed(name, path string) error {
	all := slices.Concat(malformed(), valid(), large())
	i := slices.IndexFunc(all, func(s sample) bool { return s.String() == name })
	if i < 0 {
		return fmt.Errorf("no sample %s", name)
	}
	return all[i].to(path)
}

func (s sample) to(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.write(f)
}

// file makes the sample in a directory. What takes much memory is made by another process:
// Linux counts the memory of the process that starts a program as the program's own peak.
func (s sample) file(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "sample.tar")
	if !slices.Contains([]string{"A27", "A28", "A31", "A41"}, s.row) {
		if err := s.to(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), makes+"="+s.String(), makes+"_FILE="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}
