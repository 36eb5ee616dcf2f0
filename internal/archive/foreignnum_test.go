package archive

import (
	"strings"
	"testing"
)

// withField is a layout with a file in whose header a field has other bytes.
func withField(start, end int, value string, before ...member) []byte {
	file := hostile(append(before, member{name: "blobs/x", data: "content"})...)
	at := len(file) - tailSize - 2*blockSize
	h := block(file[at : at+blockSize])
	copy(h[start:end], make([]byte, end-start))
	copy(h[start:end], value)
	fixChecksum(&h)
	copy(file[at:], h[:])
	return file
}

// What tar programs write into the fields of a number that no layout depends on: POSIX.1,
// GNU's base-256, and old forms with spaces or without anything.
func TestOpenLayoutNumbers(t *testing.T) {
	good := map[string]string{
		"digits": "0000644\x00", "no NUL": "00000644", "spaces": "   644 \x00", "space before NUL": "000644 \x00", "empty": "", "blank": "       \x00",
		"base-256": "\x80\x00\x00\x00\x7f\xff\xff\xff", "negative": "\xff\xff\xff\xff\xff\xff\xff\xfe",
	}
	bad := map[string]string{"letters": "zzzzzzz\x00", "nines": "9999999\x00", "sign": "-000001\x00", "hex": "0x00644\x00", "text behind the end": "0644\x00zz\x00"}
	for field, at := range map[string][2]int{"mode": {100, 108}, "uid": {108, 116}, "gid": {116, 124}, "mtime": {136, 148}, "devmajor": {329, 337}, "devminor": {337, 345}} {
		for name, value := range good {
			if told := toldOf(t, withField(at[0], at[1], value)); told != "" {
				t.Errorf("%s, %s: %s", field, name, told)
			}
		}
		for name, value := range bad {
			if told := toldOf(t, withField(at[0], at[1], value)); !strings.Contains(told, `entry "blobs/x": `+field+": number field") {
				t.Errorf("%s, %s: told %q", field, name, told)
			}
		}
	}
	for value, want := range map[string]string{"\x80\x00\x00\x00\x7f" + strings.Repeat("\xff", 7): "", "\xff\xff\xff\xfe" + strings.Repeat("\x00", 8): "overflows", "\x80\x00\x00\x00" + strings.Repeat("\xff", 8): "overflows"} {
		if told := toldOf(t, withField(136, 148, value)); want == "" && told != "" || !strings.Contains(told, want) {
			t.Errorf("mtime %q: told %q, want %q", value, told, want)
		}
	}
}

// Only POSIX headers have a prefix, and Python's tarfile reads one in all of them.
func TestOpenLayoutPrefix(t *testing.T) {
	for magic, want := range map[string]string{"ustar\x0000": "", "ustar  \x00": "of POSIX form", "": "of POSIX form", "ustar\x0001": "of POSIX form", "ustar": "of POSIX form", "USTAR\x0000": "of POSIX form"} {
		file := withField(257, 265, magic)
		if told := toldOf(t, file); told != "" {
			t.Errorf("magic %q without a prefix: %s", magic, told)
		}
		at := len(file) - tailSize - 2*blockSize
		h := block(file[at : at+blockSize])
		copy(h.prefix(), "directory")
		fixChecksum(&h)
		copy(file[at:], h[:])
		if told := toldOf(t, file); want == "" && told != "" || !strings.Contains(told, want) {
			t.Errorf("magic %q: told %q, want %q", magic, told, want)
		}
	}
}

func TestOpenLayoutPaxNumbers(t *testing.T) {
	for record, good := range map[string]bool{
		"mtime=1700000000": true, "mtime=1700000000.123456789": true, "mtime=-1.5": true, "atime=0": true, "ctime=1.": true, "uid=1000": true, "gid=4294967295": true, "uid=-1": true, "uname=zz": true,
		"mtime=zz": false, "mtime=": false, "mtime=1e9": false, "atime=0x10": false, "ctime= 1": false, "mtime=.5": false, "uid=root": false, "gid=1.0": false, "mtime=1\n": false,
	} {
		key, _, _ := strings.Cut(record, "=")
		told := toldOf(t, withField(108, 116, "0000000\x00", pax(record)))
		if good && told != "" || !good && !strings.Contains(told, `entry "blobs/x": `+key+": its pax header says") {
			t.Errorf("%q: told %q", record, told)
		}
	}
}

// toldOf is all that is told of a layout.
func toldOf(t *testing.T, file []byte) string {
	t.Helper()
	l, problems, err := OpenLayout(writeFile(t, t.TempDir(), "a.tar", file))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var all []string
	for _, p := range problems {
		all = append(all, p.Error())
	}
	return strings.Join(all, "; ")
}
