package manifest

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Below yields the paths that are below one of a file in the list, each with the outermost of
// these: no directory tree can hold both a and a/b. What isFile does not say is a directory;
// nil: all are files.
func Below(paths []string, isFile func(path string) bool) iter.Seq2[string, string] {
	sorted := slices.SortedFunc(slices.Values(paths), bySegments)
	return func(yield func(path, above string) bool) {
		above := ""
		for _, p := range sorted {
			switch {
			case above != "" && strings.HasPrefix(p, above+"/"):
				if !yield(p, above) {
					return
				}
			case isFile == nil || isFile(p):
				above = p
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
