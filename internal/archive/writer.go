package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/atomicfile"
	"airbundle/internal/progress"
)

// CreateOptions tune Create. The zero value is ready to use.
type CreateOptions struct {
	Jobs     int           // how many kept blobs are hashed at a time; default: one per processor
	Progress progress.Sink // told of the hashing of what is kept; nil: nobody
	Claim    *Claim        // on this archive; nil: Create makes its own

	disk disk
}

// An IncompleteError says that an archive cannot be sealed yet.
type IncompleteError struct {
	Path  string
	Blobs int   // that are missing
	Bytes int64 // that are missing
}

func (e *IncompleteError) Error() string {
	return fmt.Sprintf("%s: incomplete, %d blobs (%d bytes) are missing", e.Path, e.Blobs, e.Bytes)
}

// A Writer fills an archive. Until Seal, the archive is called path.part, and
// path.part.journal beside it lets a later Create go on where this one stopped.
//
// Fill, Missing and Kept are safe for concurrent use; Seal, Close and Discard are
// for the one who made it, after the last Fill has returned.
type Writer struct {
	path    string
	layout  *Layout
	disk    disk
	f       *os.File
	journal *journal
	fresh   bool // nothing of an earlier run is in the file
	closed  bool

	mu     sync.Mutex
	filled []bool                // by entry of the layout
	busy   map[int]chan struct{} // entries being filled; closed when done
	kept   int64
}

// Create starts or continues the archive path of layout l. It locks the archive
// against other processes (*LockedError), reserves its whole size or says what is
// missing (*SpaceError; EFBIG when no file may be so large), and writes down all that
// is known already: headers, index.json and the end.
//
// What an earlier run of the same layout left is taken over as far as it still has
// the right content, which is read and hashed now; ctx stops that. A path.part of
// another layout is overwritten. A file that has the final name already stays as it
// is until Seal replaces it; whether it may be replaced is for the caller to decide.
func Create(ctx context.Context, path string, l *Layout, o CreateOptions) (_ *Writer, err error) {
	if o.disk.statfs == nil {
		o.disk = systemDisk
	}
	w := &Writer{path: path, layout: l, disk: o.disk, filled: make([]bool, len(l.entries)), busy: map[int]chan struct{}{}}
	defer func() {
		if err != nil {
			w.abandon()
			if w.journal != nil { // Reserve says it by itself
				err = fmt.Errorf("create %s: %w", path, err)
			}
		}
	}()
	if w.journal, err = o.Claim.take(path); err != nil {
		return nil, err
	}
	named, err := w.openPart()
	if err != nil {
		return nil, err
	}
	if err := w.disk.reserve(w.f, l.size); err != nil {
		return nil, err
	}
	if err := w.writeFrame(); err != nil {
		return nil, err
	}
	if err := w.keep(ctx, named, o); err != nil {
		return nil, err
	}
	return w, nil
}

// openPart opens path.part and decides whether it is continued; then it returns the
// entries that the journal names as finished.
func (w *Writer) openPart() ([]int, error) {
	named, same, err := w.journal.filled(w.layout)
	if err != nil {
		return nil, err
	}
	part := w.path + partSuffix
	if _, err := os.Lstat(part); errors.Is(err, os.ErrNotExist) {
		w.fresh, same, named = true, false, nil
	}
	if w.f, err = openOwn(part, 0, 0o644); err != nil {
		return nil, err
	}
	// The file and the journal of an earlier run stay untouched when this is refused.
	if err := w.disk.check(w.f, w.layout.size); err != nil {
		return nil, err
	}
	if same {
		return named, w.journal.own()
	}
	w.fresh = true
	if err := w.journal.begin(w.layout); err != nil {
		return nil, err
	}
	if err := w.journal.own(); err != nil {
		return nil, err
	}
	return nil, w.f.Truncate(0)
}

// writeFrame writes everything but the blobs: headers, padding, the two files of the
// layout itself, the end.
func (w *Writer) writeFrame() error {
	for i := range len(w.layout.entries) + 1 {
		offset, data := w.layout.joint(i)
		if i < len(w.layout.entries) {
			data = append(data, w.layout.content(i)...)
		}
		if _, err := w.f.WriteAt(data, offset); err != nil {
			return w.explain(err)
		}
	}
	for i, e := range w.layout.entries {
		w.filled[i] = e.digest == "" // the two files of the layout itself
	}
	return nil
}

// explain makes a full disk a *SpaceError that says how much is missing.
func (w *Writer) explain(err error) error {
	switch {
	case noSpace(err):
		need, have := w.disk.room(w.f, w.layout.size)
		return &SpaceError{Path: w.f.Name(), Need: need, Have: have, Err: err}
	case errors.Is(err, syscall.EFBIG):
		return tooLarge(w.f, w.layout.size)
	}
	return err
}

// Missing returns the blobs that are still to be filled, the largest first.
func (w *Writer) Missing() []ocispec.Descriptor {
	w.mu.Lock()
	defer w.mu.Unlock()
	var missing []ocispec.Descriptor
	for i := range w.layout.entries {
		if !w.filled[i] {
			missing = append(missing, w.layout.entries[i].descriptor())
		}
	}
	slices.SortStableFunc(missing, func(a, b ocispec.Descriptor) int { return cmp.Compare(b.Size, a.Size) })
	return missing
}

// Kept returns how many bytes of blobs were taken over from an earlier run.
func (w *Writer) Kept() int64 { return w.kept }

// Seal makes the archive durable and gives it its name. Every blob must be filled;
// otherwise the error is an *IncompleteError and the work can go on. After any other
// error the Writer is closed, and a new Create finds out what is still good.
func (w *Writer) Seal() error {
	if w.closed {
		return fmt.Errorf("seal %s: %w", w.path, os.ErrClosed)
	}
	if missing := w.Missing(); len(missing) > 0 {
		e := &IncompleteError{Path: w.path, Blobs: len(missing)}
		for _, d := range missing {
			e.Bytes += d.Size
		}
		return e
	}
	if err := w.seal(); err != nil {
		return fmt.Errorf("seal %s: %w", w.path, errors.Join(err, w.Close()))
	}
	return w.Close()
}

func (w *Writer) seal() error {
	if err := w.disk.fsync(w.f); err != nil {
		// The kernel may have dropped pages that it could not write and call the
		// rest clean: what is read back from now on proves nothing about the disk.
		return errors.Join(w.explain(err), w.journal.reset())
	}
	part := w.f.Name()
	switch named, err := stillNamed(w.f, part); {
	case err != nil:
		return err
	case !named:
		return &fs.PathError{Op: "rename", Path: part, Err: errors.New("it was replaced or removed by another program")}
	}
	// Some network file systems report lost writes here and not before.
	if err := w.f.Close(); err != nil {
		return errors.Join(w.explain(err), w.journal.reset())
	}
	if err := os.Rename(w.path+partSuffix, w.path); err != nil {
		return err
	}
	if err := atomicfile.SyncDir(filepath.Dir(w.path)); err != nil {
		return err
	}
	return w.journal.remove()
}

// Close ends the work. Without a Seal before, path.part and its journal stay for a
// later Create; after Seal or Discard it does nothing.
func (w *Writer) Close() error {
	w.closed = true
	var errs []error
	if w.f != nil {
		errs = append(errs, w.f.Close())
	}
	if w.journal != nil {
		errs = append(errs, w.journal.f.Close())
	}
	errs = slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, os.ErrClosed) })
	return errors.Join(errs...)
}

// Discard ends the work and removes path.part and its journal. After Seal or Close
// it does nothing: the lock is gone, the files may be those of another process.
func (w *Writer) Discard() error {
	if w.closed {
		return nil
	}
	var errs []error
	if w.f != nil {
		named, err := stillNamed(w.f, w.f.Name())
		if named {
			err = os.Remove(w.f.Name())
		}
		errs = append(errs, err)
	}
	errs = append(errs, w.journal.remove(), w.Close())
	return errors.Join(errs...)
}

// abandon ends a Create that failed and leaves what an earlier run had made.
func (w *Writer) abandon() {
	switch {
	case w.journal == nil:
	case w.fresh:
		_ = w.Discard()
	case w.journal.made:
		_ = w.journal.remove()
		fallthrough
	default:
		_ = w.Close()
	}
}
