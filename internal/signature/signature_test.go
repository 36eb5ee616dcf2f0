package signature

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/fuzztest"
)

func number(t testing.TB, hex string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(hex, 16)
	if !ok {
		t.Fatal(hex)
	}
	return n
}

// fixed returns the key of RFC 6979, A.2.5.
func fixed(t testing.TB) *PrivateKey {
	t.Helper()
	raw := number(t, "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721").FillBytes(make([]byte, 32))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	k, err := newPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func generate(t testing.TB) *PrivateKey {
	t.Helper()
	k, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, k *PrivateKey, root digest.Digest) Signature {
	t.Helper()
	s, err := k.Sign(root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// RFC 6979, A.2.5, SHA-256: what is signed is the message, whose digest is that of a root.
func TestSignIsDeterministic(t *testing.T) {
	for _, c := range []struct{ message, r, s string }{
		{"sample", "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716", "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"},
		{"test", "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367", "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"},
	} {
		want, err := asn1.Marshal(struct{ R, S *big.Int }{number(t, c.r), number(t, c.s)})
		if err != nil {
			t.Fatal(err)
		}
		if got := sign(t, fixed(t), digest.FromString(c.message)).Encode(); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", c.message, got, want)
		}
	}
	k := generate(t)
	if a, b := sign(t, k, digest.FromString("x")), sign(t, k, digest.FromString("x")); !bytes.Equal(a.Encode(), b.Encode()) {
		t.Error("one root, one key, two signatures")
	}
}

func TestBy(t *testing.T) {
	k, other := generate(t), generate(t)
	root := digest.FromString("root")
	s := sign(t, k, root)
	for _, c := range []struct {
		name string
		s    Signature
		root digest.Digest
		keys []PublicKey
		want bool
	}{
		{"its key", s, root, []PublicKey{k.Public}, true},
		{"among others", s, root, []PublicKey{other.Public, k.Public}, true},
		{"another key", s, root, []PublicKey{other.Public}, false},
		{"no key", s, root, nil, false},
		{"another root", s, digest.FromString("other"), []PublicKey{k.Public}, false},
		{"no root", s, "", []PublicKey{k.Public}, false},
		{"a root of another algorithm", s, digest.SHA512.FromString("root"), []PublicKey{k.Public}, false},
		{"no signature", Signature{}, root, []PublicKey{k.Public}, false},
	} {
		if by, ok := c.s.By(c.root, c.keys); ok != c.want || ok && by.ID != k.Public.ID {
			t.Errorf("%s: %v by %s", c.name, ok, by.ID)
		}
	}
	for _, bad := range []digest.Digest{"", "sha256:x", digest.SHA512.FromString("root")} {
		if _, err := k.Sign(bad); err == nil {
			t.Errorf("%q was signed", bad)
		}
	}
}

func der(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

type pair struct{ R, S *big.Int }

// p384 is a signature of another kind.
func p384(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte("root"))
	raw, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDecode(t *testing.T) {
	good := sign(t, fixed(t), digest.FromString("root")).Encode()
	text := base64.StdEncoding.EncodeToString(good)
	n, one := elliptic.P256().Params().N, big.NewInt(1)
	long := append([]byte{0x30, 0x81}, good[1:]...) // the length in more bytes than it takes
	for _, c := range []struct{ name, raw, want string }{
		{"DER", string(good), ""},
		{"base64", text, ""},
		{"base64 and a line break", text + "\n", ""},
		{"base64 and a line break of Windows", text + "\r\n", ""},
		{"the least", string(der(t, pair{one, one})), ""},
		{"nothing", "", "empty"},
		{"a line break", "\n", "neither"},
		{"text", "no signature", "neither"},
		{"DER and a line break", string(good) + "\n", "1 bytes follow"},
		{"DER and a zero", string(good) + "\x00", "1 bytes follow"},
		{"twice", string(good) + string(good), "bytes follow"},
		{"cut", string(good[:len(good)-1]), "neither"},
		{"a longer length", string(long), "neither"},
		{"base64 and two line breaks", text + "\n\n", "neither"},
		{"base64 with a space", " " + text, "neither"},
		{"base64 in two lines", text[:40] + "\n" + text[40:], "neither"},
		{"base64 of more", base64.StdEncoding.EncodeToString(append(bytes.Clone(good), 0)), "1 bytes follow"},
		{"base64 of nothing", "====", "neither"},
		{"zero", string(der(t, pair{new(big.Int), one})), "none of the curve"},
		{"negative", string(der(t, pair{one, big.NewInt(-1)})), "none of the curve"},
		{"the order", string(der(t, pair{one, n})), "none of the curve"},
		{"three numbers", string(der(t, struct{ A, B, C *big.Int }{one, one, one})), "not in DER form"},
		{"one number", string(der(t, struct{ A *big.Int }{one})), "neither"},
		{"P-384", string(p384(t)), "none of the curve"},
		{"cosign's bundle", `{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}`, "JSON"},
		{"PEM", "-----BEGIN SIGNATURE-----\n" + text + "\n-----END SIGNATURE-----\n", "neither"},
	} {
		s, err := Decode([]byte(c.raw))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err == nil && c.name != "the least" && !bytes.Equal(s.Encode(), good) {
			t.Errorf("%s: %x", c.name, s.Encode())
		}
	}
}

// Each flipped bit of a good signature is refused, or fits nothing.
func TestFlippedBits(t *testing.T) {
	k, root := fixed(t), digest.FromString("root")
	good := sign(t, k, root).Encode()
	for _, raw := range [][]byte{good, []byte(base64.StdEncoding.EncodeToString(good))} {
		for i := range len(raw) * 8 {
			bad := bytes.Clone(raw)
			bad[i/8] ^= 1 << (i % 8)
			if s, err := Decode(bad); err == nil {
				if _, ok := s.By(root, []PublicKey{k.Public}); ok {
					t.Errorf("bit %d flipped: it still fits", i)
				}
			}
		}
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	good := sign(t, fixed(t), digest.FromString("root")).Encode()
	for name, raw := range map[string][]byte{"good": good, "large": bytes.Repeat([]byte("A"), maxFile+1), "secret": []byte("hunter2")} {
		if err := os.WriteFile(at(name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(syscall.Mkfifo(at("fifo"), 0o600), os.Symlink("/dev/zero", at("zero"))); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadFile(at("good")); err != nil || !bytes.Equal(s.Encode(), good) {
		t.Errorf("%v", err)
	}
	for name, want := range map[string]string{"large": "too large", "secret": "neither"} {
		_, err := ReadFile(at(name))
		e, ok := errors.AsType[*FormatError](err)
		if !ok || e.ExitCode() != 5 || !strings.Contains(err.Error(), at(name)+": ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"fifo", "zero", "absent", "."} {
		if _, err := ReadFile(at(name)); !isPathError(err) || name == "absent" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func isPathError(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}

func FuzzDecode(f *testing.F) {
	k := fixed(f)
	good := sign(f, k, digest.FromString("root")).Encode()
	f.Add(good)
	f.Add([]byte(base64.StdEncoding.EncodeToString(good) + "\n"))
	f.Add(p384(f))
	f.Add(append(bytes.Clone(good), '\n'))
	fuzztest.Run(f, func(t *testing.T, raw []byte) {
		s, err := Decode(raw)
		if err != nil {
			return
		}
		again, err := Decode(s.Encode())
		if err != nil || !bytes.Equal(again.Encode(), s.Encode()) || len(s.Encode()) > 72 {
			t.Fatalf("%x: %v", raw, err)
		}
		if _, ok := s.By(digest.FromString("another root"), []PublicKey{k.Public}); ok {
			t.Fatalf("%x is forged", raw)
		}
	})
}
