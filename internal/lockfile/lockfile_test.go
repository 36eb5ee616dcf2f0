package lockfile

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// decodeAny decodes a file as what its name says it is and gives back how to
// encode it.
func decodeAny(path string, data []byte) (value any, encode func() ([]byte, error), err error) {
	if strings.Contains(filepath.Base(path), "request") {
		r, err := DecodeRequest(path, data)
		return r, r.Encode, err
	}
	if strings.Contains(filepath.Base(path), "target") {
		t, err := DecodeTarget(path, data)
		return t, nil, err
	}
	l, err := DecodeLock(path, data)
	return l, l.Encode, err
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files %s (%v)", pattern, err)
	}
	return paths
}

func TestGood(t *testing.T) {
	for _, path := range glob(t, "testdata/good/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			value, encode, err := decodeAny(path, read(t, path))
			if err != nil {
				t.Fatal(err)
			}
			got, err := encode()
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "golden", filepath.Base(path))
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(read(t, golden)), string(got)); diff != "" {
				t.Errorf("encoding (-golden +got):\n%s", diff)
			}
			again, _, err := decodeAny(path, got)
			if err != nil {
				t.Fatalf("decode what was encoded: %v", err)
			}
			if diff := cmp.Diff(value, again); diff != "" {
				t.Errorf("decoded again (-first +second):\n%s", diff)
			}
		})
	}
}

// TestBad wants exactly the problems that the comments "#! text" of each file
// announce, on their lines.
func TestBad(t *testing.T) {
	for _, path := range glob(t, "testdata/bad/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data := read(t, path)
			_, _, err := decodeAny(path, data)
			errs, ok := errors.AsType[*Errors](err)
			if !ok {
				t.Fatalf("got error %v, want *Errors", err)
			}
			got := map[int][]string{}
			last := 0
			for _, e := range errs.List {
				if e.File != path {
					t.Errorf("error names file %q", e.File)
				}
				if e.Line < last {
					t.Errorf("line %d is after line %d", e.Line, last)
				}
				last = e.Line
				got[e.Line] = append(got[e.Line], e.Msg)
			}
			number := 0
			for line := range strings.Lines(string(data)) {
				number++
				parts := strings.Split(strings.TrimSuffix(line, "\n"), " #! ")
				compareLine(t, number, parts[1:], got[number])
				delete(got, number)
			}
			if len(got) > 0 {
				t.Errorf("errors on lines that do not exist: %v", got)
			}
		})
	}
}

func compareLine(t *testing.T, line int, want, got []string) {
	t.Helper()
	for _, w := range want {
		found := false
		for i, g := range got {
			if found = strings.Contains(g, w); found {
				got = append(append([]string{}, got[:i]...), got[i+1:]...)
				break
			}
		}
		if !found {
			t.Errorf("line %d: no error with %q", line, w)
		}
	}
	for _, g := range got {
		t.Errorf("line %d: unexpected error %q", line, g)
	}
}

func TestErrorsAreReadable(t *testing.T) {
	_, err := DecodeLock("dir/a.lock.yaml", []byte("apiVersion: airbundle/v1\nkind: Lock\nname: a\narches: [x86_64]\nfoo: 1\nbar: 2\n"))
	const known = ", known here: name, serial, expires, base, arches, images, rpms, keys, files, charts, metadata, derived, absent, accept"
	want := "dir/a.lock.yaml:5: unknown field \"foo\"" + known + "\ndir/a.lock.yaml:6: unknown field \"bar\"" + known
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	one, ok := errors.AsType[*Error](err)
	if !ok || one.File != "dir/a.lock.yaml" || one.Line != 5 {
		t.Errorf("errors.AsType gives %+v, want the first problem", one)
	}
}

func TestErrorsAreCapped(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: airbundle/v1\nkind: Lock\nname: a\narches: [x86_64]\n")
	for i := range 1500 {
		fmt.Fprintf(&b, "f%d: 1\n", i)
	}
	_, err := DecodeLock("a", []byte(b.String()))
	errs, ok := errors.AsType[*Errors](err)
	if !ok || len(errs.List) != 1000 || errs.More != 500 {
		t.Fatalf("got %d errors and %d more, want 1000 and 500", len(errs.List), errs.More)
	}
	if !strings.HasSuffix(err.Error(), "\nand 500 more problems") {
		t.Error("the text does not say that there is more")
	}
}

func TestNotText(t *testing.T) {
	const head = "apiVersion: airbundle/v1\nkind: Lock\n"
	tests := []struct{ name, data, want string }{
		{"empty", "", "f:1: the file is empty"},
		{"only a comment", "# nothing\n", "f:1: the file is empty"},
		{"only a marker", "---\n", "f:2: the file is empty, want fields beginning with apiVersion: airbundle/v1"},
		{"not utf-8", head + "name: caf\xe9\nx: \xff\xff\n", "f:3: byte 0xe9: not UTF-8\nf:4: byte 0xff: not UTF-8"},
		{"utf-16", "\xff\xfea\x00", "f:1: byte 0xff: not UTF-8"},
		{"control", head + "name: a\x1b[31m\n", "f:3: control or invisible character U+001B"},
		{"line separator", head + "name: a\u2028b\n", "f:3: control or invisible character U+2028"},
		{"unknown alias", head + "name: *x\narches: [x86_64]\n", "f:4: not valid YAML: unknown anchor 'x' referenced"},
		{"too large", strings.Repeat("#", MaxSize+1), "f: the file has more than the 33554432 bytes that are read"},
		{"too deep", head + "name: " + strings.Repeat("[", 20000), "f:3: not valid YAML: exceeded max depth of 10000"},
		{"broken second document", head + "name: a\n---\n]\n", "f:5: not valid YAML: did not find expected node content (here or shortly above, in what begins at line 5)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DecodeLock("f", []byte(tt.data))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestLineBreaksAndByteOrderMark(t *testing.T) {
	want, err := DecodeLock("f", read(t, "testdata/good/everything.lock.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dos := "\uFEFF" + strings.ReplaceAll(string(read(t, "testdata/good/everything.lock.yaml")), "\n", "\r\n")
	got, err := DecodeLock("f", []byte(dos))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("file with DOS line breaks (-want +got):\n%s", diff)
	}
}

// No error may show a password, wherever it was written.
func TestErrorsHideSecrets(t *testing.T) {
	const secret = "hunter2"
	for _, field := range []string{
		"name: https://user:hunter2@example.com",
		"arches: https://user:hunter2@example.com",
		"images: [{source: 'https://user:hunter2@example.com/a'}]",
		"images: [{source: 'user:hunter2@example.com/a:1', platforms: {linux/amd64: x}}]",
		"images: [{source: a, publish: ['user:hunter2@example.com/a:1']}]",
		"files: [{path: a, urls: ['https://user:hunter2@example.com/a']}]",
		"files: [{path: a, urls: ['https://user:hunter2%zz@example.com/a']}]",
		"files: [{path: a, urls: ['https://user:#hunter2@example.com/a']}]",
		"files: [{path: a, urls: ['https://user:hunter2@example.com/a', 'https://user:hunter2@example.com/a']}]",
		"files: [{path: a, urls: 'https://user:hunter2@example.com/a'}]",
		"files: ['https://user:hunter2@example.com/a']",
	} {
		_, err := DecodeLock("f", []byte("apiVersion: airbundle/v1\nkind: Lock\n"+field+"\n"))
		if err == nil {
			t.Errorf("%s: no error", field)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error shows the secret: %v", field, err)
		}
	}
}
