package depsolve

import (
	"strings"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/catalog"
)

// fits says whether two ranges of versions have one in common. A version without a release
// stands for all its releases.
func (pl *pool) fits(aFlags catalog.Flags, a text, bFlags catalog.Flags, b text) bool {
	const ends = catalog.Less | catalog.Greater
	switch {
	case aFlags == ends|catalog.Equal || bFlags == ends|catalog.Equal || aFlags&bFlags&ends != 0:
		return true
	case a == b:
		return aFlags&bFlags&catalog.Equal != 0
	}
	switch c := compareRange(pl.texts[a], pl.texts[b]); {
	case c == aCovers:
		return aFlags&catalog.Equal != 0
	case c == bCovers:
		return bFlags&catalog.Equal != 0
	case c < 0:
		return bFlags&catalog.Less != 0 || aFlags&catalog.Greater != 0
	case c > 0:
		return bFlags&catalog.Greater != 0 || aFlags&catalog.Less != 0
	}
	return aFlags&bFlags&catalog.Equal != 0
}

// What compareRange says where one version has no release and so covers the other.
const (
	aCovers = -2
	bCovers = 2
)

// compareRange orders versions as dependencies have them.
func compareRange(a, b string) int {
	aVersion, aRelease := cutRelease(a)
	bVersion, bRelease := cutRelease(b)
	switch c := rpm.CompareEVR(aVersion, bVersion); {
	case c != 0:
		return c
	case aRelease == bRelease:
		return 0
	case aRelease == "":
		return aCovers
	case bRelease == "":
		return bCovers
	}
	return rpm.CompareVersion(aRelease, bRelease)
}

func cutRelease(evr string) (version, release string) {
	if dash := strings.LastIndexByte(evr, '-'); dash >= 0 {
		return evr[:dash], evr[dash+1:]
	}
	return evr, ""
}

// newer compares the versions of two packages.
func (pl *pool) newer(a, b solvable) int {
	if pl.pkgs[a].evr == pl.pkgs[b].evr {
		return 0
	}
	return rpm.CompareEVR(pl.texts[pl.pkgs[a].evr], pl.texts[pl.pkgs[b].evr])
}
