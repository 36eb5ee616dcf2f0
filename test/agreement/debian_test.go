//go:build agreement

package agreement

import (
	"errors"
	"path/filepath"
	"testing"

	"airbundle/internal/rpmtest"
	"airbundle/test/agreement/debian"
)

// full says that all is asked for, on a distribution's scale too.
const full = true

// TestDebian compares on a repository of a whole distribution.
func TestDebian(t *testing.T) {
	rpmtest.Tool(t, "dnf")
	for _, arch := range arches {
		t.Run(arch, func(t *testing.T) {
			dir := place(t)
			counts, err := debian.Repositories(t.Context(), dir, arch)
			if errors.Is(err, debian.ErrNoLists) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			t.Logf("packages: %v", counts)
			s := &set{arch: arch, share: 100}
			for _, id := range []string{"main", "sec"} {
				s.add(t, id, filepath.Join(dir, id+"-"+arch))
			}
			s.compare(t)
		})
	}
}
