package rpm_test

import (
	"bytes"
	"crypto"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"
	"github.com/google/rpmpack"

	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

// signedSpec is a package with a payload of some size.
func signedSpec(key *rpmtest.Signer) rpmtest.Spec {
	return rpmtest.Spec{
		Name: "signed", Arch: "x86_64", Key: key,
		Files: []rpmtest.File{{Path: "/opt/data", Body: strings.Repeat("data ", 4000)}},
	}
}

func sign(t testing.TB, key *rpmtest.Signer, data []byte) []byte {
	t.Helper()
	sig, err := key.Sign(data)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestVerifyGood(t *testing.T) {
	key, stranger := rpmtest.Key(t), rpmtest.OtherKey(t)
	ring := rpmtest.Ring(stranger, key)
	built := rpmtest.TakeApart(t, rpmtest.Build(t, signedSpec(key)))
	old := built.Without(t, tagPayloadDigest) // as rpm before 4.14 makes them
	md5sum, sha1sum := md5.Sum(old.Signed()), sha1.Sum(old.Main)

	for _, tt := range []struct {
		name string
		pkg  rpmtest.Parts
	}{
		{"as built", built},
		{"header only, payload digest in the header", built.WithSignature(rpmtest.BinaryTag(sigRSA, sign(t, key, built.Main)))},
		{"old, over header and payload", old.WithSignature(
			rpmtest.BinaryTag(sigRSA, sign(t, key, old.Main)), rpmtest.StringTag(sigSHA1, fmt.Sprintf("%x", sha1sum)),
			rpmtest.BinaryTag(sigPGP, sign(t, key, old.Signed())), rpmtest.BinaryTag(sigMD5, md5sum[:]))},
		{"old, signed in version 3", old.WithSignature(
			rpmtest.BinaryTag(sigRSA, rpmtest.SignV3(t, key, crypto.SHA256, old.Main)),
			rpmtest.BinaryTag(sigPGP, rpmtest.SignV3(t, key, crypto.SHA256, old.Signed())))},
		{"a stranger's too", built.WithSignature(
			rpmtest.BinaryTag(sigDSA, sign(t, rpmtest.OtherKey(t), built.Main)), rpmtest.BinaryTag(sigRSA, sign(t, key, built.Main)))},
		{"an unreadable one too", built.WithSignature(
			rpmtest.BinaryTag(sigDSA, []byte("no signature")), rpmtest.BinaryTag(sigRSA, sign(t, key, built.Main)))},
		{"in the list of rpm 6", built.WithSignature(
			rpmtest.StringTag(sigOpenPGP, base64.StdEncoding.EncodeToString(sign(t, key, built.Main))))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole": bytes.NewReader(tt.pkg.Bytes()),
				"bytes": iotest.OneByteReader(bytes.NewReader(tt.pkg.Bytes())),
				"eof":   iotest.DataErrReader(bytes.NewReader(tt.pkg.Bytes())),
			} {
				signer, err := rpm.Verify(r, ring)
				if err != nil || signer != key.ID {
					t.Errorf("%s: Verify() = %q, %v; want %q", name, signer, err, key.ID)
				}
			}
		})
	}
}

func TestVerifyEd25519(t *testing.T) {
	key := rpmtest.OtherKey(t)
	signer, err := rpm.Verify(bytes.NewReader(rpmtest.Build(t, signedSpec(key))), rpmtest.Ring(key))
	if err != nil || signer != key.ID {
		t.Errorf("Verify() = %q, %v; want %q", signer, err, key.ID)
	}
}

func TestVerifyKeyFromArmor(t *testing.T) {
	key := rpmtest.Key(t)
	ring, err := openpgp.ReadArmoredKeyRing(strings.NewReader(key.Armor))
	if err != nil {
		t.Fatal(err)
	}
	if signer, err := rpm.Verify(bytes.NewReader(rpmtest.Build(t, signedSpec(key))), ring); err != nil || signer != key.ID {
		t.Errorf("Verify() = %q, %v", signer, err)
	}
}

// is compares errors by type and message: want is a value of the type, its fields
// checked where they are set.
func is[E error](want string) func(error) string {
	return func(err error) string {
		if _, ok := errors.AsType[E](err); !ok {
			return fmt.Sprintf("%T (%v), want %T", err, err, *new(E))
		}
		if !strings.Contains(err.Error(), want) {
			return fmt.Sprintf("%q does not hold %q", err, want)
		}
		return ""
	}
}

func isErr(want error) func(error) string {
	return func(err error) string {
		if !errors.Is(err, want) {
			return fmt.Sprintf("%v, want %v", err, want)
		}
		return ""
	}
}

func flip(data []byte, at int) []byte {
	out := bytes.Clone(data)
	out[at] ^= 1
	return out
}

func TestVerifyBad(t *testing.T) {
	key, stranger := rpmtest.Key(t), rpmtest.OtherKey(t)
	ring := rpmtest.Ring(key)
	built := rpmtest.TakeApart(t, rpmtest.Build(t, signedSpec(key)))
	good := built.Bytes()
	old := built.Without(t, tagPayloadDigest)
	md5sum := md5.Sum(old.Signed())
	unsigned := rpmtest.Build(t, signedSpec(nil))
	headerAt := len(good) - len(built.Signed())
	weakDigest := rpmtest.TakeApart(t, rpmtest.Build(t, weakDigestSpec(t)))

	for _, tt := range []struct {
		name string
		pkg  []byte
		want func(error) string
	}{
		{"empty", nil, is[*rpm.FormatError]("ends inside the lead")},
		{"not an RPM", bytes.Repeat([]byte("no"), 200), is[*rpm.FormatError]("begins with 6e6f6e6f")},
		{"ends in the header", good[:headerAt+40], is[*rpm.FormatError]("ends inside the header")},
		{"payload flipped", flip(good, len(good)-9), is[*rpm.DigestError]("payload SHA-256")},
		{"payload cut", good[:len(good)-1], is[*rpm.DigestError]("payload SHA-256")},
		{"payload longer", append(bytes.Clone(good), 0), is[*rpm.DigestError]("payload SHA-256")},
		{"header flipped", flip(good, headerAt+len(built.Main)-100), is[*rpm.DigestError]("header SHA-256")},
		{"unsigned", unsigned, isErr(rpm.ErrUnsigned)},
		{"unsigned and damaged", flip(unsigned, len(unsigned)-9), is[*rpm.DigestError]("")},
		{"unsigned, nothing but MD5", old.WithSignature(rpmtest.BinaryTag(sigMD5, md5sum[:])).Bytes(), isErr(rpm.ErrUnsigned)},
		{"MD5 wrong", old.WithSignature(rpmtest.BinaryTag(sigMD5, flip(md5sum[:], 3))).Bytes(), is[*rpm.DigestError]("MD5")},
		{"SHA-1 wrong", built.WithSignature(rpmtest.StringTag(sigSHA1, "00")).Bytes(), is[*rpm.DigestError]("header SHA-1")},
		{"signed by a stranger", rpmtest.Build(t, signedSpec(stranger)), is[*rpm.UnknownSignerError](stranger.ID)},
		{"header signed, payload only in MD5", old.WithSignature(
			rpmtest.BinaryTag(sigRSA, sign(t, key, old.Main)), rpmtest.BinaryTag(sigMD5, md5sum[:])).Bytes(), isErr(rpm.ErrPayloadNotCovered)},
		{"header signed, MD5 of the payload in it", weakDigest.WithSignature(
			rpmtest.BinaryTag(sigRSA, sign(t, key, weakDigest.Main))).Bytes(), isErr(rpm.ErrPayloadNotCovered)},
		{"header signed, payload exchanged", rpmtest.Parts{Lead: old.Lead, Signature: old.Signature, Main: old.Main, Payload: []byte("other")}.WithSignature(
			rpmtest.BinaryTag(sigRSA, sign(t, key, old.Main))).Bytes(), isErr(rpm.ErrPayloadNotCovered)},
		{"signature of something else", built.WithSignature(
			rpmtest.BinaryTag(sigPGP, sign(t, key, []byte("something else")))).Bytes(), is[*rpm.BadSignatureError](key.ID)},
		{"one good, one bad", built.WithSignature(rpmtest.BinaryTag(sigRSA, sign(t, key, built.Main)),
			rpmtest.BinaryTag(sigPGP, sign(t, key, built.Main))).Bytes(), is[*rpm.BadSignatureError](key.ID)},
		{"version 3 of something else", built.WithSignature(
			rpmtest.BinaryTag(sigPGP, rpmtest.SignV3(t, key, crypto.SHA256, built.Main))).Bytes(), is[*rpm.BadSignatureError](key.ID)},
		{"version 3 with MD5", built.WithSignature(
			rpmtest.BinaryTag(sigPGP, rpmtest.SignV3(t, key, crypto.MD5, built.Signed()))).Bytes(), is[*rpm.BadSignatureError]("unreadable")},
		{"SHA-1 signature", built.WithSignature(
			rpmtest.BinaryTag(sigPGP, rpmtest.SignV3(t, key, crypto.SHA1, built.Signed()))).Bytes(), is[*rpm.WeakSignatureError](key.ID)},
		{"no OpenPGP", built.WithSignature(rpmtest.BinaryTag(sigPGP, []byte("hello"))).Bytes(), is[*rpm.BadSignatureError]("unreadable")},
		{"a public key for a signature", built.WithSignature(
			rpmtest.BinaryTag(sigPGP, publicKeyPacket(t, key))).Bytes(), is[*rpm.BadSignatureError]("not a signature")},
		{"two packets", built.WithSignature(rpmtest.BinaryTag(sigRSA,
			append(sign(t, key, built.Main), sign(t, key, built.Main)...))).Bytes(), is[*rpm.BadSignatureError]("bytes")},
		{"list of rpm 6 not in base64", built.WithSignature(rpmtest.StringTag(sigOpenPGP, "!")).Bytes(), is[*rpm.FormatError]("tag 278")},
		{"text signature", built.WithSignature(
			rpmtest.BinaryTag(sigPGP, signText(t, key, built.Signed()))).Bytes(), is[*rpm.BadSignatureError]("not of binary data")},
		{"signatures as numbers", built.WithSignature(rpmtest.RawTag(sigRSA, kindInt32, 1, make([]byte, 4))).Bytes(), is[*rpm.FormatError]("tag 268")},
		{"tag of the header among the signatures", built.WithSignature(rpmtest.BinaryTag(sigPGP, sign(t, key, built.Signed())),
			rpmtest.StringTag(1023, "/bin/sh -c evil"), rpmtest.StringTag(5093, "8")).Bytes(), is[*rpm.UnknownTagError]("unknown tag 1023")},
		{"unknown tag, unsigned", built.WithSignature(rpmtest.StringTag(280, "x")).Bytes(), is[*rpm.UnknownTagError]("unknown tag 280")},
		{"unknown tag and damaged", append(built.WithSignature(rpmtest.StringTag(280, "x")).Bytes(), 0), is[*rpm.DigestError]("payload")},
		{"too many signatures", built.WithSignature(
			rpmtest.RawTag(sigOpenPGP, kindStrings, 17, make([]byte, 17))).Bytes(), is[*rpm.FormatError]("17 signatures")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			signer, err := rpm.Verify(bytes.NewReader(tt.pkg), ring)
			if wrong := tt.want(err); wrong != "" {
				t.Errorf("Verify() error: %s", wrong)
			}
			if _, weak := errors.AsType[*rpm.WeakSignatureError](err); signer != "" && !weak {
				t.Errorf("Verify() returns signer %q with error %v", signer, err)
			}
		})
	}
}

// TestVerifyNoDamageUnseen flips every bit position that the signature must protect, one
// byte in seven, and cuts the package everywhere.
func TestVerifyNoDamageUnseen(t *testing.T) {
	key := rpmtest.Key(t)
	spec := signedSpec(key)
	spec.Files[0].Body = "short"
	pkg := rpmtest.Build(t, spec)
	ring := rpmtest.Ring(key)
	start := len(pkg) - len(rpmtest.TakeApart(t, pkg).Signed())
	for at := start; at < len(pkg); at += 7 {
		if _, err := rpm.Verify(bytes.NewReader(flip(pkg, at)), ring); err == nil {
			t.Errorf("byte %d of %d is changed, and Verify does not see it", at, len(pkg))
		}
	}
	for size := 0; size < len(pkg); size += 11 {
		if _, err := rpm.Verify(bytes.NewReader(pkg[:size]), ring); err == nil {
			t.Errorf("cut to %d of %d bytes, and Verify does not see it", size, len(pkg))
		}
	}
}

func TestVerifySourceBreaks(t *testing.T) {
	pkg := rpmtest.Build(t, signedSpec(rpmtest.Key(t)))
	broken := errors.New("line cut")
	for _, size := range []int{0, 50, 100, 200, 2000, len(pkg) - 1} {
		r := io.MultiReader(bytes.NewReader(pkg[:size]), iotest.ErrReader(broken))
		_, err := rpm.Verify(r, rpmtest.Ring(rpmtest.Key(t)))
		if _, malformed := errors.AsType[*rpm.FormatError](err); malformed || !errors.Is(err, broken) {
			t.Errorf("broken after %d bytes: %v, want the error of the reader", size, err)
		}
	}
}

func TestVerifyWeakSaysSigner(t *testing.T) {
	key := rpmtest.Key(t)
	built := rpmtest.TakeApart(t, rpmtest.Build(t, signedSpec(key)))
	pkg := built.WithSignature(rpmtest.BinaryTag(sigPGP, rpmtest.SignV3(t, key, crypto.SHA1, built.Signed()))).Bytes()
	signer, err := rpm.Verify(bytes.NewReader(pkg), rpmtest.Ring(key))
	want := &rpm.WeakSignatureError{KeyID: key.ID, Hash: crypto.SHA1}
	if diff := cmp.Diff(error(want), err); diff != "" || signer != key.ID {
		t.Errorf("Verify() = %q, (-want +got)\n%s", signer, diff)
	}
}

func TestVerifyKeyNotForUse(t *testing.T) {
	pkg := func(key *rpmtest.Signer) io.Reader { return bytes.NewReader(rpmtest.Build(t, signedSpec(key))) }
	revoked := rpmtest.OtherKey(t)
	revokedPackage := pkg(revoked)
	if err := revoked.Entity.RevokeKey(packet.NoReason, "", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := rpm.Verify(revokedPackage, rpmtest.Ring(revoked)); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("revoked key: %v", err)
	}
	certifier := rpmtest.OtherKey(t)
	for _, id := range certifier.Entity.Identities {
		id.SelfSignature.FlagSign = false
	}
	built := rpmtest.TakeApart(t, rpmtest.Build(t, signedSpec(nil)))
	certifierPackage := built.WithSignature(rpmtest.BinaryTag(sigRSA, signBare(t, certifier, built.Main))).Bytes()
	if _, err := rpm.Verify(bytes.NewReader(certifierPackage), rpmtest.Ring(certifier)); err == nil || !strings.Contains(err.Error(), "not for signing") {
		t.Errorf("key not for signing: %v", err)
	}
}

// weakDigestSpec is a package that holds an MD5 of its payload in the place of the SHA-256.
func weakDigestSpec(t *testing.T) rpmtest.Spec {
	t.Helper()
	spec := signedSpec(nil)
	payload := rpmtest.TakeApart(t, rpmtest.Build(t, spec)).Payload
	spec.Tags = map[int]rpmpack.IndexEntry{
		tagPayloadDigest:     rpmpack.EntryStringSlice([]string{fmt.Sprintf("%x", md5.Sum(payload))}),
		tagPayloadDigestAlgo: rpmpack.EntryInt32([]int32{1}),
	}
	return spec
}

func publicKeyPacket(t *testing.T, key *rpmtest.Signer) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := key.Entity.PrimaryKey.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func signText(t *testing.T, key *rpmtest.Signer, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := openpgp.DetachSignText(&out, key.Entity, bytes.NewReader(data), nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// signBare signs with the primary key, whatever the key says it is for.
func signBare(t *testing.T, key *rpmtest.Signer, data []byte) []byte {
	t.Helper()
	sig := &packet.Signature{
		Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: key.Entity.PrimaryKey.PubKeyAlgo, Hash: crypto.SHA256,
		CreationTime: rpmtest.Built, IssuerKeyId: &key.Entity.PrimaryKey.KeyId,
	}
	h := crypto.SHA256.New()
	h.Write(data)
	var out bytes.Buffer
	if err := errors.Join(sig.Sign(h, key.Entity.PrivateKey, nil), sig.Serialize(&out)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestVerifyLikeRPM asks rpm about packages that the tests made by hand, so that what they
// think a signature of version 3 looks like is not only their own belief.
func TestVerifyLikeRPM(t *testing.T) {
	rpmkeys := rpmtest.Tool(t, "rpmkeys")
	key := rpmtest.Key(t)
	dir := t.TempDir()
	check := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), rpmkeys, append([]string{"--dbpath", dir}, args...)...).CombinedOutput()
		return string(out), err
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if out, err := check("--import", write("key.asc", []byte(key.Armor))); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	old := rpmtest.TakeApart(t, rpmtest.Build(t, signedSpec(key))).Without(t, tagPayloadDigest)
	sha1sum, md5sum := sha1.Sum(old.Main), md5.Sum(old.Signed())
	for _, tt := range []struct {
		name string
		over []byte
		ok   bool
	}{{"version 3", old.Signed(), true}, {"version 3 of something else", []byte("else"), false}} {
		pkg := old.WithSignature(
			rpmtest.BinaryTag(sigRSA, rpmtest.SignV3(t, key, crypto.SHA256, old.Main)), rpmtest.StringTag(sigSHA1, fmt.Sprintf("%x", sha1sum)),
			rpmtest.BinaryTag(sigPGP, rpmtest.SignV3(t, key, crypto.SHA256, tt.over)), rpmtest.BinaryTag(sigMD5, md5sum[:])).Bytes()
		out, theirs := check("-Kv", write("p.rpm", pkg))
		_, ours := rpm.Verify(bytes.NewReader(pkg), rpmtest.Ring(key))
		if (theirs == nil) != tt.ok || (ours == nil) != tt.ok || !strings.Contains(out, "V3 RSA/SHA256") {
			t.Errorf("%s: want ok %v, rpm: %v, Verify: %v\n%s", tt.name, tt.ok, theirs, ours, out)
		}
	}
}
