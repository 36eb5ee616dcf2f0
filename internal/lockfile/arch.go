package lockfile

import "slices"

// archNames pairs what RPMs and what Go and container images call an
// architecture, in the order in which arches are listed.
var archNames = []struct{ arch, goArch string }{
	{"x86_64", "amd64"},
	{"aarch64", "arm64"},
}

// Arches lists the arches that locks can name.
func Arches() []string {
	out := make([]string, len(archNames))
	for i, a := range archNames {
		out[i] = a.arch
	}
	return out
}

// GoArch converts an arch (x86_64, aarch64) to what image platforms call it
// (amd64, arm64).
func GoArch(arch string) (string, bool) {
	for _, a := range archNames {
		if a.arch == arch {
			return a.goArch, true
		}
	}
	return "", false
}

// Arch converts back what GoArch converts.
func Arch(goArch string) (string, bool) {
	for _, a := range archNames {
		if a.goArch == goArch {
			return a.arch, true
		}
	}
	return "", false
}

// Platform is the image platform of an arch: linux/amd64 for x86_64. It is
// empty for an arch that is not known.
func Platform(arch string) string {
	if g, ok := GoArch(arch); ok {
		return "linux/" + g
	}
	return ""
}

// PlatformArch is the arch of an image platform: x86_64 for linux/amd64.
func PlatformArch(platform string) (string, bool) {
	for _, a := range archNames {
		if platform == "linux/"+a.goArch {
			return a.arch, true
		}
	}
	return "", false
}

// sortArches gives arches in the order of Arches, unknown ones last.
func sortArches(arches []string) []string {
	rank := func(arch string) int {
		i := slices.Index(Arches(), arch)
		if i < 0 {
			return len(archNames)
		}
		return i
	}
	out := slices.Clone(arches)
	slices.SortStableFunc(out, func(a, b string) int { return rank(a) - rank(b) })
	return out
}
