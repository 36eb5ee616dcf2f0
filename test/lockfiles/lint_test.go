package lockfiles

import (
	"testing"

	"airbundle/internal/lint"
	"airbundle/internal/report"
)

// TestLint: the locks have no findings together, and against its request each lock lacks
// as many wishes as README.md says are left.
func TestLint(t *testing.T) {
	var locks []lint.File
	for _, p := range pairs(t) {
		file := lint.File{Name: p.name + ".lock.yaml", Data: read(t, p.name+".lock.yaml")}
		locks = append(locks, file)
		request := lint.File{Name: p.name + ".yaml", Data: read(t, p.name+".yaml")}
		rep, sum, err := lint.Run(t.Context(), []lint.File{file}, &request, lint.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rep.Records() {
			if r.State != report.OK && r.Finding != lint.Unpinned {
				t.Errorf("%s: %s %s: %s: %s", r.Place, r.Kind, r.Name, r.Finding, r.Reason)
			}
		}
		n := p.count(t)
		if left := n.imagesLeft + n.packagesLeft + n.filesLeft + n.chartsLeft; sum.Unpinned != left {
			t.Errorf("%s: lint names %d unpinned wishes, README.md %d", p.name, sum.Unpinned, left)
		}
	}
	if _, sum, err := lint.Run(t.Context(), locks, nil, lint.Options{}); err != nil || sum.Findings != 0 || sum.Artifacts == 0 {
		t.Errorf("all locks: %+v, %v", sum, err)
	}
}
