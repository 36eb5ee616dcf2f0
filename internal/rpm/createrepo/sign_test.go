package createrepo_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpmtest"
)

const passphrase = "open-sesame"

func newSigner(t testing.TB, key *rpmtest.Signer) *createrepo.Signer {
	t.Helper()
	s, err := createrepo.NewSigner(key.Private(t, ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSign(t *testing.T) {
	repomd := []byte("<repomd/>\n")
	for name, key := range map[string]*rpmtest.Signer{"RSA": rpmtest.Key(t), "Ed25519": rpmtest.OtherKey(t)} {
		for _, pass := range []string{"", passphrase} {
			s, err := createrepo.NewSigner(key.Private(t, pass), []byte(pass))
			if err != nil {
				t.Errorf("%s, passphrase %q: %v", name, pass, err)
				continue
			}
			signature, err := s.Sign(repomd)
			if err != nil {
				t.Fatal(err)
			}
			public, err := s.PublicKey()
			if err != nil || !strings.HasSuffix(s.Fingerprint(), key.ID) || strings.Contains(public, "PRIVATE") {
				t.Errorf("%s: fingerprint %s, public key %v\n%s", name, s.Fingerprint(), err, public)
			}
			ring, err := openpgp.ReadArmoredKeyRing(strings.NewReader(public))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := openpgp.CheckArmoredDetachedSignature(ring, bytes.NewReader(repomd), bytes.NewReader(signature), nil); err != nil {
				t.Errorf("%s: %v\n%s", name, err, signature)
			}
			if _, err := openpgp.CheckArmoredDetachedSignature(ring, strings.NewReader("<repomd></repomd>"), bytes.NewReader(signature), nil); err == nil {
				t.Errorf("%s: the signature fits another repomd.xml", name)
			}
		}
	}
}

// TestGPGVerifies: the program that yum and dnf call takes the signature.
func TestGPGVerifies(t *testing.T) {
	gpgv, dir := rpmtest.Tool(t, "gpgv"), t.TempDir()
	s := newSigner(t, rpmtest.Key(t))
	signature, err := s.Sign([]byte("<repomd/>"))
	if err != nil {
		t.Fatal(err)
	}
	var ring bytes.Buffer
	if err := rpmtest.Key(t).Entity.Serialize(&ring); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"ring": ring.Bytes(), "repomd.xml": []byte("<repomd/>"), "repomd.xml.asc": signature} {
		writeFile(t, filepath.Join(dir, name), data)
	}
	cmd := exec.CommandContext(t.Context(), gpgv, "--keyring", "./ring", "repomd.xml.asc", "repomd.xml")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C", "GNUPGHOME="+dir)
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("Good signature")) {
		t.Errorf("gpgv: %v\n%s", err, out)
	}
}

func TestNewSignerRefuses(t *testing.T) {
	key, other := rpmtest.Key(t), rpmtest.OtherKey(t)
	block := func(kind string, body []byte) []byte {
		var out bytes.Buffer
		w, err := armor.Encode(&out, kind, nil)
		if err == nil {
			_, err = w.Write(body)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	binary := func(signers ...*rpmtest.Signer) []byte {
		var out bytes.Buffer
		for _, k := range signers {
			if err := k.Entity.SerializePrivate(&out, nil); err != nil {
				t.Fatal(err)
			}
		}
		return out.Bytes()
	}
	for _, tt := range []struct {
		name, want string
		key        []byte
		passphrase string
	}{
		{"empty", "no armored key", nil, ""},
		{"text", "no armored key", []byte("secret-stuff"), ""},
		{"public", "it is a public key", []byte(key.Armor), ""},
		{"signature", `it is a "PGP SIGNATURE"`, block("PGP SIGNATURE", []byte("secret-stuff")), ""},
		{"garbage", "private key: ", block(openpgp.PrivateKeyType, []byte("secret-stuff")), ""},
		{"cut", "private key: ", block(openpgp.PrivateKeyType, binary(key)[:300]), ""},
		{"two keys", "holds 2 keys", block(openpgp.PrivateKeyType, binary(key, other)), ""},
		{"no passphrase", "has a passphrase, and none is given", key.Private(t, passphrase), ""},
		{"wrong passphrase", "passphrase does not fit", key.Private(t, passphrase), "wrong-horse"},
		{"expired", "sign repomd.xml with key", block(openpgp.PrivateKeyType, expired(t)), ""},
	} {
		s, err := createrepo.NewSigner(tt.key, []byte(tt.passphrase))
		if s != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want %q", tt.name, s, err, tt.want)
			continue
		}
		for _, secret := range []string{passphrase, "wrong-horse", "secret-stuff"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: a secret in the error: %v", tt.name, err)
			}
		}
	}
}

// expired is a private key that was good for a day.
func expired(t *testing.T) []byte {
	t.Helper()
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 86400, Time: func() time.Time { return rpmtest.Built }}
	e, err := openpgp.NewEntity("expired", "", "test@invalid", config)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := e.SerializePrivate(&out, config); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
