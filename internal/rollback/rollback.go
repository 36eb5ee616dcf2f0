// Package rollback remembers the highest serial of each bundle that a site has taken in, so
// that an older one, though genuine, is not taken for the newest. It judges numbers and
// names only: what a bundle is, and whether it is trusted, is for the caller to know.
package rollback

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"airbundle/internal/digestio"
	"airbundle/manifest"
)

// The memory is a JSON document, docs/format.md, section 11; it lies in a directory that
// only its owner may write in.
const (
	schema   = "airbundle/serials/v1"
	fileName = "serials.json"
	lockName = "serials.lock"

	maxFile    = 8 << 20
	maxBundles = 10_000
)

// A Bundle is what is compared and remembered of one.
type Bundle struct {
	Name    string
	Serial  int64         // 0: it has none
	Root    digest.Digest // of that serial; builds of other arches have others
	Trusted bool          // a key or a root vouches for it
}

// A SerialError says that a bundle is older than one that was taken in before.
type SerialError struct {
	Bundle Bundle
	Seen   Bundle // the one before
	Path   string // of the memory
}

func (e *SerialError) Error() string {
	has := "no serial"
	if e.Bundle.Serial > 0 {
		has = fmt.Sprintf("serial %d", e.Bundle.Serial)
	}
	return fmt.Sprintf("rollback: bundle %s has %s, and serial %d (root %s) was taken in before (remembered in %s): %s",
		e.Bundle.Name, has, e.Seen.Serial, e.Seen.Root, e.Path, e.Advice())
}

// Advice says what to do, for reports.
func (*SerialError) Advice() string {
	return "use that or a newer one, or --allow-rollback if an older one is wanted"
}

// ExitCode is that of trust.
func (*SerialError) ExitCode() int { return 5 }

// A DamagedError says that the memory cannot be read, now or for good, so nothing is known.
type DamagedError struct {
	Path string
	Err  error
}

func (e *DamagedError) Error() string {
	reason := fmt.Sprintf("serials that this site has taken in: %s: %v", e.Path, e.Err)
	if next := e.Advice(); next != "" {
		reason += "; " + next
	}
	return reason
}

// Advice says what to do, for reports; nothing where the system refused the file, which may be
// whole: that has causes of its own.
func (e *DamagedError) Advice() string {
	if errno, ok := errors.AsType[unix.Errno](e.Err); ok && errno != unix.EIO {
		return ""
	}
	return "bring it back from a backup, or remove it and lose what it remembers, or go on once with --allow-rollback"
}

// Unwrap returns the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// ExitCode is that of local matters.
func (*DamagedError) ExitCode() int { return 9 }

// A Memory is what was read. Its zero value remembers nothing.
type Memory struct {
	path string
	doc  document
}

type document struct {
	Schema  string  `json:"schema"`
	Bundles []entry `json:"bundles"` // by name
}

// An entry remembers bundles that are trusted apart from others: whoever makes up a serial
// for a bundle that nobody vouches for must not lock the genuine one out.
type entry struct {
	Name      string `json:"name"`
	Trusted   *seen  `json:"trusted,omitempty"`
	Untrusted *seen  `json:"untrusted,omitempty"`
}

type seen struct {
	Serial int64         `json:"serial"`
	Root   digest.Digest `json:"root"`
}

// Read reads the memory in dir; where there is none yet, it is empty. It writes nothing.
// What cannot be read is a *DamagedError.
func Read(dir string) (*Memory, error) {
	m := &Memory{path: filepath.Join(dir, fileName)}
	raw, err := readFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = m.decode(raw)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	if err != nil {
		return nil, &DamagedError{m.path, err}
	}
	return m, nil
}

// readFile reads a small regular file, and follows no link: the directory may have been
// writable for others once.
func readFile(path string) ([]byte, error) {
	f, err := openOwn(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return digestio.ReadCapped(f, -1, maxFile)
}

func openOwn(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("it is a link")}
	}
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("it is not a regular file")}
	}
	return f, nil
}

// decode reads a memory strictly. White space is free, so that it can be edited.
func (m *Memory) decode(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&m.doc); err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("it is damaged: text follows the JSON value")
	}
	// Names twice, in other case or in another order do not come out as they went in.
	var read bytes.Buffer
	again, err := json.Marshal(m.doc)
	if err = cmp.Or(err, json.Compact(&read, raw)); err != nil || !bytes.Equal(again, read.Bytes()) {
		return errors.New("it is damaged: not in the form in which it was written")
	}
	return m.doc.check()
}

var nameGrammar = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)

func (d document) check() error {
	switch {
	case d.Schema != schema:
		return fmt.Errorf("its schema is %.100q, and only %s is known", d.Schema, schema)
	case len(d.Bundles) > maxBundles:
		return fmt.Errorf("it has more than %d bundles", maxBundles)
	}
	for i, e := range d.Bundles {
		if !nameGrammar.MatchString(e.Name) || i > 0 && d.Bundles[i-1].Name >= e.Name {
			return fmt.Errorf("bundle %.150q: not a name, or not in order", e.Name)
		}
		for _, s := range []*seen{e.Trusted, e.Untrusted} {
			if s != nil && (s.Serial < 1 || manifest.CheckDigest(s.Root) != nil) {
				return fmt.Errorf("bundle %s: serial %d of root %.100q", e.Name, s.Serial, s.Root)
			}
		}
		if e.Trusted == nil && e.Untrusted == nil {
			return fmt.Errorf("bundle %s: without a serial", e.Name)
		}
	}
	return nil
}

func (d document) find(name string) (int, bool) {
	return slices.BinarySearchFunc(d.Bundles, name, func(e entry, name string) int { return cmp.Compare(e.Name, name) })
}

// Check compares a bundle with what is remembered of its name: a trusted one with trusted
// ones alone, another one with all. An older one, and one without a serial where one is
// remembered, is a *SerialError.
func (m *Memory) Check(b Bundle) error {
	i, ok := m.doc.find(b.Name)
	if !ok {
		return nil
	}
	e := m.doc.Bundles[i]
	before := Bundle{Name: b.Name}
	take := func(s *seen, trusted bool) {
		if s != nil && s.Serial > before.Serial {
			before.Serial, before.Root, before.Trusted = s.Serial, s.Root, trusted
		}
	}
	take(e.Trusted, true)
	if !b.Trusted {
		take(e.Untrusted, false)
	}
	if b.Serial >= before.Serial {
		return nil
	}
	return &SerialError{b, before, m.path}
}

// Seen returns the bundles that are remembered, each with its highest serial.
func (m *Memory) Seen() []Bundle {
	var all []Bundle
	for _, e := range m.doc.Bundles {
		if e.Trusted != nil {
			all = append(all, Bundle{e.Name, e.Trusted.Serial, e.Trusted.Root, true})
		}
		if e.Untrusted != nil {
			all = append(all, Bundle{e.Name, e.Untrusted.Serial, e.Untrusted.Root, false})
		}
	}
	return all
}

// remember takes a bundle in, and says whether that changed anything.
func (m *Memory) remember(b Bundle) bool {
	i, ok := m.doc.find(b.Name)
	if !ok {
		m.doc.Bundles = slices.Insert(m.doc.Bundles, i, entry{Name: b.Name})
	}
	place := &m.doc.Bundles[i].Untrusted
	if b.Trusted {
		place = &m.doc.Bundles[i].Trusted
	}
	now := seen{b.Serial, b.Root}
	if *place != nil && ((*place).Serial > b.Serial || **place == now) {
		return false
	}
	*place = &now
	return true
}
