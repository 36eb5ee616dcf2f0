package createrepo

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"airbundle/internal/rpm"
)

// ErrLocked says that a private key has a passphrase that was not given.
var ErrLocked = errors.New("the private key has a passphrase, and none is given")

// A Signer signs repomd.xml with one private key.
type Signer struct{ key *openpgp.Entity }

// NewSigner takes an armored private key, as gpg --export-secret-keys --armor writes it,
// and its passphrase, nil when it has none. A file of several keys is refused, and so is
// a key that cannot sign now. No error holds anything of key or passphrase.
func NewSigner(armored, passphrase []byte) (*Signer, error) {
	block, err := armor.Decode(bytes.NewReader(armored))
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("there is no armored key in it")
	case err != nil:
		return nil, fmt.Errorf("armor: %w", err)
	case block.Type == openpgp.PublicKeyType:
		return nil, errors.New("it is a public key: export the private one, gpg --export-secret-keys --armor")
	case block.Type != openpgp.PrivateKeyType:
		return nil, fmt.Errorf("it is a %q, want a private key", block.Type)
	}
	keys, err := openpgp.ReadKeyRing(block.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("private key: %w", err)
	case len(keys) != 1:
		return nil, fmt.Errorf("it holds %d keys, want one", len(keys))
	}
	s := &Signer{keys[0]}
	if err := s.unlock(passphrase); err != nil {
		return nil, err
	}
	if _, err := s.Sign(nil); err != nil {
		return nil, err
	}
	return s, nil
}

// unlock decrypts the private parts that are there. gpg leaves a stub in place of one that
// was taken out or is on a card: it cannot be used, and need not be.
func (s *Signer) unlock(passphrase []byte) error {
	parts := []*packet.PrivateKey{s.key.PrivateKey}
	for _, sub := range s.key.Subkeys {
		parts = append(parts, sub.PrivateKey)
	}
	for _, p := range parts {
		switch {
		case p == nil || p.Dummy() || !p.Encrypted:
		case len(passphrase) == 0:
			return ErrLocked
		case p.Decrypt(passphrase) != nil:
			return errors.New("the passphrase does not fit the private key")
		}
	}
	return nil
}

// Sign returns an armored detached signature with SHA-256, which clients look for at
// rpm.SignaturePath. It holds the time at which it was made.
func (s *Signer) Sign(repomd []byte) ([]byte, error) {
	plain := false // no random notation: old gpg has never seen one
	var out bytes.Buffer
	err := openpgp.ArmoredDetachSign(&out, s.key, bytes.NewReader(repomd), &packet.Config{NonDeterministicSignaturesViaNotation: &plain})
	if err != nil {
		return nil, fmt.Errorf("sign repomd.xml with key %s: %w", s.Fingerprint(), err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// Signed says whether signature is a valid one of repomd by this signer's key.
func (s *Signer) Signed(repomd, signature []byte) bool {
	_, err := openpgp.CheckArmoredDetachedSignature(openpgp.EntityList{s.key}, bytes.NewReader(repomd), bytes.NewReader(signature), nil)
	return err == nil
}

// Fingerprint returns that of the primary key, in lower-case hexadecimal digits.
func (s *Signer) Fingerprint() string { return hex.EncodeToString(s.key.PrimaryKey.Fingerprint) }

// PublicKey returns the armored public key, as gpgkey= takes it.
func (s *Signer) PublicKey() (string, error) {
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	if err == nil {
		err = s.key.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", fmt.Errorf("write public key %s: %w", s.Fingerprint(), err)
	}
	out.WriteByte('\n')
	return out.String(), nil
}

// PublicKey reads one armored public key and returns its fingerprint and the form in which
// its Signer writes it.
func PublicKey(armored []byte) (fingerprint, text string, err error) {
	keys, err := rpm.ReadKeys(string(armored))
	switch {
	case err != nil:
		return "", "", err
	case len(keys) != 1:
		return "", "", fmt.Errorf("it holds %d keys, want one", len(keys))
	}
	s := &Signer{keys[0]}
	text, err = s.PublicKey()
	return s.Fingerprint(), text, err
}
