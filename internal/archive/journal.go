package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// A LockedError says that another process writes the same archive.
type LockedError struct {
	Path string // of the archive
	PID  int    // 0 when it could not be told
	Host string
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s: another process is writing it: %s", e.Path, e.Advice())
	}
	return fmt.Sprintf("%s: process %d on %s is writing it: %s", e.Path, e.PID, e.Host, e.Advice())
}

// Advice says what to do, for reports.
func (e *LockedError) Advice() string {
	if e.PID == 0 {
		return "wait until it has ended"
	}
	return "wait until it has ended, or end it"
}

// A journal stands beside an unfinished archive. Its first line names the version,
// the root and the layout, then come lines with the process that writes and with
// each blob that it finished. What it names is a hint where to look, never proof.
// The lock on the archive is a lock on this file: it dies with its process.
type journal struct {
	path  string
	f     *os.File
	made  bool // nothing was noted in it before
	owned bool // that this process writes is noted
}

const (
	partSuffix    = ".part"
	journalSuffix = ".part.journal"

	// maxJournal is more than a journal of maxEntries lines can have.
	maxJournal = 256 << 20

	journalVersion = "airbundle-journal/1"
	journalOwner   = "owner"
	journalFilled  = "filled"
)

// errMoved says that the file was renamed or removed before it was locked.
var errMoved = errors.New("file is gone")

// openJournal opens or makes the journal and locks it.
func openJournal(path string) (*journal, error) {
	for range 100 {
		j, err := lockJournal(path)
		if !errors.Is(err, errMoved) {
			return j, err
		}
	}
	return nil, &fs.PathError{Op: "lock", Path: path, Err: errors.New("it is removed again and again by others")}
}

func lockJournal(path string) (_ *journal, err error) {
	f, err := openOwn(path, os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{path: path, f: f}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for errors.Is(err, syscall.EINTR) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		pid, host := j.holder()
		return nil, &LockedError{Path: strings.TrimSuffix(path, journalSuffix), PID: pid, Host: host}
	case err != nil:
		return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
	}
	switch named, err := stillNamed(f, path); {
	case err != nil:
		return nil, err
	case !named:
		// The process before us finished between our open and our lock: we hold
		// the lock on a file that nobody will look at.
		return nil, errMoved
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	j.made = st.Size() == 0
	return j, nil
}

// openOwn opens or makes a regular file of ours for reading and writing. It follows
// no link, for the directory may belong to others too.
func openOwn(path string, flags int, perm os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK|flags, perm)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// stillNamed says whether path still means the open file f.
func stillNamed(f *os.File, path string) (bool, error) {
	named, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(open, named), err
}

// lines calls line with the words of each whole line; a torn last line is left out.
func (j *journal) lines(line func(words []string)) error {
	r := bufio.NewReader(io.NewSectionReader(j.f, 0, maxJournal))
	for {
		s, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", j.path, err)
		}
		line(strings.Fields(s))
	}
}

// owner returns the process that wrote last.
func (j *journal) owner() (pid int, host string) {
	_ = j.lines(func(words []string) {
		if len(words) == 3 && words[0] == journalOwner {
			pid, _ = strconv.Atoi(words[1])
			host = words[2]
		}
	})
	return pid, host
}

// holder is owner for a journal that another process has just locked: it has a moment to
// note that it did.
func (j *journal) holder() (pid int, host string) {
	for range 10 {
		time.Sleep(20 * time.Millisecond)
		if pid, host = j.owner(); pid != 0 {
			break
		}
	}
	return pid, host
}

// filled returns the blobs of l that the journal names as finished, each once; false
// when the journal is not one of this layout.
func (j *journal) filled(l *Layout) (entries []int, same bool, err error) {
	seen := map[int]bool{}
	first := true
	err = j.lines(func(words []string) {
		switch {
		case first:
			first, same = false, strings.Join(words, " ") == journalHead(l)
		case !same || len(words) != 2 || words[0] != journalFilled:
		default:
			if i, ok := l.blob(digest.Digest(words[1])); ok && !seen[i] {
				seen[i] = true
				entries = append(entries, i)
			}
		}
	})
	return entries, same, err
}

func journalHead(l *Layout) string {
	return journalVersion + " " + l.entries[2].digest.String() + " " + l.id().String()
}

// begin starts the journal anew, for l.
func (j *journal) begin(l *Layout) error {
	if err := j.reset(); err != nil {
		return err
	}
	return j.write(journalHead(l) + "\n")
}

// own notes that this process writes now. The line break before it ends a line
// that a crash has torn.
func (j *journal) own() error {
	if j.owned {
		return nil
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	err = j.write(fmt.Sprintf("\n%s %d %s\n", journalOwner, os.Getpid(), host))
	j.owned = err == nil
	return err
}

// add notes that a blob is finished.
func (j *journal) add(d digest.Digest) error {
	return j.write(journalFilled + " " + d.String() + "\n")
}

func (j *journal) write(s string) error {
	_, err := j.f.WriteString(s)
	return err
}

// reset forgets everything, so that no slot will be trusted.
func (j *journal) reset() error {
	j.owned = false
	return j.f.Truncate(0)
}

// remove takes the file away while the lock is still held.
func (j *journal) remove() error {
	err := os.Remove(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
