package rpm_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

// TestReadChecked: any bit of the main header that is not as the package says is found
// before a byte of the payload was read; of the payload nothing is known then.
func TestReadChecked(t *testing.T) {
	pkg := rpmtest.Build(t, rpmtest.Spec{Name: "hello", Version: "1.2", Compressor: "zstd", Files: []rpmtest.File{{Path: "/usr/share/hello", Body: "hello"}}})
	p := rpmtest.TakeApart(t, pkg)
	begin, end := len(pkg)-len(p.Signed()), len(pkg)-len(p.Payload)
	want, err := rpm.Read(bytes.NewReader(pkg))
	if err != nil || want.Compressor != "zstd" {
		t.Fatalf("%+v, %v", want, err)
	}
	r := bytes.NewReader(flip(pkg, len(pkg)-1))
	got, err := rpm.ReadChecked(r)
	if diff := cmp.Diff(want, got); diff != "" || err != nil || r.Len() != len(p.Payload) {
		t.Errorf("damaged payload: %v, %d bytes left of %d\n%s", err, r.Len(), len(p.Payload), diff)
	}
	wrong := 0
	for at := begin; at < end; at++ {
		_, err := rpm.ReadChecked(bytes.NewReader(flip(pkg, at)))
		if err == nil {
			t.Errorf("byte %d of the header is damaged, and nobody sees it", at-begin)
		}
		if _, ok := errors.AsType[*rpm.DigestError](err); ok {
			wrong++
		}
	}
	if wrong < (end-begin)/2 {
		t.Errorf("only %d of %d damages came out by the digest", wrong, end-begin)
	}
	if _, err := rpm.ReadChecked(bytes.NewReader(pkg[:end-1])); err == nil {
		t.Error("half a header is taken for one")
	}
	sum := rpmtest.StringTag(sigSHA1, "0000000000000000000000000000000000000000")
	if _, err := rpm.ReadChecked(bytes.NewReader(p.WithSignature(sum).Bytes())); err == nil {
		t.Error("a wrong SHA-1, as packages of EL7 have it, is not looked at")
	}
	if _, err := rpm.ReadChecked(bytes.NewReader(p.WithSignature(rpmtest.BinaryTag(sigMD5, make([]byte, 16))).Bytes())); err != nil {
		t.Errorf("the MD5 of header and payload cannot be known yet: %v", err)
	}
}
