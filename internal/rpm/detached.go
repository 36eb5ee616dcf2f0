package rpm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Where a repository keeps its repomd.xml, and the detached signature over it, and how many
// bytes are read of each at most: real ones have 10 KB and a few hundred bytes.
const (
	RepomdPath    = "repodata/repomd.xml"
	SignaturePath = RepomdPath + ".asc"
	MaxRepomd     = 4 << 20
	MaxSignature  = 64 << 10
)

// VerifyDetached checks that at least one of keys made one of the signatures in sig over
// content, and that no signature by one of keys is wrong. The signatures are one after
// another, armored or not. It returns the 16-digit id of the signing entity's primary
// key.
//
// Unlike a package, which outlives the key that signed it, signed metadata is made anew
// all the time: a key or signature that had expired when the signature was made, by
// the signature's own word, and one that is revoked, does not count. That it has
// expired since does no harm.
//
// The error is an *UnknownSignerError, a *BadSignatureError (also when there is no
// signature at all), or a *WeakSignatureError.
func VerifyDetached(content, sig []byte, keys openpgp.EntityList) (signer string, err error) {
	if len(sig) > MaxSignature {
		return "", &BadSignatureError{Err: fmt.Errorf("%d bytes of signatures are more than the %d allowed", len(sig), MaxSignature)}
	}
	packets, err := detachedPackets(sig)
	if err != nil {
		return "", &BadSignatureError{Err: err}
	}
	if n := len(packets); n == 0 || n > maxSignatures {
		return "", &BadSignatureError{Err: fmt.Errorf("there are %d signatures, want 1 to %d", n, maxSignatures)}
	}
	sigs := make([]*signature, len(packets))
	for i, p := range packets {
		s := newSignature(p, true, content)
		if s.err == nil {
			s.err = expired(s.packet, keys)
		}
		sigs[i] = s
	}
	return judge(sigs, keys, false)
}

// detachedPackets splits a file into its signature packets.
func detachedPackets(sig []byte) ([][]byte, error) {
	if trimmed := bytes.TrimSpace(sig); len(trimmed) == 0 || trimmed[0]&0x80 == 0 {
		var err error
		if sig, err = unarmor(trimmed); err != nil {
			return nil, err
		}
	}
	var packets [][]byte
	for len(sig) > 0 {
		_, rest, err := cutSignature(sig)
		if err != nil {
			return nil, err
		}
		packets = append(packets, sig[:len(sig)-len(rest)])
		sig = rest
	}
	return packets, nil
}

// unarmor joins what the armored signatures in text hold.
func unarmor(text []byte) ([]byte, error) {
	var all []byte
	r := bufio.NewReader(bytes.NewReader(text))
	for {
		block, err := armor.Decode(r)
		switch {
		case errors.Is(err, io.EOF) && (all != nil || len(text) == 0):
			return all, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("it is not an OpenPGP signature")
		case err != nil:
			return nil, err
		case block.Type != openpgp.SignatureType:
			return nil, fmt.Errorf("it is a %s, not a detached signature", block.Type)
		}
		data, err := io.ReadAll(block.Body)
		if err != nil {
			return nil, err
		}
		all = append(all, data...)
	}
}

// expired says whether a signature was worth nothing when it was made. A signature by
// none of keys is not judged.
func expired(sig *packet.Signature, keys openpgp.EntityList) error {
	entity, key := findKey(sig, keys)
	if entity == nil {
		return nil
	}
	at := sig.CreationTime
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	self, _ := entity.PrimarySelfSignature()
	switch {
	case at.Before(time.Now()) && sig.SigExpired(time.Now()): // a clock that is behind does no harm
		return errors.New("the signature of " + day(at) + " has expired")
	case key.SelfSignature != nil && key.PublicKey.KeyExpired(key.SelfSignature, at),
		self != nil && entity.PrimaryKey.KeyExpired(self, at):
		return errors.New("the key had expired, or was not yet made, when the signature was made on " + day(at))
	}
	return nil
}
