package depsolve

import "strings"

// archScores are the arches that packages for hosts of an arch can have, the better one
// lower (libsolv, poolarch.c); noarch goes with all of them.
func archScores(arch string) map[string]uint32 {
	list := []string{arch}
	if arch == "x86_64" {
		list = append(list, "i686", "i586", "i486", "i386")
	}
	scores := map[string]uint32{"noarch": noarch}
	for i, a := range list {
		scores[a] = uint32(i+1)<<16 | 1
	}
	return scores
}

const noarch = 1

// sameColor says whether two packages take each other's place: packages of 32 and of 64
// bits live beside each other.
func (pl *pool) sameColor(a, b solvable) bool {
	x, y := &pl.pkgs[a], &pl.pkgs[b]
	return x.arch == y.arch || x.score == noarch || y.score == noarch || pl.is64(x) == pl.is64(y)
}

func (pl *pool) is64(k *pkg) bool { return strings.Contains(pl.texts[k.arch], "64") }
