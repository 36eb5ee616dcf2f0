package target_test

import (
	"strings"
	"testing"

	"airbundle/internal/fuzztest"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// A naming policy that is taken gives names that a registry takes, for every image whose own
// name it takes.
func FuzzNaming(f *testing.F) {
	for _, s := range []string{"strip", "keep", "prefix", "prefix:a/b", "flatten:x", "prefix:A", "prefix:/", "prefix:", "other:x"} {
		f.Add(s, "quay.io:443/team/app")
		f.Add(s, "busybox")
	}
	fuzztest.Run(f, func(t *testing.T, policy, image string) {
		n, err := target.ParseNaming(policy)
		host, path, ok := strings.Cut(image, "/")
		if err != nil || !ok || manifest.CheckRepository(path) != nil || manifest.CheckRepository(strings.NewReplacer(":", "-").Replace(host)) != nil || strings.Contains(host, "_") {
			return
		}
		got := n.Repository(image)
		if err := manifest.CheckRepository(got); err != nil && len(policy)+len(image) < 200 {
			t.Errorf("%q of %q is %q, which %v", policy, image, got, err)
		}
	})
}
