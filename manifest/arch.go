package manifest

// archNames pairs what RPMs and what Go and image platforms call an architecture, in
// the order in which locks list arches. No other table of it exists.
var archNames = []struct{ arch, goArch string }{
	{"x86_64", "amd64"},
	{"aarch64", "arm64"},
}

// linux is the operating system of all image platforms that stand for an arch.
const linux = "linux/"

// Arches lists the arches that bundles are made for, in the order of locks.
func Arches() []string {
	out := make([]string, len(archNames))
	for i, a := range archNames {
		out[i] = a.arch
	}
	return out
}

// GoArch converts an arch (x86_64) to what Go and image platforms call it (amd64); the
// empty string when it is none of ours.
func GoArch(arch string) string {
	for _, a := range archNames {
		if a.arch == arch {
			return a.goArch
		}
	}
	return ""
}

// PlatformFor converts an arch (x86_64) to the image platform (linux/amd64); the empty
// string when it is none of ours.
func PlatformFor(arch string) string {
	if goArch := GoArch(arch); goArch != "" {
		return linux + goArch
	}
	return ""
}

// ArchOf converts an image platform (linux/amd64) to the arch (x86_64); the empty string
// when it is none of ours.
func ArchOf(platform string) string {
	for _, a := range archNames {
		if platform == linux+a.goArch {
			return a.arch
		}
	}
	return ""
}

// FitsArch reports whether a package of an arch can be in a set of basearch: a package of one
// of our arches belongs to that alone; of noarch, i686 and the like it is not known.
func FitsArch(arch, basearch string) bool { return arch == basearch || GoArch(arch) == "" }
