package manifest

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Below yields the paths that are below another one of the list, each with the outermost of
// these: no directory tree can hold both a and a/b.
func Below(paths []string) iter.Seq2[string, string] {
	sorted := slices.SortedFunc(slices.Values(paths), bySegments)
	return func(yield func(path, above string) bool) {
		above := ""
		for i, p := range sorted {
			switch {
			case i == 0 || !strings.HasPrefix(p, above+"/"):
				above = p
			case !yield(p, above):
				return
			}
		}
	}
}

// bySegments sorts so that what is below a path directly follows it.
func bySegments(a, b string) int {
	for i := range min(len(a), len(b)) {
		switch {
		case a[i] == b[i]:
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		default:
			return cmp.Compare(a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b))
}
