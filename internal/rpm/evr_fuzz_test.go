package rpm

import (
	"testing"

	"airbundle/internal/fuzztest"
)

// FuzzCompareEVR looks for versions that panic, or that have no order: the order of two must
// be that of the two the other way around, and of three it must not go in a circle.
func FuzzCompareEVR(f *testing.F) {
	for _, s := range [][3]string{
		{"1.0-1", "1.0-2", "1.1-1"}, {"1:1.0-1", "2.0-1", "0:2.0-1"}, {"1.0~rc1-1", "1.0-1", "1.0^git1-1"},
		{"1.0", "1.0-1", "1.0-"}, {"", ":", "-"}, {"00012", "12", "12a"}, {"a.b", "a-b", "a~b"}, {"1..1", "1.1", "1_1"},
		{"99999999999999999999999", "99999999999999999999998", "1e9"}, {"é", "\xff", "e"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	fuzztest.Run(f, func(t *testing.T, a, b, c string) {
		ab, ba := CompareEVR(a, b), CompareEVR(b, a)
		if sign(ab) != -sign(ba) {
			t.Errorf("%q to %q is %d, the other way around %d", a, b, ab, ba)
		}
		if CompareEVR(a, a) != 0 {
			t.Errorf("%q is not equal to itself", a)
		}
		if bc, ac := CompareEVR(b, c), CompareEVR(a, c); ab <= 0 && bc <= 0 && ac > 0 {
			t.Errorf("%q, %q and %q go in a circle: %d, %d, %d", a, b, c, ab, bc, ac)
		}
	})
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
