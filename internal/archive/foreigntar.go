package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a foreign tar can make us hold in memory.
const (
	maxNameLength = 1 << 10  // of one entry
	maxNameBytes  = 64 << 20 // of all names together
	maxExtension  = 1 << 20  // of one extended header
	maxExtensions = 4        // extended headers before one entry
)

// A section is a piece of a file.
type section struct {
	name         string
	offset, size int64
}

// tarFiles are the regular files of a tar.
type tarFiles struct {
	names    []string
	warnings []*FormatError
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
}

// An extension is what extended headers say about the entry that follows them.
type extension struct {
	count   int
	name    string
	size    int64
	hasSize bool
}

// readTar locates the regular files of a tar.
func readTar(path string, r io.ReaderAt, size int64) (*tarFiles, error) {
	t := &tarReader{path: path, r: r, size: size, files: tarFiles{byName: map[string]section{}}}
	var ext extension
	for {
		b, err := t.block()
		if err != nil {
			return nil, err
		}
		if b.zero() {
			if ext.count > 0 {
				return nil, t.errorf("", "an extended header without an entry")
			}
			return &t.files, t.checkEnd()
		}
		if !b.checksumOK() {
			return nil, t.errorf("", "not a tar header, or one that is damaged")
		}
		if err := t.entry(b, &ext); err != nil {
			return nil, err
		}
	}
}

func (t *tarReader) errorf(entry, format string, args ...any) error {
	return &FormatError{Path: t.path, Offset: t.at, Entry: entry, Msg: fmt.Sprintf(format, args...)}
}

func (t *tarReader) block() (*block, error) {
	t.at = t.p
	var b block
	if t.size-t.p < blockSize {
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
	switch flag := b.typeflag(); flag {
	case 'L', 'x', 'g':
		return t.extend(flag, size, ext)
	case '0', 0, '7', '5':
		if size, err = t.override(name, size, ext); err != nil {
			return err
		}
		if ext.name != "" {
			name = ext.name
		}
		*ext = extension{}
		isDir := flag == '5' || flag == 0 && strings.HasSuffix(name, "/")
		return t.file(name, size, isDir)
	case '1', '2', 'K':
		return t.errorf(name, "is a link")
	case '3', '4', '6':
		return t.errorf(name, "is a device or FIFO")
	case 'S':
		return t.errorf(name, "is sparse")
	default:
		return t.errorf(name, "has the unknown type %q", flag)
	}
}

// headerName returns the name that the header itself has. Only POSIX headers have a
// prefix; in GNU's, other things stand there.
func headerName(b *block) string {
	name := cString(b.name())
	if prefix := cString(b.prefix()); prefix != "" && string(b.magic()) == "ustar\x00" {
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

// file notes a regular file or directory whose content begins here.
func (t *tarReader) file(raw string, size int64, isDir bool) error {
	name, err := cleanName(raw)
	if err != nil {
		return t.errorf(raw, "%v", err)
	}
	if isDir {
		if size != 0 {
			return t.errorf(raw, "is a directory with content")
		}
		return nil
	}
	if strings.HasSuffix(raw, "/") || name == "." {
		return t.errorf(raw, "is a file with the name of a directory")
	}
	t.nameBytes += len(name)
	if len(t.files.names) >= maxEntries || t.nameBytes > maxNameBytes {
		return t.errorf(raw, "more entries than are allowed")
	}
	key := strings.ToLower(name)
	if other, ok := t.files.byName[key]; ok {
		return t.errorf(raw, "stands twice, first as %q at byte %d", other.name, other.offset)
	}
	t.files.byName[key] = section{name, t.p, size}
	t.files.names = append(t.files.names, name)
	return t.skip(name, size)
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
	if !allZero(buf[:pad]) && len(t.files.warnings) < maxProblems {
		t.files.warnings = append(t.files.warnings, &FormatError{Path: t.path, Offset: t.p, Entry: name, Msg: "its padding is not zero"})
	}
	t.p += pad
	return nil
}

// extend reads an extended header.
func (t *tarReader) extend(flag byte, size int64, ext *extension) error {
	if ext.count++; ext.count > maxExtensions {
		return t.errorf("", "more than %d extended headers before one entry", maxExtensions)
	}
	if size > maxExtension {
		return t.errorf("", "an extended header of %d bytes, more than the %d allowed", size, maxExtension)
	}
	if size > t.size-t.p {
		return t.errorf("", "the file ends in an extended header")
	}
	data := make([]byte, size)
	if err := t.read(data, t.p); err != nil {
		return err
	}
	if err := t.skip("", size); err != nil {
		return err
	}
	if flag == 'L' {
		return t.setName(cString(data), ext)
	}
	err := t.paxRecords(data, func(key, value string) error {
		switch {
		case strings.HasPrefix(key, "GNU.sparse."):
			return t.errorf("", "a sparse entry")
		case flag == 'g' && (key == "path" || key == "size"):
			return t.errorf("", "a pax header sets the %s of all entries", key)
		case key == "path":
			return t.setName(value, ext)
		case key == "size":
			return t.setSize(value, ext)
		}
		return nil
	})
	if flag == 'g' {
		ext.count-- // belongs to no entry
	}
	return err
}

func (t *tarReader) setName(name string, ext *extension) error {
	if name == "" || ext.name != "" {
		return t.errorf(name, "an extended name that is empty or stands twice")
	}
	if len(name) > maxNameLength {
		return t.errorf("", "a name of %d bytes, more than the %d allowed", len(name), maxNameLength)
	}
	ext.name = name
	return nil
}

func (t *tarReader) setSize(value string, ext *extension) error {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil || ext.hasSize {
		return t.errorf("", "pax size %q", value)
	}
	ext.size, ext.hasSize = int64(n), true
	return nil
}

// paxRecords calls record for each "length key=value\n" (POSIX.1-2017, pax).
func (t *tarReader) paxRecords(data []byte, record func(key, value string) error) error {
	malformed := t.errorf("", "a malformed pax header")
	for len(data) > 0 {
		digits, _, ok := bytes.Cut(data[:min(len(data), 20)], []byte{' '})
		n, err := strconv.ParseUint(string(digits), 10, 31)
		if !ok || err != nil || n > uint64(len(data)) || int(n) < len(digits)+2 || data[n-1] != '\n' {
			return malformed
		}
		key, value, ok := strings.Cut(string(data[len(digits)+1:n-1]), "=")
		if !ok || key == "" {
			return malformed
		}
		if err := record(key, value); err != nil {
			return err
		}
		data = data[n:]
	}
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
	case strings.HasPrefix(name, "/"):
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
