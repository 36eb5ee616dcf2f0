package rpm

import (
	"crypto"
	_ "crypto/md5" // digests of old packages are checked where they are all there is
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// ErrUnsigned says that a package has no signature at all.
var ErrUnsigned error = trustError("the package is not signed")

// ErrPayloadNotCovered says that the good signatures of a package say nothing of
// its payload: they cover the header only, and the header holds no strong digest
// of the payload.
var ErrPayloadNotCovered error = trustError("the signature covers the header only, and the header holds no digest of the payload")

// An UnknownSignerError says that a package is signed, but by none of the given keys.
type UnknownSignerError struct{ KeyIDs []string }

func (e *UnknownSignerError) Error() string {
	return "the package is signed by key " + strings.Join(e.KeyIDs, ", ") + ", which is none of the known keys"
}

// A BadSignatureError says that a signature does not hold, or cannot be read. KeyID is
// empty where not even the key can be told.
type BadSignatureError struct {
	KeyID string
	Err   error
}

func (e *BadSignatureError) Error() string {
	if e.KeyID == "" {
		return fmt.Sprintf("unreadable signature: %v", e.Err)
	}
	return fmt.Sprintf("bad signature by key %s: %v", e.KeyID, e.Err)
}

// Unwrap returns what is wrong with the signature.
func (e *BadSignatureError) Unwrap() error { return e.Err }

// A WeakSignatureError says that all is well with a package but for the hash function of
// its signature, which is broken (SHA-1). Who must accept such packages knows by
// this error that nothing else is against them.
type WeakSignatureError struct {
	KeyID string
	Hash  crypto.Hash
}

func (e *WeakSignatureError) Error() string {
	return fmt.Sprintf("the signature by key %s is made with %s, which can be forged", e.KeyID, e.Hash)
}

// An UnknownTagError says that the signature header holds a tag that rpm does not know.
// Nobody signed that header, and some versions of rpm take over what it says
// (CVE-2021-20271).
type UnknownTagError struct{ Tag uint32 }

func (e *UnknownTagError) Error() string {
	return fmt.Sprintf("the signature header, which nobody signed, holds the unknown tag %d", e.Tag)
}

// A DigestError says that a package is damaged: a digest that it holds of itself is wrong.
type DigestError struct {
	What      string // "header SHA-256"
	Want, Got string // hexadecimal
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("the package is damaged: its %s is %s, want %s", e.What, e.Got, e.Want)
}

// Verify reads a whole package, up to the end of r, and checks that every digest in it is
// right, that at least one of the keys signed header and payload (or a header that holds
// a digest of the payload), and that no signature by one of the keys is wrong.
// Further signatures by other keys do not matter. It returns the 16-digit id of
// the signing entity's primary key.
//
// The error is a *DigestError, ErrUnsigned, an *UnknownSignerError, a *BadSignatureError,
// ErrPayloadNotCovered, a *WeakSignatureError (then the signer is returned too), an
// *UnknownTagError, a *FormatError, or comes from r. Damage is reported before anything that is wrong
// with signatures. Expiry of keys is not looked at, since a package outlives
// the key that signed it; revocation is.
func Verify(r io.Reader, keys openpgp.EntityList) (signer string, err error) {
	hs, err := readHeaders(r)
	if err != nil {
		return "", err
	}
	sigs, err := readSignatures(hs)
	if err != nil {
		return "", err
	}
	digests, payloadDigest, err := readDigests(hs)
	if err != nil {
		return "", err
	}
	if err := hashPayload(r, digests, sigs); err != nil {
		return "", err
	}
	for _, d := range digests {
		if err := d.check(); err != nil {
			return "", err
		}
	}
	if err := checkTags(hs.signature); err != nil {
		return "", err
	}
	return judge(sigs, keys, payloadDigest)
}

// checkTags refuses a signature header with tags that have no meaning there. The error
// names the least of them, whatever their order.
func checkTags(h *header) error {
	for _, tag := range slices.Sorted(maps.Keys(h.entries)) {
		known := slices.ContainsFunc(signatureTags, func(r [2]uint32) bool { return r[0] <= tag && tag <= r[1] })
		if !known {
			return &UnknownTagError{Tag: tag}
		}
	}
	return nil
}

// A digestCheck is one digest that a package holds of itself.
type digestCheck struct {
	what    string
	want    string
	hash    hash.Hash
	payload bool // the payload is to be written to hash
}

func (d digestCheck) check() error {
	if got := hex.EncodeToString(d.hash.Sum(nil)); !strings.EqualFold(got, d.want) {
		return &DigestError{What: d.what, Want: d.want, Got: got}
	}
	return nil
}

// readDigests collects the digests, the header already written to those that cover it.
// strong says that the header holds a digest of the payload that cannot be forged.
func readDigests(hs *headers) (checks []digestCheck, strong bool, err error) {
	sig, main := &fields{h: hs.signature}, &fields{h: hs.main}
	for _, d := range []struct {
		what string
		want string
		hash crypto.Hash
	}{
		{"header SHA-1", sig.text(sigSHA1), crypto.SHA1},
		{"header SHA-256", sig.text(sigSHA256), crypto.SHA256},
	} {
		if d.want != "" {
			checks = append(checks, digestCheck{what: d.what, want: d.want, hash: hashed(d.hash, hs.main)})
		}
	}
	md5, err := hs.signature.binary(sigMD5)
	sig.fail(err)
	if md5 != nil {
		checks = append(checks, digestCheck{
			what: "MD5 of header and payload", want: hex.EncodeToString(md5),
			hash: hashed(crypto.MD5, hs.main), payload: true,
		})
	}
	want, algorithm := main.text(tagPayloadDigest), digestAlgorithms[main.number(tagPayloadDigestAlgo)]
	if want != "" && algorithm != 0 {
		checks = append(checks, digestCheck{
			what: "payload " + algorithm.String(), want: want, hash: algorithm.New(), payload: true,
		})
		strong = !weak(algorithm)
	}
	return checks, strong, errors.Join(sig.err, main.err)
}

// digestAlgorithms are those of OpenPGP, which rpm's headers use.
var digestAlgorithms = map[uint64]crypto.Hash{
	1: crypto.MD5, 2: crypto.SHA1, 8: crypto.SHA256, 9: crypto.SHA384, 10: crypto.SHA512,
	11: crypto.SHA224, 12: crypto.SHA3_256, 14: crypto.SHA3_512,
}

// weak tells hash functions for which somebody can make two contents of one digest.
func weak(h crypto.Hash) bool { return h == crypto.MD5 || h == crypto.SHA1 || h == crypto.RIPEMD160 }

func hashed(algorithm crypto.Hash, h *header) hash.Hash {
	sum := algorithm.New()
	sum.Write(h.raw)
	return sum
}

// hashPayload reads r to its end and writes it to every hash that covers the payload.
func hashPayload(r io.Reader, digests []digestCheck, sigs []*signature) error {
	var to []io.Writer
	for _, d := range digests {
		if d.payload {
			to = append(to, d.hash)
		}
	}
	for _, s := range sigs {
		if s.payload && s.hash != nil {
			to = append(to, s.hash)
		}
	}
	if _, err := io.Copy(io.MultiWriter(to...), r); err != nil {
		return fmt.Errorf("read RPM payload: %w", err)
	}
	return nil
}

// judge says who signed. payloadDigest: a signature of the header covers the payload too.
func judge(sigs []*signature, keys openpgp.EntityList, payloadDigest bool) (string, error) {
	if len(sigs) == 0 {
		return "", ErrUnsigned
	}
	var signer, weakSigner string
	var unreadable, uncovered, weakness error
	var unknown []string
	for _, s := range sigs {
		if s.err != nil {
			unreadable = &BadSignatureError{KeyID: s.keyID(), Err: s.err}
			continue
		}
		entity, err := s.verify(keys)
		switch {
		case err != nil:
			return "", &BadSignatureError{KeyID: s.keyID(), Err: err}
		case entity == nil:
			if !slices.Contains(unknown, s.keyID()) {
				unknown = append(unknown, s.keyID())
			}
		case !s.payload && !payloadDigest:
			uncovered = ErrPayloadNotCovered
		case weak(s.packet.Hash):
			weakSigner = keyID(entity.PrimaryKey.KeyId)
			weakness = &WeakSignatureError{KeyID: weakSigner, Hash: s.packet.Hash}
		case signer == "":
			signer = keyID(entity.PrimaryKey.KeyId)
		}
	}
	switch {
	case signer != "":
		return signer, nil
	case weakness != nil:
		return weakSigner, weakness
	case uncovered != nil:
		return "", uncovered
	case unknown != nil:
		return "", &UnknownSignerError{KeyIDs: unknown}
	}
	return "", unreadable
}
