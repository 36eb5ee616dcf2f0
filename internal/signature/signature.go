// Package signature signs the root of a bundle and checks such signatures: ECDSA on the
// curve P-256 over SHA-256 (FIPS 186-5), deterministic (RFC 6979). What is signed are the
// bytes of the root manifest as they lie in the archive; their SHA-256 is the root's
// digest, so a digest that was computed from the bytes in use is all that a check takes.
// The signature is a file beside the archive, the DER form that openssl writes.
//
// The package knows one algorithm and no certificates, no time and no revocation: which
// keys count is for the caller to decide.
package signature

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/digestio"
	"airbundle/internal/regular"
	"airbundle/manifest"
)

// Suffix is what a signature's file has behind the name of the archive or root file.
const Suffix = ".sig"

// maxFile caps a signature's file. DER has at most 72 bytes, its base64 form 96.
const maxFile = 4096

// exitTrust is the exit code of trust (docs/operations.md).
const exitTrust = 5

// A FormatError says that a file is no signature of the one kind that there is.
type FormatError struct{ Path, Msg string }

func (e *FormatError) Error() string {
	return fmt.Sprintf("signature %s: %s", e.Path, e.Msg)
}

// Advice says what to do, for reports.
func (*FormatError) Advice() string {
	return "copy the signature again, from beside the archive where that was built"
}

// ExitCode is that of trust.
func (*FormatError) ExitCode() int { return exitTrust }

// A Signature is one over a root. Its zero value fits nothing.
type Signature struct{ der []byte }

// Encode returns the DER form, which is the content of a signature's file.
func (s Signature) Encode() []byte { return bytes.Clone(s.der) }

// By returns the first of keys that made the signature over the root with this digest.
func (s Signature) By(root digest.Digest, keys []PublicKey) (PublicKey, bool) {
	hash, err := hashOf(root)
	if err != nil {
		return PublicKey{}, false
	}
	for _, k := range keys {
		if ecdsa.VerifyASN1(k.key, hash, s.der) {
			return k, true
		}
	}
	return PublicKey{}, false
}

// hashOf returns the 32 bytes of a root's digest.
func hashOf(root digest.Digest) ([]byte, error) {
	if err := manifest.CheckDigest(root); err != nil {
		return nil, err
	}
	return hex.DecodeString(root.Encoded())
}

// Decode reads a signature: DER (SEQUENCE of the two INTEGERs r and s, RFC 3279, 2.2.3)
// without a byte more, or the base64 of that in one line, as cosign writes it, with at
// most one line break at its end.
func Decode(raw []byte) (Signature, error) {
	if len(raw) == 0 {
		return Signature{}, fmt.Errorf("it is empty")
	}
	err := checkDER(raw)
	if err == nil {
		return Signature{bytes.Clone(raw)}, nil
	}
	text := bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
	if bytes.ContainsAny(text, "\r\n") { // which the decoder would skip
		return Signature{}, err
	}
	der, notText := base64.StdEncoding.Strict().DecodeString(string(text))
	if notText != nil {
		return Signature{}, err
	}
	if err := checkDER(der); err != nil {
		return Signature{}, err
	}
	return Signature{der}, nil
}

// checkDER says what speaks against a signature, whatever it is over. The crypto library
// would only say that it does not fit.
func checkDER(raw []byte) error {
	var s struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(raw, &s)
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")):
		return fmt.Errorf("it is JSON, and not the signature alone: cosign sign-blob writes that with --new-bundle-format=false --output-signature FILE")
	case err != nil:
		return fmt.Errorf("it is neither the DER form of an ECDSA signature nor the base64 of that in one line")
	case len(rest) > 0:
		return fmt.Errorf("%d bytes follow the signature", len(rest))
	}
	again, err := asn1.Marshal(s)
	if err != nil || !bytes.Equal(again, raw) {
		return fmt.Errorf("it is not in DER form")
	}
	order := elliptic.P256().Params().N
	for _, n := range []*big.Int{s.R, s.S} {
		if n.Sign() <= 0 || n.Cmp(order) >= 0 {
			return fmt.Errorf("its numbers are none of the curve P-256: signatures of bundles are ECDSA P-256 over SHA-256")
		}
	}
	return nil
}

// ReadFile reads a signature's file, which is never more than a small regular file. What
// is wrong with its content is a *FormatError; a file that is not there is fs.ErrNotExist.
func ReadFile(path string) (Signature, error) {
	raw, _, err := read(path, maxFile)
	if _, large := errors.AsType[*digestio.LimitError](err); large {
		return Signature{}, &FormatError{path, "it is too large for one"}
	}
	if err != nil {
		return Signature{}, err
	}
	s, err := Decode(raw)
	if err != nil {
		return Signature{}, &FormatError{path, err.Error()}
	}
	return s, nil
}

// read reads a regular file of at most limit bytes; for a larger one the error is a
// *digestio.LimitError.
func read(path string, limit int64) ([]byte, fs.FileMode, error) {
	f, info, err := regular.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	raw, err := digestio.ReadCapped(f, -1, limit)
	return raw, info.Mode(), err
}
