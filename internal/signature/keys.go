package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/digestio"
)

// What PEM blocks are called: RFC 5958 (PKCS #8), RFC 5915 (SEC 1), RFC 7468.
const (
	blockPrivate    = "PRIVATE KEY"
	blockSEC1       = "EC PRIVATE KEY"
	blockParameters = "EC PARAMETERS" // openssl ecparam -genkey writes it before the key
	blockPublic     = "PUBLIC KEY"
)

// Bounds of key files.
const maxKeyFile, maxKeys = 64 << 10, 100

// A KeyError says what is wrong with a key file. Nothing of its content is in it.
type KeyError struct {
	Path, Msg string
	Kind      bool // it is a key, of a kind that signatures of bundles are not made with
	Open      bool // others can read it, and it is private
}

func (e *KeyError) Error() string { return "key " + e.Path + ": " + e.Msg }

// Advice says what to do where that does not follow from the exit code, for reports.
func (e *KeyError) Advice() string {
	if e.Kind {
		return makeOne
	}
	return ""
}

// ExitCode is that of malformed input, of trust for a key of another kind, and of local
// matters for its permissions.
func (e *KeyError) ExitCode() int {
	switch {
	case e.Kind:
		return exitTrust
	case e.Open:
		return 9
	}
	return 2
}

// A PublicKey checks signatures.
type PublicKey struct {
	ID  digest.Digest // sha256 of its SubjectPublicKeyInfo in DER
	key *ecdsa.PublicKey
	der []byte
}

func newPublicKey(key *ecdsa.PublicKey) (PublicKey, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	return PublicKey{digest.FromBytes(der), key, der}, err
}

// Encode returns the key as PEM of its SubjectPublicKeyInfo.
func (k PublicKey) Encode() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockPublic, Bytes: k.der})
}

// A PrivateKey makes signatures.
type PrivateKey struct {
	Public PublicKey
	key    *ecdsa.PrivateKey
}

func newPrivateKey(key *ecdsa.PrivateKey) (*PrivateKey, error) {
	public, err := newPublicKey(&key.PublicKey)
	return &PrivateKey{public, key}, err
}

// Generate makes a new key.
func Generate() (*PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return newPrivateKey(key)
}

// Encode returns the key as PEM of its PKCS #8 form, not encrypted.
func (k *PrivateKey) Encode() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	return pem.EncodeToMemory(&pem.Block{Type: blockPrivate, Bytes: der}), err
}

// Sign signs the root with this digest. One key gives one root one signature.
func (k *PrivateKey) Sign(root digest.Digest) (Signature, error) {
	hash, err := hashOf(root)
	if err != nil {
		return Signature{}, fmt.Errorf("sign the root: %w", err)
	}
	der, err := k.key.Sign(nil, hash, crypto.SHA256) // without a source of chance: RFC 6979
	if err != nil {
		return Signature{}, fmt.Errorf("sign %s: %w", root, err)
	}
	s := Signature{der}
	if _, ok := s.By(root, []PublicKey{k.Public}); !ok {
		return Signature{}, fmt.Errorf("sign %s: the signature does not fit the key", root)
	}
	return s, nil
}

// ReadPrivateKey reads a private key, which nobody but its owner may be able to read. What
// is wrong with the file is a *KeyError.
func ReadPrivateKey(path string) (*PrivateKey, error) {
	raw, mode, err := readKey(path)
	if err != nil {
		return nil, err
	}
	k, err := DecodePrivateKey(raw)
	if err == nil && mode.Perm()&0o077 != 0 {
		return nil, &KeyError{Path: path, Open: true, Msg: fmt.Sprintf("others can read this private key (mode %04o): chmod 600 it, or mount a medium without modes with umask=077; if others may have read it, make a new one", mode.Perm())}
	}
	return k, at(path, err)
}

// ReadPublicKeys reads the public keys in a file, and its permissions. What is wrong with it
// is a *KeyError.
func ReadPublicKeys(path string) ([]PublicKey, fs.FileMode, error) {
	raw, mode, err := readKey(path)
	if err != nil {
		return nil, 0, err
	}
	keys, err := DecodePublicKeys(raw)
	return keys, mode, at(path, err)
}

func readKey(path string) ([]byte, fs.FileMode, error) {
	raw, mode, err := read(path, maxKeyFile)
	if _, large := errors.AsType[*digestio.LimitError](err); large {
		return nil, 0, &KeyError{Path: path, Msg: "it is too large for a key file"}
	}
	return raw, mode, err
}

// at names the file in an error.
func at(path string, err error) error {
	if e, ok := errors.AsType[*KeyError](err); ok {
		e.Path = path
	}
	return err
}

func malformed(format string, args ...any) error {
	return &KeyError{Path: "file", Msg: fmt.Sprintf(format, args...)}
}

// DecodePrivateKey reads one private key in PEM, PKCS #8 or SEC 1, that is not encrypted.
// Every error is a *KeyError.
func DecodePrivateKey(raw []byte) (*PrivateKey, error) {
	blocks, err := decodePEM(raw)
	if err != nil {
		return nil, err
	}
	var key any
	for _, b := range blocks {
		switch {
		case b.Type == blockParameters:
			continue // the key names its curve, too
		case b.Type == "ENCRYPTED PRIVATE KEY", b.Headers["DEK-Info"] != "":
			return nil, malformed("it is encrypted: openssl pkey -in KEY -out PLAIN, with umask 077, writes it without")
		case b.Type == "ENCRYPTED SIGSTORE PRIVATE KEY", b.Type == "ENCRYPTED COSIGN PRIVATE KEY":
			return nil, malformed("it is cosign's, encrypted: sign the root with cosign sign-blob, or use a key of bundler keygen")
		case b.Type == blockPublic:
			return nil, malformed("it is a public key: signing takes the private one")
		case key != nil:
			return nil, malformed("there are several keys in it: one signs")
		case b.Type == blockPrivate:
			key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
		case b.Type == blockSEC1:
			key, err = x509.ParseECPrivateKey(b.Bytes)
		default:
			return nil, other(b.Type)
		}
		if err != nil {
			return nil, unreadable(b.Bytes)
		}
	}
	if key == nil {
		return nil, malformed("there is no private key in it")
	}
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok || k.Curve != elliptic.P256() {
		return nil, wrongKind(kindOf(key))
	}
	return newPrivateKey(k)
}

// DecodePublicKeys reads public keys in PEM, each once, in the order of the file. Every error is a *KeyError.
func DecodePublicKeys(raw []byte) ([]PublicKey, error) {
	blocks, err := decodePEM(raw)
	if err != nil {
		return nil, err
	}
	var keys []PublicKey
	seen := map[digest.Digest]bool{}
	for _, b := range blocks {
		if b.Type == blockPrivate || b.Type == blockSEC1 || strings.HasPrefix(b.Type, "ENCRYPTED ") {
			return nil, malformed("there is a private key in it, which must not leave the signing side: openssl pkey -in KEY -pubout writes the public one; if others may have read this file, make a new key")
		}
		if b.Type != blockPublic {
			return nil, other(b.Type)
		}
		key, err := x509.ParsePKIXPublicKey(b.Bytes)
		if err != nil {
			return nil, unreadable(b.Bytes)
		}
		k, ok := key.(*ecdsa.PublicKey)
		if !ok || k.Curve != elliptic.P256() {
			return nil, wrongKind(kindOf(key))
		}
		public, err := newPublicKey(k)
		if err != nil {
			return nil, malformed("%v", err)
		}
		if !seen[public.ID] {
			seen[public.ID] = true
			keys = append(keys, public)
		}
	}
	return keys, nil
}

// decodePEM returns all blocks of a file, at least one. The library passes over what it
// cannot read: a damaged key would silently be none.
func decodePEM(raw []byte) ([]*pem.Block, error) {
	var blocks []*pem.Block
	for rest := raw; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if blocks = append(blocks, b); len(blocks) > maxKeys {
			return nil, malformed("there are more than %d keys in it", maxKeys)
		}
	}
	switch begun := bytes.Count(raw, []byte("-----BEGIN")); {
	case begun == 0:
		return nil, malformed("there is no key in PEM form in it (-----BEGIN ...)")
	case begun != len(blocks):
		return nil, malformed("it is damaged: %d keys begin in it, and %d are whole (each BEGIN and END line must stand alone, without spaces or a byte order mark before it): copy it again, as plain text", begun, len(blocks))
	}
	return blocks, nil
}

func other(kind string) error {
	return malformed("there is a block %.40q in it: wanted are keys alone", kind)
}
