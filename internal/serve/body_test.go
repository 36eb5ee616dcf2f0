package serve

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestBodyHoldsTheEndBack reads bodies over readers of all habits. Only a reader that
// ends where it should may give away its last byte.
func TestBodyHoldsTheEndBack(t *testing.T) {
	broken := errors.New("digest is wrong")
	after := func(text string, err error) io.Reader {
		return io.MultiReader(strings.NewReader(text), iotest.ErrReader(err))
	}
	for _, tt := range []struct {
		name string
		r    func() io.Reader
		want string // empty: an error, and not all bytes
	}{
		{"right", func() io.Reader { return strings.NewReader("0123456789") }, "0123456789"},
		{"end with the data", func() io.Reader { return iotest.DataErrReader(strings.NewReader("0123456789")) }, "0123456789"},
		{"wrong at the end", func() io.Reader { return after("0123456789", broken) }, ""},
		{"wrong with the data", func() io.Reader { return iotest.DataErrReader(after("0123456789", broken)) }, ""},
		{"wrong before", func() io.Reader { return after("01234", broken) }, ""},
		{"short", func() io.Reader { return strings.NewReader("012345678") }, ""},
		{"long", func() io.Reader { return strings.NewReader("0123456789a") }, ""},
		{"empty", func() io.Reader { return strings.NewReader("") }, ""},
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"plain": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "halves": iotest.HalfReader,
		} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				b := &body{size: 10, open: func(int64) (io.ReadCloser, error) { return io.NopCloser(wrap(tt.r())), nil }}
				got, err := io.ReadAll(iotest.OneByteReader(b))
				again, err2 := b.Read(make([]byte, 1))
				if tt.want != "" {
					if err != nil || string(got) != tt.want || again != 0 || !errors.Is(err2, io.EOF) {
						t.Errorf("got %q, %v, then %d bytes, %v", got, err, again, err2)
					}
				} else if err == nil || len(got) >= 10 || again != 0 || !errors.Is(err2, err) {
					t.Errorf("got %q, %v, then %d bytes, %v; want an error before the last byte", got, err, again, err2)
				}
			})
		}
	}
}

// TestBodyGivesLargeReadsBack has the whole content come in one Read.
func TestBodyGivesLargeReadsBack(t *testing.T) {
	b := &body{size: 10, open: func(int64) (io.ReadCloser, error) {
		return io.NopCloser(iotest.DataErrReader(strings.NewReader("0123456789a"))), nil
	}}
	if n, err := b.Read(make([]byte, 100)); n != 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("11 bytes for 10: %d bytes, %v", n, err)
	}
}

func TestBodySeeks(t *testing.T) {
	content := []byte("0123456789")
	var opened []int64
	b := &body{size: 10, open: func(at int64) (io.ReadCloser, error) {
		opened = append(opened, at)
		return io.NopCloser(bytes.NewReader(content[at:])), nil
	}}
	for _, s := range []struct {
		offset int64
		whence int
		want   int64
	}{{0, io.SeekEnd, 10}, {3, io.SeekStart, 3}, {2, io.SeekCurrent, 5}} {
		if got, err := b.Seek(s.offset, s.whence); got != s.want || err != nil {
			t.Errorf("Seek(%d, %d) = %d, %v", s.offset, s.whence, got, err)
		}
	}
	got, err := io.ReadAll(b)
	if string(got) != "56789" || err != nil || len(opened) != 1 || opened[0] != 5 {
		t.Errorf("read %q, %v, opened at %v", got, err, opened)
	}
	if _, err := b.Seek(0, io.SeekStart); err == nil {
		t.Error("a body that was read could be wound back")
	}
}
