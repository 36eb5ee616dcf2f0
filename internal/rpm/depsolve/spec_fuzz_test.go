package depsolve

import (
	"testing"

	"airbundle/internal/fuzztest"
)

// A spec of a request means packages of the pool, in bounded time, and a name means its package.
func FuzzSpec(f *testing.F) {
	for _, s := range []string{"a", "a*", "a-1-1.x86_64", "[a-c]", "[!a]?", "a >= 1", "/usr/bin/a", "*/a", "(a or b)", "a.x86_64", "0:a-1", "**********************b", "[[[", "[\\]"} {
		f.Add(s)
	}
	pl := lettersPool("abcd")
	fuzztest.Run(f, func(t *testing.T, spec string) {
		for _, capabilities := range []bool{false, true} {
			got := pl.find(spec, capabilities)
			if len(got.list) > len(pl.pkgs) {
				t.Errorf("%q means %d of %d packages", spec, len(got.list), len(pl.pkgs))
			}
			for _, p := range got.list {
				if int(p) <= 0 || int(p) >= len(pl.pkgs) || !pl.choosable(p) {
					t.Errorf("%q means package %d", spec, p)
				}
			}
		}
		m := newMatcher(spec)
		if !isGlob(spec) && !m.match(spec) {
			t.Errorf("%q does not match itself", spec)
		}
	})
}
