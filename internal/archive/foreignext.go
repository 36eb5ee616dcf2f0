package archive

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

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
		if name := bytes.TrimSuffix(data, []byte{0}); bytes.IndexByte(name, 0) >= 0 {
			t.problemf(cString(data), "unsafe name: text behind its end")
		}
		return t.setName(cString(data), ext)
	}
	err := t.paxRecords(data, func(key, value string) error {
		return t.record(flag, key, value, ext)
	})
	if flag == 'g' {
		ext.count-- // belongs to no entry
	}
	return err
}

// paxNumbers are the records with numbers that nothing here depends on (POSIX.1-2017, pax,
// "pax Extended Header File Times").
var paxNumbers = func() map[string]*regexp.Regexp {
	whole, time := regexp.MustCompile(`^-?[0-9]{1,20}$`), regexp.MustCompile(`^-?[0-9]{1,20}(\.[0-9]{0,40})?$`)
	return map[string]*regexp.Regexp{"uid": whole, "gid": whole, "mtime": time, "atime": time, "ctime": time}
}()

// record handles one record of a pax header. Those that would change what an entry is are
// refused where layouts have no use for them.
func (t *tarReader) record(flag byte, key, value string, ext *extension) error {
	switch {
	case strings.HasPrefix(key, "GNU.sparse."), key == "SCHILY.realsize", key == "SCHILY.filetype":
		return t.errorf("", "a sparse entry (%s)", key)
	case key == "linkpath":
		t.problemf("", "a pax header makes the entry behind it a link")
	case key == "hdrcharset":
		t.problemf("", "a pax header changes the character set of names")
	case flag == 'g' && (key == "path" || key == "size"):
		return t.errorf("", "a pax header sets the %s of all entries", key)
	case key == "path":
		return t.setName(value, ext)
	case key == "size":
		return t.setSize(value, ext)
	case paxNumbers[key] != nil && !paxNumbers[key].MatchString(value):
		ext.wrong = fmt.Sprintf("%s: its pax header says %.40q, which is no number", key, value)
	}
	return nil
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
