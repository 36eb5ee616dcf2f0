package bundler

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"airbundle/internal/atomicfile"
	"airbundle/internal/cli"
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
read, and NAME.pub, which checks. Neither file may be there already. The fingerprint is
the sha256 of the public key in DER form:
openssl pkey -pubin -in NAME.pub -outform DER | sha256sum

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
	for _, path := range []string{private, public} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return taken(path, err)
		}
	}
	k, err := signature.Generate()
	if err != nil {
		return err
	}
	secret, err := k.Encode()
	if err != nil {
		return err
	}
	if err := atomicfile.Create(private, secret, 0o600); err != nil {
		return taken(private, err)
	}
	if err := atomicfile.Create(public, k.Public.Encode(), 0o644); err != nil {
		return errors.Join(taken(public, err), os.Remove(private)) // made just now, used by nobody
	}
	return printKeys(s, o, keyJSON{private, public, k.Public.ID})
}

// taken is the error for a file that cannot be made; nil means that it is there.
func taken(path string, err error) error {
	if err == nil || errors.Is(err, fs.ErrExist) {
		return cli.Usage("%s is there already, and a key is never overwritten: name another one with -o", path)
	}
	return err
}

func printKeys(s cli.Streams, o *keygenOptions, k keyJSON) error {
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
