package rpmtest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// A Signer is an OpenPGP key that signs packages. It lives as long as the test process.
type Signer struct {
	ID     string // 16 hexadecimal digits, lower case
	Armor  string // the public key, as `rpmkeys --import` and gpgkey= take it
	Entity *openpgp.Entity
}

// makeKey makes the key of the process when it is first asked for.
var makeKey = sync.OnceValues(func() (*Signer, error) {
	return newKey("airbundle test", packet.PubKeyAlgoRSA)
})

// Key returns the signing key of the test process, an RSA key as distributions
// have. All tests of a process share it, because making one takes a while.
func Key(tb testing.TB) *Signer {
	tb.Helper()
	k, err := makeKey()
	if err != nil {
		tb.Fatalf("make signing key: %v", err)
	}
	return k
}

// OtherKey returns a new key that nobody knows. It is an Ed25519 key.
func OtherKey(tb testing.TB) *Signer {
	tb.Helper()
	k, err := newKey("airbundle stranger", packet.PubKeyAlgoEdDSA)
	if err != nil {
		tb.Fatalf("make other key: %v", err)
	}
	return k
}

func newKey(name string, algorithm packet.PublicKeyAlgorithm) (*Signer, error) {
	config := signConfig()
	config.Algorithm = algorithm
	config.RSABits = 2048
	e, err := openpgp.NewEntity(name, "", "test@invalid", config)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	var public bytes.Buffer
	w, err := armor.Encode(&public, openpgp.PublicKeyType, nil)
	if err != nil {
		return nil, fmt.Errorf("armor key: %w", err)
	}
	if err := e.Serialize(w); err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("armor key: %w", err)
	}
	public.WriteByte('\n')
	return &Signer{ID: fmt.Sprintf("%016x", e.PrimaryKey.KeyId), Armor: public.String(), Entity: e}, nil
}

// Private returns the armored private key, locked with a passphrase unless that is empty.
func (k *Signer) Private(tb testing.TB, passphrase string) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PrivateKeyType, nil)
	if err == nil {
		err = k.Entity.SerializePrivate(w, signConfig())
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil || passphrase == "" {
		return out.Bytes()
	}
	copied, err := openpgp.ReadArmoredKeyRing(&out)
	if err == nil {
		err = copied[0].EncryptPrivateKeys([]byte(passphrase), signConfig())
	}
	if err != nil {
		tb.Fatalf("lock private key: %v", err)
	}
	var locked bytes.Buffer
	if w, err = armor.Encode(&locked, openpgp.PrivateKeyType, nil); err == nil {
		err = copied[0].SerializePrivateWithoutSigning(w, nil)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatalf("write private key: %v", err)
	}
	return locked.Bytes()
}

// Sign returns a binary detached signature over data, made with SHA-256.
func (k *Signer) Sign(data []byte) ([]byte, error) {
	var sig bytes.Buffer
	err := openpgp.DetachSign(&sig, k.Entity, bytes.NewReader(data), signConfig())
	return sig.Bytes(), err
}

// Ring returns the public keys of keys, as rpm.Verify takes them.
func Ring(keys ...*Signer) openpgp.EntityList {
	var ring openpgp.EntityList
	for _, k := range keys {
		ring = append(ring, k.Entity)
	}
	return ring
}

// signConfig makes signatures repeatable: they hold the moment at which they were
// made, and by default a random notation.
func signConfig() *packet.Config {
	repeatable := false
	return &packet.Config{
		Time:                                  func() time.Time { return Built },
		NonDeterministicSignaturesViaNotation: &repeatable,
	}
}
