package messages

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/bundletest"
)

// TestThousandsOfFindings: an archive with 1,500 damaged blobs has 1,000 findings in the
// report and a number of the others, the same 1,000 whatever the number of jobs and
// processors, in text and in JSON.
func TestThousandsOfFindings(t *testing.T) {
	f := bundletest.New(t)
	const damaged, listed = 1500, 1000
	for i := range damaged {
		f.AddFile(fmt.Sprintf("many/%04d", i), fmt.Appendf(nil, "content number %04d", i))
	}
	raw, err := os.ReadFile(f.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(raw, []byte("content number ")); n != damaged {
		t.Fatalf("%d files in the archive", n)
	}
	path := filepath.Join(t.TempDir(), "bad.bundle.tar")
	if err := os.WriteFile(path, bytes.ReplaceAll(raw, []byte("content number "), []byte("Content number ")), 0o644); err != nil {
		t.Fatal(err)
	}
	var first []record
	for i, jobs := range []int{1, 2, 8, 16} {
		p := newProcess(t, fmt.Sprintf("GOMAXPROCS=%d", 1+i%2))
		r := p.run(t, "seeder", "verify", path, "--output", "json", "--jobs", fmt.Sprint(jobs))
		got := decode(t, r.out)
		findings := slices.DeleteFunc(got.Records, func(rec record) bool { return rec.State == "ok" })
		if r.code != 4 || got.ExitCode != 4 || len(findings) != listed || got.Unlisted < damaged-listed {
			t.Fatalf("%d jobs: exit %d, %d findings and %d unlisted: %.1000s", jobs, r.code, len(findings), got.Unlisted, r.err)
		}
		if i == 0 {
			first = findings
			t.Logf("%d unlisted", got.Unlisted)
		}
		if diff := cmp.Diff(first, findings); diff != "" {
			t.Errorf("with %d jobs: %.2000s", jobs, diff)
		}
	}
	text := newProcess(t).run(t, "seeder", "verify", path)
	lines := strings.Split(text.out, "\n")
	for i, rec := range first {
		if line := lines[i]; !strings.HasPrefix(line, rec.State+" ") || !strings.Contains(line, rec.Name) || !strings.Contains(line, rec.Digest) || !strings.Contains(line, rec.Reason) {
			t.Fatalf("line %d of the text is %q, the record is %+v", i, line, rec)
		}
	}
	if !strings.Contains(text.out, "more findings that are not listed") || text.code != 4 {
		t.Errorf("exit %d: %.200s", text.code, text.out)
	}
}
