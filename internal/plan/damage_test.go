package plan_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"airbundle/internal/build"
	"airbundle/internal/bundletest"
	"airbundle/internal/lockfile"
	"airbundle/internal/plan"
	"airbundle/internal/report"
	"airbundle/internal/rpmtest"
)

// Tags of signature header and header, as the format numbers them.
const (
	sigRSA           = 268
	sigSHA256        = 273
	sigPGP           = 1002
	tagPayloadDigest = 5092
)

// flip inverts a bit of the byte at an offset.
func flip(pkg []byte, at int) []byte {
	out := bytes.Clone(pkg)
	out[at] ^= 1
	return out
}

// Every kind of damaged or untrusted package, under the digest that the lock pins: what
// was wrong when the lock was made, and what the digest of the lock says nothing about. The
// error names the package, its cause, and ends the build with the right exit code.
func TestEveryKindOfBadPackage(t *testing.T) {
	key := rpmtest.Key(t)
	spec := rpmtest.Spec{
		Name: "hello", Version: "1.2", Release: "3", Arch: "x86_64", Key: key,
		Files: []rpmtest.File{{Path: "/opt/data", Body: strings.Repeat("data ", 2000)}},
	}
	good := rpmtest.Build(t, spec)
	parts := rpmtest.TakeApart(t, good)
	old := parts.Without(t, tagPayloadDigest) // as rpm before 4.14 makes them
	header := len(good) - len(parts.Signed())
	signed := func(content []byte) []byte {
		sig, err := key.Sign(content)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	digestOf := func(main []byte) rpmtest.Tag {
		return rpmtest.StringTag(sigSHA256, fmt.Sprintf("%x", sha256.Sum256(main)))
	}
	renamed := spec
	renamed.Name = "jello"
	stranger := spec
	stranger.Key = rpmtest.OtherKey(t)
	unsigned := spec
	unsigned.Key = nil

	for name, c := range map[string]struct {
		pkg   []byte
		class report.Class
		text  string
	}{
		"good":                 {good, report.ClassOK, ""},
		"empty":                {nil, report.ClassContent, "not a package: malformed RPM package: it ends inside the lead"},
		"cut in the signature": {good[:200], report.ClassContent, "it ends inside the signature header"},
		"cut in the header":    {good[:header+40], report.ClassContent, "it ends inside the header"},
		"cut in the payload":   {good[:len(good)-100], report.ClassContent, "the package is damaged: its payload SHA-256 is"},
		"payload flipped":      {flip(good, len(good)-100), report.ClassContent, "the package is damaged: its payload SHA-256 is"},
		"byte appended":        {append(bytes.Clone(good), 0), report.ClassContent, "the package is damaged"},
		"header flipped":       {flip(good, len(good)-len(parts.Payload)-5), report.ClassContent, "the package is damaged: its header SHA-256 is"},
		"lead flipped":         {flip(good, 0), report.ClassContent, "not a package"},
		"renamed":              {rpmtest.Build(t, renamed), report.ClassContent, "the package is jello-1.2-3.x86_64, the lock says hello-1.2-3.x86_64"},
		"unsigned":             {rpmtest.Build(t, unsigned), report.ClassTrust, "signature by " + key.ID + ": the package is not signed"},
		"unknown signer":       {rpmtest.Build(t, stranger), report.ClassTrust, "signed by key " + stranger.Key.ID},
		"bad signature": {parts.WithSignature(digestOf(parts.Main), rpmtest.BinaryTag(sigPGP, signed([]byte("other")))).Bytes(),
			report.ClassTrust, "bad signature by key " + key.ID},
		"unreadable signature": {parts.WithSignature(digestOf(parts.Main), rpmtest.BinaryTag(sigPGP, []byte{1, 2, 3})).Bytes(),
			report.ClassTrust, "unreadable signature"},
		"weak signature": {parts.WithSignature(digestOf(parts.Main), rpmtest.BinaryTag(sigPGP, rpmtest.SignV3(t, key, crypto.SHA1, parts.Signed()))).Bytes(),
			report.ClassTrust, "made with SHA-1, which can be forged; to carry it all the same, write under accept"},
		"header signed, payload not covered": {old.WithSignature(digestOf(old.Main), rpmtest.BinaryTag(sigRSA, signed(old.Main))).Bytes(),
			report.ClassTrust, "the signature covers the header only"},
		"header signed, payload replaced": {old.WithSignature(digestOf(old.Main), rpmtest.BinaryTag(sigPGP, signed(old.Main))).Bytes(),
			report.ClassTrust, "bad signature by key " + key.ID},
		"header signed, payload digest in it": {parts.WithSignature(rpmtest.BinaryTag(sigRSA, signed(parts.Main))).Bytes(),
			report.ClassOK, ""},
		"old, both signed": {old.WithSignature(rpmtest.BinaryTag(sigPGP, signed(old.Signed()))).Bytes(), report.ClassOK, ""},
		// What nobody signed says nothing, and must not try to.
		"odd tags in the signature header": {parts.WithSignature(rpmtest.BinaryTag(sigPGP, signed(parts.Signed())), rpmtest.StringTag(999_999, "x")).Bytes(),
			report.ClassTrust, "holds the unknown tag 999999"},
		"unknown type in the signature header": {parts.WithSignature(rpmtest.RawTag(999_999, 77, 1, []byte("x"))).Bytes(),
			report.ClassContent, "unknown type 77"},
	} {
		f := bundletest.New(t)
		set(f, c.pkg)
		err := buildOf(t, f)
		if report.Classify(err) != c.class || err != nil && (!strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), f.Lock.RPMs[0].Path())) {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
	}
}

func buildOf(t *testing.T, f *bundletest.Fixture) error {
	t.Helper()
	p, err := plan.Make(t.Context(), f.Lock, plan.Sources{Images: f, Files: f}, plan.Options{})
	if err != nil {
		return err
	}
	_, err = build.Run(t.Context(), p, filepath.Join(t.TempDir(), "b.tar"), build.Options{})
	return err
}

// A package that was replaced in place, by a newer build or by another of the same size,
// is not the one that the lock pins: the digest decides, whatever its name and signature.
func TestPackageReplacedInPlace(t *testing.T) {
	key := rpmtest.Key(t)
	f := bundletest.New(t)
	r := f.Lock.RPMs[0]
	was := f.URLs[r.URLs[0]]
	again := rpmtest.Build(t, rpmtest.Spec{Name: "hello", Version: "1.2", Release: "3", Arch: "x86_64", Key: key, Summary: "built once more"})
	same := rpmtest.Build(t, rpmtest.Spec{Name: "jello", Version: "1.2", Release: "3", Arch: "x86_64", Key: key})
	same = append(same, make([]byte, max(0, len(was)-len(same)))...)[:len(was)]
	for name, c := range map[string]struct {
		pkg  []byte
		text string
	}{
		"another build":                   {again, r.Digest.String()},
		"another package, same size":      {same, "hashes to"},
		"the same with a flipped payload": {flip(was, len(was)-1), "hashes to"},
		"cut":                             {was[:len(was)-1], r.Digest.String()},
	} {
		f.URLs[r.URLs[0]] = c.pkg
		err := buildOf(t, f)
		if report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), r.Path()) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
	}
}

// What `unsigned: accepted` accepts: that no key of the lock vouches for a package. What it
// does not: that a package is damaged, or pretends to be signed by a key of the lock.
func TestAcceptedAsUnsigned(t *testing.T) {
	key, stranger := rpmtest.Key(t), rpmtest.OtherKey(t)
	spec := rpmtest.Spec{Name: "hello", Version: "1.2", Release: "3", Arch: "x86_64"}
	by := func(k *rpmtest.Signer) []byte { s := spec; s.Key = k; return rpmtest.Build(t, s) }
	parts := rpmtest.TakeApart(t, by(key))
	forged := func(k *rpmtest.Signer) []byte {
		sig, err := k.Sign([]byte("something else"))
		if err != nil {
			t.Fatal(err)
		}
		return parts.WithSignature(rpmtest.BinaryTag(sigPGP, sig)).Bytes()
	}
	unknownKind := func(k *rpmtest.Signer) []byte { // a signature that the library does not know
		sig := rpmtest.SignV3(t, k, crypto.MD5, parts.Signed())
		sig[3+16] = 99 // the hash function
		return parts.WithSignature(rpmtest.BinaryTag(sigPGP, sig)).Bytes()
	}
	for name, c := range map[string]struct {
		pkg   []byte
		keys  []*rpmtest.Signer
		class report.Class
		text  string
	}{
		"unsigned":                    {by(nil), []*rpmtest.Signer{key}, report.ClassOK, ""},
		"unsigned, no keys at all":    {by(nil), nil, report.ClassOK, ""},
		"by a stranger":               {by(stranger), []*rpmtest.Signer{key}, report.ClassOK, ""},
		"by a stranger, no keys":      {by(stranger), nil, report.ClassOK, ""},
		"by a key of the lock":        {by(key), []*rpmtest.Signer{key}, report.ClassOK, ""},
		"forged by a stranger":        {forged(stranger), []*rpmtest.Signer{key}, report.ClassOK, ""},
		"forged as of the lock's key": {forged(key), []*rpmtest.Signer{key}, report.ClassTrust, "accepted as unsigned, but: bad signature by key " + key.ID},
		"unreadable":                  {parts.WithSignature(rpmtest.BinaryTag(sigPGP, []byte("?"))).Bytes(), []*rpmtest.Signer{key}, report.ClassTrust, "unreadable signature"},
		"of another kind":             {unknownKind(key), nil, report.ClassTrust, "unreadable signature"},
		"unknown tag":                 {parts.WithSignature(rpmtest.StringTag(280, "x")).Bytes(), []*rpmtest.Signer{key}, report.ClassTrust, "accepted as unsigned, but: the signature header"},
		"damaged":                     {flip(by(stranger), len(by(stranger))-20), []*rpmtest.Signer{key}, report.ClassContent, "the package is damaged"},
		"renamed":                     {rpmtest.Build(t, rpmtest.Spec{Name: "jello", Version: "1.2", Release: "3", Arch: "x86_64"}), nil, report.ClassContent, "jello"},
	} {
		f := bundletest.New(t)
		set(f, c.pkg)
		f.Lock.Keys = nil
		for _, k := range c.keys {
			f.Lock.Keys = append(f.Lock.Keys, lockfile.Key{ID: k.ID, Armor: k.Armor})
		}
		r := &f.Lock.RPMs[0]
		r.Signer, r.Unsigned, r.Why = "", "accepted", "built here"
		f.Lock.RPMs = f.Lock.RPMs[:1]
		err := buildOf(t, f)
		if report.Classify(err) != c.class || err != nil && (!strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), r.Path())) {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
	}
}
