package signature

import (
	"cmp"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// algorithms names kinds of keys that the library does not read, by the identifiers of
// algorithm or curve.
var algorithms = map[string]string{
	"1.2.840.10040.4.1":     "a DSA key",
	"1.2.840.113549.1.3.1":  "a Diffie-Hellman key",
	"1.2.840.113549.1.1.10": "an RSA-PSS key",
	"1.3.101.111":           "an X448 key",
	"1.3.101.113":           "an Ed448 key",
	"1.3.132.0.10":          "an ECDSA key on secp256k1",
	"1.3.36.3.3.2.8.1.1.7":  "an ECDSA key on brainpoolP256r1",
	"1.2.156.10197.1.301":   "an SM2 key",
}

// kindOf names the kind of a key that is none of ours.
func kindOf(key any) string {
	switch k := key.(type) {
	case *rsa.PrivateKey, *rsa.PublicKey:
		return "an RSA key"
	case ed25519.PrivateKey, ed25519.PublicKey:
		return "an Ed25519 key"
	case *ecdh.PrivateKey, *ecdh.PublicKey:
		return "an X25519 key"
	case *ecdsa.PrivateKey:
		return "an ECDSA key on " + k.Curve.Params().Name
	case *ecdsa.PublicKey:
		return "an ECDSA key on " + k.Curve.Params().Name
	}
	return "a key of another kind"
}

// makeOne is what to do about a key of another kind.
const makeOne = "bundler keygen makes a key"

func wrongKind(kind string) error {
	return &KeyError{Path: "file", Kind: true, Msg: fmt.Sprintf("it is %s: signatures of bundles are ECDSA P-256 over SHA-256; %s", kind, makeOne)}
}

// unreadable says why the library does not read a key: because of its kind, where the key
// tells that, or because of damage.
func unreadable(der []byte) error {
	var public struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	var private struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	algorithm := &public.Algorithm
	if rest, err := asn1.Unmarshal(der, &public); err != nil || len(rest) > 0 {
		algorithm = &private.Algorithm
		if rest, err := asn1.Unmarshal(der, &private); err != nil || len(rest) > 0 {
			return malformed("a key in it cannot be read: it is damaged, or of a kind that is not known")
		}
	}
	var curve asn1.ObjectIdentifier
	_, _ = asn1.Unmarshal(algorithm.Parameters.FullBytes, &curve) // which other algorithms do not have
	if name := cmp.Or(algorithms[curve.String()], algorithms[algorithm.Algorithm.String()]); name != "" {
		return wrongKind(name)
	}
	return malformed("a key in it cannot be read: it is damaged, or of the kind %.80s %.80s, which is not known", algorithm.Algorithm, curve)
}
