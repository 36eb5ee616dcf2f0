package rpm

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Each signature hashes the header once more, so their number must be small. Packages have
// one or two; those signed anew for a newer OpenPGP have four.
const maxSignatures = 16

// A signature is one OpenPGP signature of a package. Either err is set, or hash is ready
// to take what the signature covers, the header being in it already.
type signature struct {
	payload bool // covers header and payload, not the header alone
	packet  *packet.Signature
	hash    hash.Hash
	err     error // why it cannot be checked
}

// A blob is one OpenPGP signature as a package holds it.
type blob struct {
	data    []byte
	payload bool // covers header and payload, not the header alone
}

// signatureBlobs collects the signatures that a signature header holds.
func signatureBlobs(h *header) ([]blob, error) {
	var blobs []blob
	for _, from := range []struct {
		tag     uint32
		payload bool
	}{{sigRSA, false}, {sigDSA, false}, {sigPGP, true}, {sigGPG, true}} {
		data, err := h.binary(from.tag)
		if err != nil {
			return nil, err
		}
		if data != nil {
			blobs = append(blobs, blob{data, from.payload})
		}
	}
	armored, err := h.strings(sigOpenPGP)
	if err != nil {
		return nil, err
	}
	if len(blobs)+len(armored) > maxSignatures {
		return nil, malformed("%d signatures are more than the %d allowed", len(blobs)+len(armored), maxSignatures)
	}
	for _, text := range armored {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, &FormatError{Msg: fmt.Sprintf("tag %d", sigOpenPGP), Err: err}
		}
		blobs = append(blobs, blob{data, false})
	}
	return blobs, nil
}

// readSignatures collects the signatures of a package. One that cannot be read is
// returned with its error: another one may be good.
func readSignatures(hs *headers) ([]*signature, error) {
	blobs, err := signatureBlobs(hs.signature)
	if err != nil {
		return nil, err
	}
	sigs := make([]*signature, len(blobs))
	for i, b := range blobs {
		sigs[i] = newSignature(b.data, b.payload, hs.main.raw)
	}
	return sigs, nil
}

// newSignature reads a signature over content, or over content and a payload that is
// hashed later.
func newSignature(data []byte, payload bool, content []byte) *signature {
	s := &signature{payload: payload}
	if s.packet, s.err = parseSignature(data); s.err != nil {
		return s
	}
	if s.packet.SigType != packet.SigTypeBinary {
		s.err = fmt.Errorf("it is a signature of type %#x, not of binary data", uint8(s.packet.SigType))
		return s
	}
	if s.hash, s.err = s.packet.PrepareVerify(); s.err != nil {
		return s
	}
	s.hash.Write(content)
	return s
}

// keyID names the key that the signature says it is made with.
func (s *signature) keyID() string {
	if s.packet == nil {
		return ""
	}
	return issuer(s.packet)
}

// issuer names the key that a signature says it is made with: 16 digits, or a
// fingerprint where that is all it says.
func issuer(sig *packet.Signature) string {
	if sig.IssuerKeyId != nil {
		return keyID(*sig.IssuerKeyId)
	}
	return fmt.Sprintf("%x", sig.IssuerFingerprint)
}

func keyID(id uint64) string { return fmt.Sprintf("%016x", id) }

// verify returns the entity that made the signature, nil when none of keys says it has
// that key, and an error when one has, but it is not its signature.
func (s *signature) verify(keys openpgp.EntityList) (*openpgp.Entity, error) {
	entity, key := findKey(s.packet, keys)
	if entity == nil {
		return nil, nil
	}
	if len(entity.Revocations) > 0 || len(key.Revocations) > 0 {
		return nil, errors.New("the key is revoked")
	}
	if self := key.SelfSignature; self != nil && self.FlagsValid && !self.FlagSign {
		return nil, errors.New("the key is not for signing")
	}
	if err := key.PublicKey.VerifySignature(s.hash, s.packet); err != nil {
		return nil, err
	}
	return entity, nil
}

// findKey finds the key that a signature names, among primary keys and subkeys.
func findKey(sig *packet.Signature, keys openpgp.EntityList) (*openpgp.Entity, openpgp.Key) {
	for _, e := range keys {
		self, _ := e.PrimarySelfSignature()
		candidates := []openpgp.Key{{PublicKey: e.PrimaryKey, SelfSignature: self}}
		for _, sub := range e.Subkeys {
			candidates = append(candidates, openpgp.Key{
				PublicKey: sub.PublicKey, SelfSignature: sub.Sig, Revocations: sub.Revocations,
			})
		}
		for _, key := range candidates {
			if sig.CheckKeyIdOrFingerprint(key.PublicKey) {
				return e, key
			}
		}
	}
	return nil, openpgp.Key{}
}

// parseSignature reads a blob that is one signature packet and nothing else.
func parseSignature(blob []byte) (*packet.Signature, error) {
	body, err := signatureBody(blob)
	if err != nil {
		return nil, err
	}
	if body[0] == 3 {
		return parseV3(body)
	}
	return parseBody(body)
}

// parseBody reads the body of a signature packet of a version that the library knows.
func parseBody(body []byte) (*packet.Signature, error) {
	const newFormat, fiveOctets = 0xc0 | 2, 0xff
	framed := append([]byte{newFormat, fiveOctets}, binary.BigEndian.AppendUint32(nil, uint32(len(body)))...)
	p, err := packet.Read(bytes.NewReader(append(framed, body...)))
	if err != nil {
		return nil, err
	}
	sig, ok := p.(*packet.Signature)
	if !ok || sig.IssuerKeyId == nil && len(sig.IssuerFingerprint) == 0 {
		return nil, errors.New("it does not say which key made it")
	}
	return sig, nil
}

// parseV3 reads a signature of the version before the last but one, which rpmsign made for
// CentOS 7 and which the library has given up. Such a signature differs in how its
// fields are laid out and in what is hashed after the content; so it is rewritten in
// version 4 for the library to read, and given the hash suffix of version 3.
func parseV3(body []byte) (*packet.Signature, error) {
	const fixed = 19
	if len(body) < fixed || body[1] != 5 {
		return nil, errors.New("malformed signature of version 3")
	}
	sigType, created, issuer := body[2], body[3:7], body[7:15]
	algorithm, hashID, rest := body[15], body[16], body[17:]
	v4 := []byte{4, sigType, algorithm, hashID}
	v4 = append(append(v4, 0, 6, 5, 2), created...)  // hashed: creation time
	v4 = append(append(v4, 0, 10, 9, 16), issuer...) // unhashed: issuer
	sig, err := parseBody(append(v4, rest...))
	if err != nil {
		return nil, err
	}
	sig.HashSuffix = append([]byte{sigType}, created...)
	return sig, nil
}

// signatureBody takes the header off a packet that must be a signature and end where blob ends.
func signatureBody(blob []byte) ([]byte, error) {
	body, rest, err := cutSignature(blob)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("the packet says it has %d bytes, which is not how many there are", len(body))
	}
	return body, err
}

// cutSignature takes the packet that data begins with, which must be a signature, apart
// from what follows it.
func cutSignature(data []byte) (body, rest []byte, err error) {
	if len(data) < 2 || data[0]&0x80 == 0 {
		return nil, nil, errors.New("it is not an OpenPGP packet")
	}
	tag, start, size := int(data[0]>>2&0xf), 0, uint64(0)
	switch {
	case data[0]&0x40 != 0:
		tag = int(data[0] & 0x3f)
		start, size = newLength(data)
	case data[0]&3 == 3:
		return nil, nil, errors.New("it is a packet of no definite length")
	default:
		start = 1 + 1<<(data[0]&3)
		size = bigEndian(data[1:min(start, len(data))])
	}
	switch {
	case tag != 2:
		return nil, nil, fmt.Errorf("it is an OpenPGP packet of type %d, not a signature", tag)
	case start == 0 || start >= len(data) || size == 0 || uint64(len(data)-start) < size:
		return nil, nil, fmt.Errorf("the packet says it has %d bytes, which is not how many there are", size)
	}
	return data[start : start+int(size)], data[start+int(size):], nil
}

// newLength reads the length in a packet header of the new format: where the body starts, 0
// for a partial length, and its size.
func newLength(blob []byte) (start int, size uint64) {
	switch n := blob[1]; {
	case n < 192:
		return 2, uint64(n)
	case n < 224 && len(blob) > 2:
		return 3, uint64(n-192)<<8 + uint64(blob[2]) + 192
	case n == 255:
		return 6, bigEndian(blob[2:min(6, len(blob))])
	}
	return 0, 0
}

func bigEndian(p []byte) (n uint64) {
	for _, b := range p {
		n = n<<8 | uint64(b)
	}
	return n
}
