package bundler

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"airbundle/internal/atomicfile"
	"airbundle/internal/cli"
	"airbundle/internal/report"
	"airbundle/internal/signature"
)

type keygenOptions struct {
	name    string
	results cli.Results
}

func newKeygen(s cli.Streams) *cobra.Command {
	o := &keygenOptions{}
	cmd := &cobra.Command{
		Use:   "keygen [-o NAME]",
		Short: "Make a key pair to sign bundles with",
		Long: `keygen makes an ECDSA P-256 key: NAME.key, which signs and which only its owner can
read, and NAME.pub, which checks. Neither file may be there already; where only NAME.key
is, as after a run that was killed, NAME.pub is made from it. The fingerprint is the
sha256 of the public key in DER form: openssl pkey -pubin -in NAME.pub -outform DER | sha256sum

The private key is not encrypted: keep it where only those who build can read it. Bring
NAME.pub to the other side by another way than the archives.`,
		Example: `  bundler keygen
  bundler keygen -o keys/release-2027 --output json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runKeygen(s, o) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.name, "out", "o", "airbundle", "`name` of the two files, without .key and .pub")
	o.results.AddFlags(f, false)
	return cmd
}

// keyJSON is the JSON form of a new key pair.
type keyJSON struct {
	Private     string        `json:"privateKey"`
	Public      string        `json:"publicKey"`
	Fingerprint digest.Digest `json:"fingerprint"`
}

func runKeygen(s cli.Streams, o *keygenOptions) error {
	if o.name == "" || o.name == "-" {
		return cli.Usage("-o takes the name of the two files, without .key and .pub")
	}
	private, public := o.name+".key", o.name+".pub"
	if _, err := os.Lstat(public); !errors.Is(err, fs.ErrNotExist) {
		if _, missing := os.Lstat(private); missing == nil {
			return taken(private, err)
		}
		return taken(public, err)
	}
	k, err := makePrivate(s, private)
	if err != nil {
		return err
	}
	id, err := makePublic(public, k)
	if errors.Is(err, fs.ErrExist) {
		return taken(public, err)
	}
	if err != nil {
		return fmt.Errorf("%w; %s stays, and the same command makes the public key from it", err, private)
	}
	return printKeys(s, o, keyJSON{private, public, id})
}

// makePrivate makes the private key, or reads the one that is there: a run that ended between
// the two files is finished by the next one.
func makePrivate(s cli.Streams, path string) (*signature.PrivateKey, error) {
	k, err := signature.Generate()
	if err != nil {
		return nil, err
	}
	secret, err := k.Encode()
	if err != nil {
		return nil, err
	}
	if err = atomicfile.Create(path, secret, 0o600); !errors.Is(err, fs.ErrExist) {
		return k, err
	}
	if k, err = signature.ReadPrivateKey(path); err != nil {
		return nil, cli.Usage("%s is there already, and a key is never overwritten: name another one with -o (its public key could not be made: %v)", path, err)
	}
	fmt.Fprintf(s.Err, "note: %s is there already, without its public key, and is kept: only that is made; for a new key name another one with -o\n", path)
	return k, nil
}

// makePublic writes the public key of k, and returns its fingerprint. Another run that
// finishes the same pair may be quicker.
func makePublic(path string, k *signature.PrivateKey) (digest.Digest, error) {
	err := atomicfile.Create(path, k.Public.Encode(), 0o644)
	if errors.Is(err, fs.ErrExist) {
		if there, rerr := os.ReadFile(path); rerr == nil && bytes.Equal(there, k.Public.Encode()) {
			return k.Public.ID, nil
		}
	}
	return k.Public.ID, err
}

// taken is the error for a file that cannot be made; nil means that it is there.
func taken(path string, err error) error {
	if err == nil || errors.Is(err, fs.ErrExist) {
		return cli.Usage("%s is there already, and a key is never overwritten: name another one with -o", path)
	}
	return err
}

func printKeys(s cli.Streams, o *keygenOptions, k keyJSON) (err error) {
	defer func() {
		if err != nil {
			err = report.Advise(fmt.Errorf("%s and %s are made, with the fingerprint %s: %w", k.Private, k.Public, k.Fingerprint, err),
				"keep them, or remove both and run the same command again")
		}
	}()
	if o.results.Output.JSON() {
		return cli.WriteJSON(s.Out, k)
	}
	if _, err := fmt.Fprintf(s.Out, "private key %s\npublic key %s\nfingerprint %s\n", k.Private, k.Public, k.Fingerprint); err != nil {
		return err
	}
	talk := cli.NewTalk(s, o.results.Quiet)
	talk.Printf("next: bundler build LOCK -o FILE --sign %s", k.Private)
	talk.Printf("next: bring %s to the other side by another way than the archives, put it at /etc/airbundle/trusted.pub there, and compare the fingerprint by voice or on paper", k.Public)
	return nil
}
