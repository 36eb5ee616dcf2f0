package rpm_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

// What the errors of Verify mean to the operator, however they are wrapped.
func TestExitCodes(t *testing.T) {
	key := rpmtest.Key(t)
	ring := rpmtest.Ring(key)
	good := rpmtest.Build(t, signedSpec(key))
	built := rpmtest.TakeApart(t, good)
	old := built.Without(t, tagPayloadDigest)
	for name, test := range map[string]struct {
		pkg  []byte
		want report.Class
	}{
		"malformed":   {[]byte("no package"), report.ClassContent},
		"cut":         {good[:200], report.ClassContent},
		"damaged":     {flip(good, len(good)-9), report.ClassContent},
		"unsigned":    {rpmtest.Build(t, signedSpec(nil)), report.ClassTrust},
		"stranger":    {rpmtest.Build(t, signedSpec(rpmtest.OtherKey(t))), report.ClassTrust},
		"bad":         {built.WithSignature(rpmtest.BinaryTag(sigPGP, sign(t, key, []byte("else")))).Bytes(), report.ClassTrust},
		"unknown tag": {built.WithSignature(rpmtest.BinaryTag(sigPGP, sign(t, key, built.Signed())), rpmtest.StringTag(280, "x")).Bytes(), report.ClassTrust},
		"not covered": {old.WithSignature(rpmtest.BinaryTag(sigRSA, sign(t, key, old.Main))).Bytes(), report.ClassTrust},
	} {
		_, err := rpm.Verify(bytes.NewReader(test.pkg), ring)
		if got := report.Classify(fmt.Errorf("package: %w", err)); got != test.want {
			t.Errorf("%s: class %d, want %d: %v", name, got, test.want, err)
		}
	}
	if got := report.Classify(&rpm.WeakSignatureError{}); got != report.ClassTrust {
		t.Errorf("weak: class %d", got)
	}
}

// A source that broke off is not a malformed package, even when it says so as a short one.
func TestSourceBrokeOff(t *testing.T) {
	pkg := rpmtest.Build(t, signedSpec(nil))
	end := len(pkg) - len(rpmtest.TakeApart(t, pkg).Payload)
	broken := fmt.Errorf("GET x.rpm: %w", io.ErrUnexpectedEOF)
	for size := 0; size < end; size += 13 {
		r := io.MultiReader(bytes.NewReader(pkg[:size]), iotest.ErrReader(broken))
		_, err := rpm.Read(r)
		if _, malformed := errors.AsType[*rpm.FormatError](err); malformed || report.Classify(err) != report.ClassUnavailable {
			t.Errorf("after %d bytes: class %d, %v", size, report.Classify(err), err)
		}
	}
}
