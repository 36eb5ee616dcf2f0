package bundler

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/atomicfile"
	"airbundle/internal/cli"
	"airbundle/internal/signature"
)

// A signer signs the root of what a build makes. Without a key it does nothing.
type signer struct {
	key  *signature.PrivateKey
	path string // of the signature
}

// newSigner reads the key that signs the archive at out, before anything is downloaded. No
// key file means no signer.
func newSigner(keyFile, out string) (*signer, error) {
	s := &signer{path: out + signature.Suffix}
	if keyFile == "" {
		return s, nil
	}
	var err error
	s.key, err = signature.ReadPrivateKey(keyFile)
	if err != nil {
		return nil, cli.FlagFile("--sign", err)
	}
	if out == "" {
		return s, nil // a dry run
	}
	return s, signaturePlace(s.path)
}

// signaturePlace refuses to write a signature over anything but one, or an empty file.
func signaturePlace(path string) error {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Mode().IsRegular() && st.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := signature.ReadFile(path); err != nil {
		return cli.Usage("%s stands there and is no signature: name another archive, or remove it", path)
	}
	return nil
}

// sign writes the signature of a root.
func (s *signer) sign(root digest.Digest) error {
	if s.key == nil {
		return nil
	}
	sig, err := s.key.Sign(root)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(s.path, sig.Encode(), 0o644)
}

// stale is a note about a signature that an earlier build left and this one does not renew.
func (s *signer) stale() string {
	if _, err := os.Lstat(s.path); s.key != nil || err != nil {
		return ""
	}
	return fmt.Sprintf("%s is of an earlier build or of another signer, and this build does not sign: if the root differs, the archive will be refused; --sign KEY renews it, or remove it", s.path)
}

// copySignature copies the signature of an archive, where it has one, beside its root file;
// the root is the same, and so is what is signed. Where it has none, an old one beside the
// root file is told of.
func copySignature(s cli.Streams, bundle, root string) error {
	from, to := bundle+signature.Suffix, root+signature.Suffix
	sig, err := signature.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(to); err == nil {
			fmt.Fprintf(s.Err, "note: there is no %s, and %s is of another root file: remove it\n", from, to)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if err := signaturePlace(to); err != nil {
		return err
	}
	return atomicfile.WriteFile(to, sig.Encode(), 0o644)
}
