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
	built := takeApart(t, rpmtest.Build(t, signedSpec(key)))
	old := built.without(t, tagPayloadDigest) // as rpm before 4.14 makes them
	md5sum, sha1sum := md5.Sum(old.signed()), sha1.Sum(old.main)

	for _, tt := range []struct {
		name string
		pkg  parts
	}{
		{"as built", built},
		{"header only, payload digest in the header", built.withSignature(binaryTag(sigRSA, sign(t, key, built.main)))},
		{"old, over header and payload", old.withSignature(
			binaryTag(sigRSA, sign(t, key, old.main)), stringTag(sigSHA1, fmt.Sprintf("%x", sha1sum)),
			binaryTag(sigPGP, sign(t, key, old.signed())), binaryTag(sigMD5, md5sum[:]))},
		{"old, signed in version 3", old.withSignature(
			binaryTag(sigRSA, signV3(t, key, crypto.SHA256, old.main)),
			binaryTag(sigPGP, signV3(t, key, crypto.SHA256, old.signed())))},
		{"a stranger's too", built.withSignature(
			binaryTag(sigDSA, sign(t, rpmtest.OtherKey(t), built.main)), binaryTag(sigRSA, sign(t, key, built.main)))},
		{"an unreadable one too", built.withSignature(
			binaryTag(sigDSA, []byte("no signature")), binaryTag(sigRSA, sign(t, key, built.main)))},
		{"in the list of rpm 6", built.withSignature(
			stringTag(sigOpenPGP, base64.StdEncoding.EncodeToString(sign(t, key, built.main))))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole": bytes.NewReader(tt.pkg.bytes()),
				"bytes": iotest.OneByteReader(bytes.NewReader(tt.pkg.bytes())),
				"eof":   iotest.DataErrReader(bytes.NewReader(tt.pkg.bytes())),
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
	built := takeApart(t, rpmtest.Build(t, signedSpec(key)))
	good := built.bytes()
	old := built.without(t, tagPayloadDigest)
	md5sum := md5.Sum(old.signed())
	unsigned := rpmtest.Build(t, signedSpec(nil))
	headerAt := len(good) - len(built.signed())
	weakDigest := takeApart(t, rpmtest.Build(t, weakDigestSpec(t)))

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
		{"header flipped", flip(good, headerAt+len(built.main)-100), is[*rpm.DigestError]("header SHA-256")},
		{"unsigned", unsigned, isErr(rpm.ErrUnsigned)},
		{"unsigned and damaged", flip(unsigned, len(unsigned)-9), is[*rpm.DigestError]("")},
		{"unsigned, nothing but MD5", old.withSignature(binaryTag(sigMD5, md5sum[:])).bytes(), isErr(rpm.ErrUnsigned)},
		{"MD5 wrong", old.withSignature(binaryTag(sigMD5, flip(md5sum[:], 3))).bytes(), is[*rpm.DigestError]("MD5")},
		{"SHA-1 wrong", built.withSignature(stringTag(sigSHA1, "00")).bytes(), is[*rpm.DigestError]("header SHA-1")},
		{"signed by a stranger", rpmtest.Build(t, signedSpec(stranger)), is[*rpm.UnknownSignerError](stranger.ID)},
		{"header signed, payload only in MD5", old.withSignature(
			binaryTag(sigRSA, sign(t, key, old.main)), binaryTag(sigMD5, md5sum[:])).bytes(), isErr(rpm.ErrPayloadNotCovered)},
		{"header signed, MD5 of the payload in it", weakDigest.withSignature(
			binaryTag(sigRSA, sign(t, key, weakDigest.main))).bytes(), isErr(rpm.ErrPayloadNotCovered)},
		{"header signed, payload exchanged", parts{old.lead, old.signature, old.main, []byte("other")}.withSignature(
			binaryTag(sigRSA, sign(t, key, old.main))).bytes(), isErr(rpm.ErrPayloadNotCovered)},
		{"signature of something else", built.withSignature(
			binaryTag(sigPGP, sign(t, key, []byte("something else")))).bytes(), is[*rpm.BadSignatureError](key.ID)},
		{"one good, one bad", built.withSignature(binaryTag(sigRSA, sign(t, key, built.main)),
			binaryTag(sigPGP, sign(t, key, built.main))).bytes(), is[*rpm.BadSignatureError](key.ID)},
		{"version 3 of something else", built.withSignature(
			binaryTag(sigPGP, signV3(t, key, crypto.SHA256, built.main))).bytes(), is[*rpm.BadSignatureError](key.ID)},
		{"version 3 with MD5", built.withSignature(
			binaryTag(sigPGP, signV3(t, key, crypto.MD5, built.signed()))).bytes(), is[*rpm.BadSignatureError]("unreadable")},
		{"SHA-1 signature", built.withSignature(
			binaryTag(sigPGP, signV3(t, key, crypto.SHA1, built.signed()))).bytes(), is[*rpm.WeakSignatureError](key.ID)},
		{"no OpenPGP", built.withSignature(binaryTag(sigPGP, []byte("hello"))).bytes(), is[*rpm.BadSignatureError]("unreadable")},
		{"a public key for a signature", built.withSignature(
			binaryTag(sigPGP, publicKeyPacket(t, key))).bytes(), is[*rpm.BadSignatureError]("not a signature")},
		{"two packets", built.withSignature(binaryTag(sigRSA,
			append(sign(t, key, built.main), sign(t, key, built.main)...))).bytes(), is[*rpm.BadSignatureError]("bytes")},
		{"list of rpm 6 not in base64", built.withSignature(stringTag(sigOpenPGP, "!")).bytes(), is[*rpm.FormatError]("tag 278")},
		{"text signature", built.withSignature(
			binaryTag(sigPGP, signText(t, key, built.signed()))).bytes(), is[*rpm.BadSignatureError]("not of binary data")},
		{"signatures as numbers", built.withSignature(tag{sigRSA, kindInt32, 1, make([]byte, 4)}).bytes(), is[*rpm.FormatError]("tag 268")},
		{"too many signatures", built.withSignature(
			tag{sigOpenPGP, kindStrings, 17, make([]byte, 17)}).bytes(), is[*rpm.FormatError]("17 signatures")},
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
	start := len(pkg) - len(takeApart(t, pkg).signed())
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
	built := takeApart(t, rpmtest.Build(t, signedSpec(key)))
	pkg := built.withSignature(binaryTag(sigPGP, signV3(t, key, crypto.SHA1, built.signed()))).bytes()
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
	built := takeApart(t, rpmtest.Build(t, signedSpec(nil)))
	certifierPackage := built.withSignature(binaryTag(sigRSA, signBare(t, certifier, built.main))).bytes()
	if _, err := rpm.Verify(bytes.NewReader(certifierPackage), rpmtest.Ring(certifier)); err == nil || !strings.Contains(err.Error(), "not for signing") {
		t.Errorf("key not for signing: %v", err)
	}
}

// weakDigestSpec is a package that holds an MD5 of its payload in the place of the SHA-256.
func weakDigestSpec(t *testing.T) rpmtest.Spec {
	t.Helper()
	spec := signedSpec(nil)
	payload := takeApart(t, rpmtest.Build(t, spec)).payload
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
	old := takeApart(t, rpmtest.Build(t, signedSpec(key))).without(t, tagPayloadDigest)
	sha1sum, md5sum := sha1.Sum(old.main), md5.Sum(old.signed())
	for _, tt := range []struct {
		name string
		over []byte
		ok   bool
	}{{"version 3", old.signed(), true}, {"version 3 of something else", []byte("else"), false}} {
		pkg := old.withSignature(
			binaryTag(sigRSA, signV3(t, key, crypto.SHA256, old.main)), stringTag(sigSHA1, fmt.Sprintf("%x", sha1sum)),
			binaryTag(sigPGP, signV3(t, key, crypto.SHA256, tt.over)), binaryTag(sigMD5, md5sum[:])).bytes()
		out, theirs := check("-Kv", write("p.rpm", pkg))
		_, ours := rpm.Verify(bytes.NewReader(pkg), rpmtest.Ring(key))
		if (theirs == nil) != tt.ok || (ours == nil) != tt.ok || !strings.Contains(out, "V3 RSA/SHA256") {
			t.Errorf("%s: want ok %v, rpm: %v, Verify: %v\n%s", tt.name, tt.ok, theirs, ours, out)
		}
	}
}
