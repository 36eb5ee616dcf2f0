package digestio

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadCapped(t *testing.T) {
	for _, tt := range []struct {
		length    int
		announced int64
		text      string // of the error
	}{
		{0, -1, ""},
		{0, 0, ""},
		{9, -1, ""},
		{10, -1, ""},
		{10, 10, ""},
		{10, 3, ""}, // what was announced is not what decides
		{11, -1, "more than the 10 bytes allowed here"},
		{11, 3, "more than the 10 bytes allowed here"},
		{0, 11, "11 bytes are more than the 10 allowed here"},
	} {
		want := strings.Repeat("x", tt.length)
		for label, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "eof": iotest.DataErrReader,
		} {
			got, err := ReadCapped(wrap(strings.NewReader(want)), tt.announced, 10)
			if tt.text == "" {
				if err != nil || string(got) != want {
					t.Errorf("%s, %d bytes: %q, %v", label, tt.length, got, err)
				}
				continue
			}
			if le, ok := errors.AsType[*LimitError](err); !ok || got != nil || le.Error() != tt.text || le.ExitCode() != 4 {
				t.Errorf("%s, %d bytes: %q, %v; want %q", label, tt.length, got, err, tt.text)
			}
		}
	}
	broken := errors.New("broken")
	if _, err := ReadCapped(iotest.ErrReader(broken), -1, 10); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := ReadCapped(iotest.ErrReader(broken), 11, 10); errors.Is(err, broken) {
		t.Errorf("read in spite of its length: %v", err)
	}
}
