package rpm_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/fuzztest"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

func TestSignatureKeyIDs(t *testing.T) {
	key, stranger := rpmtest.Key(t), rpmtest.OtherKey(t)
	p := rpmtest.TakeApart(t, rpmtest.Build(t, signedSpec(key)))
	ours, theirs := sign(t, key, p.Main), sign(t, stranger, p.Main)
	for name, c := range map[string]struct {
		pkg  rpmtest.Parts
		want []string
	}{
		"as built": {p, []string{key.ID}},
		"unsigned": {p.WithSignature(), nil},
		"two keys": {p.WithSignature(rpmtest.BinaryTag(sigRSA, theirs), rpmtest.BinaryTag(sigPGP, ours)), []string{stranger.ID, key.ID}},
		"twice":    {p.WithSignature(rpmtest.BinaryTag(sigPGP, ours), rpmtest.BinaryTag(sigDSA, ours)), []string{key.ID}},
		"one that cannot be read": {p.WithSignature(rpmtest.BinaryTag(sigRSA, []byte("?")), rpmtest.BinaryTag(sigPGP, ours)),
			[]string{key.ID}},
	} {
		pkg := c.pkg.Bytes()
		start := len(pkg) - len(c.pkg.Signed())
		for _, r := range []io.Reader{bytes.NewReader(pkg), bytes.NewReader(pkg[:start]), iotest.OneByteReader(bytes.NewReader(pkg)), iotest.DataErrReader(bytes.NewReader(pkg[:start]))} {
			if got, err := rpm.SignatureKeyIDs(r); err != nil || !cmp.Equal(got, c.want) {
				t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
			}
		}
	}

	_, err := rpm.SignatureKeyIDs(bytes.NewReader(p.WithSignature(rpmtest.BinaryTag(sigPGP, []byte("?"))).Bytes()))
	if _, ok := errors.AsType[*rpm.BadSignatureError](err); !ok || report.Classify(err) != report.ClassTrust {
		t.Errorf("nothing that can be read: %v", err)
	}
	pkg := p.Bytes()
	for _, size := range []int{0, 1, 95, 96, 111, 200} {
		if _, err := rpm.SignatureKeyIDs(bytes.NewReader(pkg[:size])); report.Classify(err) != report.ClassContent {
			t.Errorf("%d bytes: class %d, %v", size, report.Classify(err), err)
		}
	}
	for what, data := range map[string][]byte{
		"too many": rpmtest.TakeApart(t, pkg).WithSignature(rpmtest.RawTag(sigOpenPGP, kindStrings, 17, make([]byte, 17))).Bytes(),
		"a number": rpmtest.TakeApart(t, pkg).WithSignature(rpmtest.RawTag(sigRSA, kindInt32, 1, make([]byte, 4))).Bytes(),
		"HTML":     []byte("<html><body>" + string(make([]byte, 200))),
	} {
		if _, err := rpm.SignatureKeyIDs(bytes.NewReader(data)); report.Classify(err) != report.ClassContent {
			t.Errorf("%s: class %d, %v", what, report.Classify(err), err)
		}
	}
}

// It reads the signature header and not a byte more: what follows is not downloaded.
func TestSignatureKeyIDsStops(t *testing.T) {
	pkg := rpmtest.Build(t, signedSpec(rpmtest.Key(t)))
	p := rpmtest.TakeApart(t, pkg)
	r := bytes.NewReader(pkg)
	if _, err := rpm.SignatureKeyIDs(r); err != nil {
		t.Fatal(err)
	}
	if read, want := len(pkg)-r.Len(), len(p.Lead)+len(p.Signature); read != want {
		t.Errorf("read %d bytes, want %d", read, want)
	}
}

// Real packages say who signed them, and rpm.Verify agrees as far as it knows the keys.
func TestSignatureKeyIDsOfRealPackages(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(rpmtest.Testdata(t, "rpm", "rpms"), "*.rpm"))
	if err != nil || len(files) == 0 {
		t.Skipf("no packages: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := rpm.SignatureKeyIDs(bytes.NewReader(data))
		_, verr := rpm.Verify(bytes.NewReader(data), nil)
		unknown, signed := errors.AsType[*rpm.UnknownSignerError](verr)
		switch {
		case signed && !cmp.Equal(ids, unknown.KeyIDs), errors.Is(verr, rpm.ErrUnsigned) && len(ids) > 0:
			t.Errorf("%s: %q, %v; Verify: %v", filepath.Base(file), ids, err, verr)
		}
	}
}

func FuzzSignatureKeyIDs(f *testing.F) {
	key := rpmtest.Key(f)
	p := rpmtest.TakeApart(f, rpmtest.Build(f, signedSpec(key)))
	f.Add(p.Bytes())
	f.Add(p.WithSignature().Bytes())
	f.Add(p.WithSignature(rpmtest.BinaryTag(sigRSA, sign(f, key, p.Main)), rpmtest.RawTag(sigOpenPGP, kindStrings, 1, []byte("AAAA\x00"))).Bytes())
	f.Add(append(bytes.Clone(p.Lead), rpmtest.HeaderBytes(1, 1<<26, nil)...))
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		ids, err := rpm.SignatureKeyIDs(r)
		if err != nil && len(ids) > 0 {
			t.Errorf("%q with %v", ids, err)
		}
		// Whoever reads the whole package sees the same signatures, or refuses it.
		_, verr := rpm.Verify(bytes.NewReader(data), nil)
		if unknown, ok := errors.AsType[*rpm.UnknownSignerError](verr); ok {
			for _, id := range unknown.KeyIDs {
				if err != nil || !bytes.Contains([]byte(cmp.Diff(nil, ids)), []byte(id)) {
					t.Errorf("%s is not among %q, %v", id, ids, err)
				}
			}
		}
	})
}
