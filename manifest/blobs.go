package manifest

import (
	"cmp"
	"slices"
	"sort"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func blobOf(d ocispec.Descriptor) Blob { return Blob{d.MediaType, d.Digest, d.Size} }

// A blobList finds blobs of a table by digest, without a map: in archive order there are two
// parts, each sorted by digest.
type blobList struct{ json, other []Blob }

// listed returns the table's blobs for finding them. A table that was not checked may be out
// of order; its blobs are sorted on fresh memory.
func (t *Table) listed() blobList {
	all := t.Blobs
	if !slices.IsSortedFunc(all, compareBlobs) {
		all = slices.SortedFunc(slices.Values(all), compareBlobs)
	}
	n := sort.Search(len(all), func(i int) bool { return !IsJSON(all[i].MediaType, all[i].Size) })
	return blobList{all[:n], all[n:]}
}

func (l blobList) find(d digest.Digest) (Blob, bool) {
	for _, part := range [][]Blob{l.json, l.other} {
		if i := search(part, d); i >= 0 {
			return part[i], true
		}
	}
	return Blob{}, false
}

func (l blobList) size(d digest.Digest) int64 {
	b, _ := l.find(d)
	return b.Size
}

// search returns where d is in a list sorted by digest; -1 when it is not there.
func search(sorted []Blob, d digest.Digest) int {
	i, ok := slices.BinarySearchFunc(sorted, d, func(b Blob, d digest.Digest) int { return cmp.Compare(b.Digest, d) })
	if !ok {
		return -1
	}
	return i
}

// compareBlobs is the archive order of all blobs but the root.
func compareBlobs(a, b Blob) int {
	if ja, jb := IsJSON(a.MediaType, a.Size), IsJSON(b.MediaType, b.Size); ja != jb {
		if ja {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.Digest, b.Digest)
}
