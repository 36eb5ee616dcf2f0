package lockfile

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/fuzztest"
)

func seeds(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml", "testdata/golden/*.yaml"} {
		for _, path := range glob(f, pattern) {
			f.Add(read(f, path))
		}
	}
}

// FuzzDecodeLock looks for input that panics, and for locks that do not survive
// encoding, or selection, as locks.
func FuzzDecodeLock(f *testing.F) {
	seeds(f)
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		l, err := DecodeLock("fuzz", data)
		if err != nil {
			_ = err.Error()
			return
		}
		encoded, err := l.Encode()
		if err != nil {
			t.Fatalf("encode a decoded lock: %v", err)
		}
		again, err := DecodeLock("encoded", encoded)
		if err != nil {
			t.Fatalf("decode an encoded lock: %v\n%s", err, encoded)
		}
		if diff := cmp.Diff(l, again); diff != "" {
			t.Fatalf("lock changed by encoding (-before +after):\n%s\n%s", diff, encoded)
		}
		if l.Digest() != again.Digest() {
			t.Fatal("digest changed by encoding")
		}
		for _, arch := range l.Arches {
			for _, groups := range [][]string{nil, l.Groups()} {
				s, err := l.Select([]string{arch}, groups)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Encode(); err != nil {
					t.Fatalf("encode the selection of %s, %v: %v", arch, groups, err)
				}
			}
		}
	})
}

// FuzzDecodeRequest is FuzzDecodeLock for requests, whose files must expand.
func FuzzDecodeRequest(f *testing.F) {
	seeds(f)
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		r, err := DecodeRequest("fuzz", data)
		if err != nil {
			_ = err.Error()
			return
		}
		encoded, err := r.Encode()
		if err != nil {
			t.Fatalf("encode a decoded request: %v", err)
		}
		again, err := DecodeRequest("encoded", encoded)
		if err != nil {
			t.Fatalf("decode an encoded request: %v\n%s", err, encoded)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatalf("request changed by encoding (-before +after):\n%s\n%s", diff, encoded)
		}
		for _, w := range r.Files {
			if _, err := w.Expand(r.Arches); err != nil {
				t.Fatal(err)
			}
		}
	})
}
