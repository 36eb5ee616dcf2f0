package signature

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/fuzztest"
)

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// must is for keys that cannot fail to be made.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func private(k *PrivateKey) string { return string(must(k.Encode())) }

// foreign are key pairs of other kinds, private and public, in PEM.
var foreign = sync.OnceValue(func() map[string][2]string {
	out := map[string][2]string{}
	add := func(name string, private, public any) {
		out[name] = [2]string{block(blockPrivate, must(x509.MarshalPKCS8PrivateKey(private))), block(blockPublic, must(x509.MarshalPKIXPublicKey(public)))}
	}
	for name, curve := range map[string]elliptic.Curve{"P-224": elliptic.P224(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		k := must(ecdsa.GenerateKey(curve, rand.Reader))
		add("an ECDSA key on "+name, k, &k.PublicKey)
	}
	r := must(rsa.GenerateKey(rand.Reader, 2048))
	add("an RSA key", r, &r.PublicKey)
	public, ed, _ := ed25519.GenerateKey(rand.Reader)
	add("an Ed25519 key", ed, public)
	x := must(ecdh.X25519().GenerateKey(rand.Reader))
	add("an X25519 key", x, x.PublicKey())
	// What the library does not know: our own key, with other identifiers.
	k := must(Generate())
	public256, _ := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})
	secp256k1, _ := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 132, 0, 10})
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(k.key))
	out["an ECDSA key on secp256k1"] = [2]string{
		block(blockPrivate, shrink(pkcs8, public256, secp256k1)),
		block(blockPublic, shrink(k.Public.der, public256, secp256k1)),
	}
	return out
})

// shrink puts a shorter identifier in the place of another one, in DER with lengths of one
// byte, or of two at the outside.
func shrink(raw, old, new []byte) []byte {
	i := bytes.Index(raw, old)
	out := append(append(bytes.Clone(raw[:i]), new...), raw[i+len(old):]...)
	less := byte(len(old) - len(new))
	if out[1] == 0x81 {
		out[2] -= less
	} else {
		out[1] -= less
	}
	// The algorithm's own sequence holds one identifier of 9 bytes before this one.
	out[i-10] -= less
	return out
}

func TestDecodePrivateKey(t *testing.T) {
	k := generate(t)
	pkcs8 := private(k)
	sec1 := block(blockSEC1, must(x509.MarshalECPrivateKey(k.key)))
	parameters := block(blockParameters, must(asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})))
	legacy := strings.Replace(sec1, "-----BEGIN EC PRIVATE KEY-----\n", "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1)
	for _, c := range []struct{ name, raw, want string }{
		{"PKCS #8", pkcs8, ""},
		{"SEC 1", sec1, ""},
		{"SEC 1 with its parameters", parameters + sec1, ""},
		{"text around it", "# mine\n" + pkcs8 + "# end\n", ""},
		{"lines of Windows", strings.ReplaceAll(pkcs8, "\n", "\r\n"), ""},
		{"nothing", "", "no key in PEM form"},
		{"DER", string(must(x509.MarshalPKCS8PrivateKey(k.key))), "no key in PEM form"},
		{"parameters alone", parameters, "no private key"},
		{"two", pkcs8 + pkcs8, "several keys"},
		{"two, one damaged", pkcs8 + strings.Replace(pkcs8, "M", "!", 1), "2 keys begin in it, and 1 are whole"},
		{"cut", pkcs8[:len(pkcs8)-10], "1 keys begin in it, and 0 are whole"},
		{"cut inside", block(blockPrivate, must(x509.MarshalPKCS8PrivateKey(k.key))[:50]), "cannot be read"},
		{"public", string(k.Public.Encode()), "a public key"},
		{"encrypted", block("ENCRYPTED PRIVATE KEY", []byte("x")), "openssl pkey -in"},
		{"encrypted in the old way", legacy, "openssl pkey -in"},
		{"cosign's", block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("{}")), "cosign"},
		{"a certificate", block("CERTIFICATE", []byte("x")), `"CERTIFICATE"`},
	} {
		got, err := DecodePrivateKey([]byte(c.raw))
		if c.want == "" && (err != nil || got.Public.ID != k.Public.ID) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if e, ok := errors.AsType[*KeyError](err); err != nil && (!ok || e.ExitCode() != 2) {
			t.Errorf("%s: %v is no *KeyError of exit code 2", c.name, err)
		}
	}
	for name, pair := range foreign() {
		_, err := DecodePrivateKey([]byte(pair[0]))
		if e, ok := errors.AsType[*KeyError](err); !ok || e.ExitCode() != 5 || !strings.Contains(err.Error(), name+":") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodePublicKeys(t *testing.T) {
	a, b := generate(t), generate(t)
	one, two := string(a.Public.Encode()), string(b.Public.Encode())
	damaged := strings.Replace(two, "M", "!", 1)
	off := bytes.Clone(a.Public.der)
	off[len(off)-1] ^= 1 // the point is on the curve no more
	for _, c := range []struct {
		name, raw, want string
		keys            []PublicKey
	}{
		{"one", one, "", []PublicKey{a.Public}},
		{"two", one + two, "", []PublicKey{a.Public, b.Public}},
		{"one twice", one + two + one, "", []PublicKey{a.Public, b.Public}},
		{"comments", "# of 2026\n" + one + "\n# of 2027\n" + two, "", []PublicKey{a.Public, b.Public}},
		{"nothing", "", "no key in PEM form", nil},
		{"DER", string(a.Public.der), "no key in PEM form", nil},
		{"one damaged", one + damaged, "2 keys begin in it, and 1 are whole", nil},
		{"the first damaged", damaged + one, "2 keys begin in it", nil},
		{"off the curve", block(blockPublic, off), "cannot be read", nil},
		{"DER of nothing", block(blockPublic, nil), "cannot be read", nil},
		{"a private key", one + private(b), "must not leave", nil},
		{"an encrypted private key", block("ENCRYPTED PRIVATE KEY", []byte("x")), "must not leave", nil},
		{"a PGP key", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n", `"PGP PUBLIC KEY BLOCK"`, nil},
		{"too many", strings.Repeat(one, maxKeys+1), "more than 100", nil},
	} {
		keys, err := DecodePublicKeys([]byte(c.raw))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if e, ok := errors.AsType[*KeyError](err); err != nil && (!ok || e.ExitCode() != 2) {
			t.Errorf("%s: %v is no *KeyError of exit code 2", c.name, err)
		}
		if len(keys) != len(c.keys) {
			t.Errorf("%s: %d keys", c.name, len(keys))
			continue
		}
		for i, k := range keys {
			if k.ID != c.keys[i].ID || !bytes.Equal(k.Encode(), c.keys[i].Encode()) {
				t.Errorf("%s: key %d is %s", c.name, i, k.ID)
			}
		}
	}
	for name, pair := range foreign() {
		_, err := DecodePublicKeys([]byte(one + pair[1]))
		if e, ok := errors.AsType[*KeyError](err); !ok || e.ExitCode() != 5 || !strings.Contains(err.Error(), name+":") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The id of a key is what sha256sum says of its DER form.
func TestKeyID(t *testing.T) {
	b, _ := pem.Decode(fixed(t).Public.Encode())
	hash := sha256.Sum256(b.Bytes)
	if want := "sha256:" + hex.EncodeToString(hash[:]); string(fixed(t).Public.ID) != want || b.Type != "PUBLIC KEY" {
		t.Errorf("%s, want %s", fixed(t).Public.ID, want)
	}
}

func TestReadKeys(t *testing.T) {
	k, dir := generate(t), t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o700} {
		if got, err := ReadPrivateKey(write("good", private(k), mode)); err != nil || got.Public.ID != k.Public.ID {
			t.Errorf("%o: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o620, 0o602, 0o610} {
		_, err := ReadPrivateKey(write("open", private(k), mode))
		if e, ok := errors.AsType[*KeyError](err); !ok || e.ExitCode() != 9 || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%o: %v", mode, err)
		}
	}
	_, err := ReadPrivateKey(write("bad", "hunter2", 0o600))
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "bad")+": ") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	if keys, mode, err := ReadPublicKeys(write("public", string(k.Public.Encode()), 0o664)); err != nil || len(keys) != 1 || mode.Perm() != 0o664 {
		t.Errorf("%d keys, mode %o, %v", len(keys), mode, err)
	}
	_, _, err = ReadPublicKeys(write("large", string(k.Public.Encode())+strings.Repeat("#", maxKeyFile), 0o600))
	if e, ok := errors.AsType[*KeyError](err); !ok || e.Path != filepath.Join(dir, "large") {
		t.Errorf("%v", err)
	}
	if _, _, err := ReadPublicKeys(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// No error may hold a part of a private key, whatever is wrong with its file.
func TestErrorsHoldNoKey(t *testing.T) {
	text := private(generate(t))
	secret := strings.Split(text, "\n")[1]
	for i := range len(text) {
		for _, bad := range []string{text[:i], text[:i] + "!" + text[i:], strings.Replace(text, "PRIVATE", "ANOTHER", 1)[:i]} {
			if _, err := DecodePrivateKey([]byte(bad)); err != nil && strings.Contains(err.Error(), secret[:8]) {
				t.Fatalf("%v", err)
			}
		}
	}
}

func FuzzDecodePublicKeys(f *testing.F) {
	f.Add([]byte(fixed(f).Public.Encode()))
	f.Add(append(fixed(f).Public.Encode(), fixed(f).Public.Encode()...))
	f.Add([]byte(private(fixed(f))))
	for _, pair := range foreign() {
		f.Add([]byte(pair[1]))
	}
	fuzztest.Run(f, func(t *testing.T, raw []byte) {
		keys, err := DecodePublicKeys(raw)
		if err != nil {
			return
		}
		var all []byte
		for _, k := range keys {
			all = append(all, k.Encode()...)
		}
		again, err := DecodePublicKeys(all)
		if err != nil || len(again) != len(keys) || len(keys) == 0 {
			t.Fatalf("%d keys, then %d: %v", len(keys), len(again), err)
		}
	})
}

func FuzzDecodePrivateKey(f *testing.F) {
	f.Add([]byte(private(fixed(f))))
	f.Add([]byte(block(blockSEC1, must(x509.MarshalECPrivateKey(fixed(f).key)))))
	for _, pair := range foreign() {
		f.Add([]byte(pair[0]))
	}
	fuzztest.Run(f, func(t *testing.T, raw []byte) {
		k, err := DecodePrivateKey(raw)
		if err != nil {
			return
		}
		s, err := k.Sign(digest.FromString("root"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodePrivateKey(must(k.Encode()))
		if err != nil || !bytes.Equal(sign(t, again, digest.FromString("root")).Encode(), s.Encode()) {
			t.Fatalf("%v", err)
		}
	})
}
