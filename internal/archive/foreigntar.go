package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a foreign tar can make us hold in memory, or read.
const (
	maxForeignEntries = 1 << 18  // files
	maxDirectories    = 1 << 10  // a layout has three
	maxNameLength     = 1 << 10  // of one entry
	maxNameBytes      = 32 << 20 // of all names together
	maxExtension      = 1 << 20  // of one extended header
	maxExtensions     = 4        // extended headers before one entry
	maxBlocking       = 16 << 20 // zeros behind the end, which fill the last record of a tape
)

// A section is a piece of a file.
type section struct {
	name         string
	offset, size int64
}

// tarFiles are the regular files and directories of a tar.
type tarFiles struct {
	names    []string // of files, in the order of the tar
	dirs     []string // each once
	problems []*FormatError
	byName   map[string]section // by name in lower case: two that differ in case alone collide on some file systems
}

func (t *tarFiles) find(name string) (section, bool) {
	s, ok := t.byName[strings.ToLower(name)]
	return s, ok && s.name == name
}

// A tarReader reads the headers of a tar of any maker: ustar, GNU long names and
// base-256 sizes, pax path and size. It is strict where a reader that is not could
// be made to see another archive than we do.
type tarReader struct {
	path string
	r    io.ReaderAt
	size int64 // of r
	p    int64 // of the next header
	at   int64 // of the header being read

	nameBytes int
	files     tarFiles
	isDir     map[string]bool // by name in lower case
}

// An extension is what extended headers say about the entry that follows them.
type extension struct {
	count   int
	name    string
	size    int64
	hasSize bool
	wrong   string // a field, and what is wrong with it
}

// readTar locates the regular files of a tar. What is wrong with one entry is noted, and
// the next one is read; the error is for a tar of which the rest cannot be read.
func readTar(path string, r io.ReaderAt, size int64) (*tarFiles, error) {
	t := &tarReader{path: path, r: r, size: size, files: tarFiles{byName: map[string]section{}}, isDir: map[string]bool{}}
	err := t.entries()
	return &t.files, err
}

func (t *tarReader) entries() error {
	var ext extension
	for {
		b, err := t.block()
		if err != nil {
			return err
		}
		if b.zero() && t.at == 0 {
			return notTar(t.path, b[:])
		}
		if b.zero() {
			if ext.count > 0 {
				t.problemf("", "an extended header without an entry")
			}
			return t.checkEnd()
		}
		if !b.checksumOK() {
			if t.at == 0 {
				return notTar(t.path, b[:])
			}
			return t.errorf("", "not a tar header, or one that is damaged")
		}
		if err := t.entry(b, &ext); err != nil {
			return err
		}
	}
}

// problemf notes what is wrong with an entry.
func (t *tarReader) problemf(entry, format string, args ...any) {
	switch n := len(t.files.problems); {
	case n < maxProblems-1:
		t.files.problems = append(t.files.problems, t.errorf(entry, format, args...))
	case n == maxProblems-1:
		t.files.problems = append(t.files.problems, t.errorf("", "more is wrong with the entries behind; no more is listed"))
	}
}

func (t *tarReader) errorf(entry, format string, args ...any) *FormatError {
	return &FormatError{Path: t.path, Offset: t.at, Entry: entry, Msg: fmt.Sprintf(format, args...)}
}

func (t *tarReader) block() (*block, error) {
	t.at = t.p
	var b block
	switch {
	case t.size == 0:
		return nil, t.errorf("", "the file is empty; %s", wantLayout)
	case t.size-t.p < blockSize:
		return nil, t.errorf("", "the file ends after %d bytes without the end of a tar", t.size)
	}
	if err := t.read(b[:], t.p); err != nil {
		return nil, err
	}
	t.p += blockSize
	return &b, nil
}

func (t *tarReader) read(p []byte, at int64) error {
	if _, err := t.r.ReadAt(p, at); err != nil {
		return fmt.Errorf("read %s at byte %d: %w", t.path, at, err)
	}
	return nil
}

// entry handles one header and moves behind its content.
func (t *tarReader) entry(b *block, ext *extension) error {
	name := headerName(b)
	size, err := parseNumber(b.size())
	if err != nil {
		return t.errorf(name, "size: %v", err)
	}
	t.numbers(b, name)
	flag := b.typeflag()
	if flag == 'L' || flag == 'x' || flag == 'g' {
		return t.extend(flag, size, ext)
	}
	if size, err = t.override(name, size, ext); err != nil {
		return err
	}
	switch posix := b.posix(); {
	case hasTail(b.name()), posix && hasTail(b.prefix()):
		t.problemf(name, "unsafe name: text behind its end")
	case !posix && !allZero(b.prefix()):
		t.problemf(name, "prefix: not empty, in a header that is not of POSIX form: some readers take it for a part of the name")
	}
	if ext.name != "" {
		// Two readers see two names where an extended one stands without need.
		if len(ext.name) < len(b.name()) && isASCII(ext.name) && ext.name != name {
			t.problemf(ext.name, "its own header calls it %q", name)
		}
		name = ext.name
	}
	if ext.wrong != "" {
		t.problemf(name, "%s", ext.wrong)
	}
	*ext = extension{}
	switch flag {
	case '0', 0, '7':
		if flag == 0 && strings.HasSuffix(name, "/") {
			return t.directory(name, size)
		}
		return t.file(name, size)
	case '5':
		return t.directory(name, size)
	}
	t.problemf(name, "%s", unwanted(flag))
	return t.skip(name, size)
}

// numbers checks the number fields that nothing here depends on: where they are none,
// readers differ on whether there is an entry, or an archive, at all.
func (t *tarReader) numbers(b *block, name string) {
	for _, f := range []struct {
		name       string
		start, end int
	}{{"mode", 100, 108}, {"uid", 108, 116}, {"gid", 116, 124}, {"mtime", 136, 148}, {"devmajor", 329, 337}, {"devminor", 337, 345}} {
		if err := checkNumber(b[f.start:f.end]); err != nil {
			t.problemf(name, "%s: %v", f.name, err)
		}
	}
}

// unwanted says what kind of entry a flag means that no layout has.
func unwanted(flag byte) string {
	switch flag {
	case '1', '2', 'K':
		return "is a link"
	case '3', '4', '6':
		return "is a device or FIFO"
	case 'S':
		return "is sparse"
	}
	return fmt.Sprintf("has the unknown type %q", flag)
}

// hasTail says whether anything stands behind the first NUL of a field.
func hasTail(f []byte) bool {
	_, tail, _ := bytes.Cut(f, []byte{0})
	return !allZero(tail)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// headerName returns the name that the header itself has. Only POSIX headers have a
// prefix; in GNU's, other things stand there.
func headerName(b *block) string {
	name := cString(b.name())
	if prefix := cString(b.prefix()); prefix != "" && b.posix() {
		return prefix + "/" + name
	}
	return name
}

// override returns the size that counts. A pax size may replace only one that the
// header cannot hold; else two readers could see two archives.
func (t *tarReader) override(name string, size int64, ext *extension) (int64, error) {
	switch {
	case !ext.hasSize || ext.size == size:
		return size, nil
	case ext.size >= maxOctal && (size == 0 || size == maxOctal-1):
		return ext.size, nil
	}
	return 0, t.errorf(name, "its header says %d bytes, its pax header %d", size, ext.size)
}

// file notes a regular file whose content begins here.
func (t *tarReader) file(raw string, size int64) error {
	name, err := cleanName(raw)
	switch {
	case err != nil:
		t.problemf(raw, "%v", err)
		return t.skip(raw, size)
	case strings.HasSuffix(raw, "/") || name == ".":
		t.problemf(raw, "is a file with the name of a directory")
		return t.skip(raw, size)
	}
	if err := t.room(name); err != nil {
		return err
	}
	key := strings.ToLower(name)
	other, twice := t.files.byName[key]
	switch {
	case twice:
		t.problemf(raw, "stands twice, first as %q at byte %d", other.name, other.offset)
		return t.skip(name, size)
	case t.isDir[key]:
		t.problemf(raw, "stands twice, first as a directory")
	}
	t.files.byName[key] = section{name, t.p, size}
	t.files.names = append(t.files.names, name)
	return t.skip(name, size)
}

// directory notes a directory, which holds nothing.
func (t *tarReader) directory(raw string, size int64) error {
	name, err := cleanName(raw)
	if err != nil {
		t.problemf(raw, "%v", err)
		return t.skip(raw, size)
	}
	if size != 0 {
		return t.errorf(raw, "is a directory with content") // some readers skip it, others read on
	}
	key := strings.ToLower(name)
	if t.isDir[key] {
		t.problemf(raw, "stands twice")
		return nil
	}
	if err := t.room(name); err != nil {
		return err
	}
	if _, twice := t.files.byName[key]; twice {
		t.problemf(raw, "stands twice, first as a file")
	}
	t.isDir[key] = true
	t.files.dirs = append(t.files.dirs, name)
	return nil
}

// room says whether one more name may be held.
func (t *tarReader) room(name string) error {
	t.nameBytes += len(name)
	if len(t.files.names) >= maxForeignEntries || len(t.files.dirs) >= maxDirectories || t.nameBytes > maxNameBytes {
		return t.errorf(name, "more entries than the %d files and %d directories allowed, or longer names", maxForeignEntries, maxDirectories)
	}
	return nil
}

// skip moves behind a content and its padding.
func (t *tarReader) skip(name string, size int64) error {
	if size > t.size-t.p {
		return t.errorf(name, "the file ends after %d of its %d bytes", t.size-t.p, size)
	}
	t.p += size
	pad := padding(size)
	if pad > t.size-t.p {
		return t.errorf(name, "the file ends after %d bytes, in the padding of this entry", t.size)
	}
	var buf [blockSize]byte
	if err := t.read(buf[:pad], t.p); err != nil {
		return err
	}
	if !allZero(buf[:pad]) {
		t.problemf(name, "its padding, at byte %d, is not zero", t.p)
	}
	t.p += pad
	return nil
}

// checkEnd checks that a second zero block follows the first, and nothing but zeros
// after it: tars are filled up to a multiple of their blocking.
func (t *tarReader) checkEnd() error {
	b, err := t.block()
	if err != nil {
		return err
	}
	if !b.zero() {
		return t.errorf("", "a single zero block, and more after it")
	}
	if more := t.size - t.p; more > maxBlocking {
		return t.errorf("", "%d bytes follow the end of the tar", more)
	}
	buf := make([]byte, bufferSize)
	for t.p < t.size {
		t.at = t.p
		p := buf[:min(bufferSize, t.size-t.p)]
		if err := t.read(p, t.p); err != nil {
			return err
		}
		if !allZero(p) {
			return t.errorf("", "data follows the end of the tar")
		}
		t.p += int64(len(p))
	}
	return nil
}

// cleanName returns a name without leading "./", or says why it is unsafe.
func cleanName(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("unsafe name: empty")
	case len(name) > maxNameLength:
		return "", fmt.Errorf("unsafe name: %d bytes long", len(name))
	case strings.HasPrefix(name, "/"), len(name) > 1 && name[1] == ':' && unicode.IsLetter(rune(name[0])):
		return "", errors.New("unsafe name: absolute")
	case strings.Contains(name, `\`):
		return "", errors.New("unsafe name: a backslash")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "", errors.New("unsafe name: control characters, or not UTF-8")
	}
	for s := range strings.SplitSeq(name, "/") {
		if s == ".." {
			return "", errors.New("unsafe name: leads out of the archive")
		}
	}
	return path.Clean(name), nil
}
