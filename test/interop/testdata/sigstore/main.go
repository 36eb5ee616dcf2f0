// Command sigstore checks a signature of a file with sigstore's own library, on the path that
// cosign verify-blob takes for a public key: sigstore KEY SIGNATURE FILE. It is a module of
// its own, so that the products do not depend on what it needs; cosign itself takes 8 minutes
// of processor time to build, this takes 10 seconds.
package main

import (
	"bytes"
	"crypto"
	"fmt"
	"os"

	"github.com/sigstore/sigstore/pkg/signature"
)

func main() {
	if err := verify(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("Verified OK")
}

func verify(key, sig, file string) error {
	v, err := signature.LoadVerifierFromPEMFile(key, crypto.SHA256)
	if err != nil {
		return err
	}
	s, err := os.ReadFile(sig)
	if err != nil {
		return err
	}
	blob, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return v.VerifySignature(bytes.NewReader(s), bytes.NewReader(blob))
}
