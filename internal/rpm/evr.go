package rpm

import (
	"cmp"
	"strings"
)

// CompareEVR orders two "epoch:version-release" strings as librpm does: a negative
// number when a is older, 0 when they are the same, a positive number when a is
// newer. A missing epoch is 0; a missing release is older than any.
func CompareEVR(a, b string) int {
	ae, av, ar := splitEVR(a)
	be, bv, br := splitEVR(b)
	return cmp.Or(CompareVersion(ae, be), CompareVersion(av, bv), CompareVersion(ar, br))
}

// splitEVR cuts an EVR where librpm does: the epoch is the digits before a colon,
// the release is what follows the last dash.
func splitEVR(evr string) (epoch, version, release string) {
	digits := 0
	for digits < len(evr) && isDigit(evr[digits]) {
		digits++
	}
	epoch, version = "0", evr
	if digits < len(evr) && evr[digits] == ':' {
		epoch, version = cmp.Or(evr[:digits], "0"), evr[digits+1:]
	}
	if dash := strings.LastIndexByte(version, '-'); dash >= 0 {
		version, release = version[:dash], version[dash+1:]
	}
	return epoch, version, release
}

// CompareVersion orders two versions, or two releases, as librpm does. Both are taken
// apart into runs of digits and runs of letters; everything else only separates,
// but a tilde sorts before the end of the string and a caret after it:
// 1.0~rc1 < 1.0 < 1.0^git1 < 1.0.1.
func CompareVersion(a, b string) int {
	if a == b {
		return 0
	}
	for {
		a, b = trimSeparators(a), trimSeparators(b)
		if c, marked := compareMark(a, b); marked {
			if c != 0 {
				return c
			}
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			return cmp.Compare(len(a), len(b)) // what is left over is newer
		}
		var c int
		if c, a, b = compareRun(a, b); c != 0 {
			return c
		}
	}
}

// compareMark compares where at least one side begins with a tilde or a caret.
func compareMark(a, b string) (c int, marked bool) {
	aMark, bMark := first(a), first(b)
	switch {
	case aMark == '~' || bMark == '~':
		// Only the one with the tilde is older, whatever the other has here.
		return cmp.Compare(boolInt(bMark == '~'), boolInt(aMark == '~')), true
	case aMark == '^' && bMark == '^':
		return 0, true
	case aMark == '^':
		return afterCaret(b), true
	case bMark == '^':
		return -afterCaret(a), true
	}
	return 0, false
}

// afterCaret says how a string that goes on with a caret compares with one that goes on
// with rest: it is newer when that one ends here, and older when it does not.
func afterCaret(rest string) int {
	if rest == "" {
		return 1
	}
	return -1
}

// compareRun compares the run of digits or letters that a begins with to the
// run of the same kind that b begins with, and returns what follows both.
func compareRun(a, b string) (c int, aRest, bRest string) {
	isKind := isLetter
	numeric := isDigit(a[0])
	if numeric {
		isKind = isDigit
	}
	aRun, bRun := run(a, isKind), run(b, isKind)
	if bRun == "" { // digits are newer than letters
		if numeric {
			return 1, "", ""
		}
		return -1, "", ""
	}
	aRest, bRest = a[len(aRun):], b[len(bRun):]
	if numeric { // of any length, so not by conversion
		aRun, bRun = strings.TrimLeft(aRun, "0"), strings.TrimLeft(bRun, "0")
		c = cmp.Compare(len(aRun), len(bRun))
	}
	return cmp.Or(c, strings.Compare(aRun, bRun)), aRest, bRest
}

func run(s string, isKind func(byte) bool) string {
	n := 0
	for n < len(s) && isKind(s[n]) {
		n++
	}
	return s[:n]
}

func trimSeparators(s string) string {
	for s != "" && !isDigit(s[0]) && !isLetter(s[0]) && s[0] != '~' && s[0] != '^' {
		s = s[1:]
	}
	return s
}

func first(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// librpm compares bytes, whatever the locale.
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
