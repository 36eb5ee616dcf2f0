// Package archive writes and reads the one file that is carried: an OCI image
// layout in an uncompressed tar, in a canonical form that leaves no byte open.
//
// A [Layout] says where every byte goes, from index.json and the descriptors of
// the blobs alone, before any of them is at hand. A [Writer] fills the slots of a
// layout in any order and from many goroutines, survives being killed, and gives
// the file its name only when it is whole. [Open] reads an archive back, strictly,
// as a content store; [Scan] does the same but goes on after damage and lists it.
// [OpenLayout] reads OCI layout tars of other tools.
//
// The package knows tar, offsets and digests. What the blobs mean is the business
// of package manifest; it fetches nothing and compresses nothing.
package archive

import (
	"fmt"

	"github.com/opencontainers/go-digest"
)

// A FormatError says where a file departs from the form it should have.
type FormatError struct {
	Path    string
	Offset  int64           // of the first byte concerned
	Entry   string          // tar entry concerned; empty when it is the file as a whole
	Digests []digest.Digest // blobs that cannot be whole because of it
	Msg     string
	Todo    string // what to do about it, where that is more than to copy the file again
	Err     error  // what the reading met, in Msg too; nil when the bytes themselves are wrong
}

func (e *FormatError) Error() string {
	msg := e.Msg
	if e.Todo != "" {
		msg += "; " + e.Todo
	}
	if e.Entry == "" {
		return fmt.Sprintf("%s: at byte %d: %s", e.Path, e.Offset, msg)
	}
	return fmt.Sprintf("%s: at byte %d: entry %q: %s", e.Path, e.Offset, e.Entry, msg)
}

// Advice returns what to do about it, for reports.
func (e *FormatError) Advice() string { return e.Todo }

// Unwrap returns what the reading met.
func (e *FormatError) Unwrap() error { return e.Err }

// maxEntries bounds the memory that the entries of one archive can take.
const maxEntries = 1_000_000
