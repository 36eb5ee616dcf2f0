package rpm_test

import (
	"bytes"
	"crypto"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"airbundle/internal/fuzztest"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

func armored(t testing.TB, kind string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	w.Close()
	return out.Bytes()
}

// at makes a key that lives for some days from rpmtest.Built on, and signs with it days
// after that; lifetime is that of the signature in days, 0 for ever.
func signedAt(t *testing.T, content []byte, keyDays, day, lifetime int) (openpgp.EntityList, []byte) {
	t.Helper()
	on := func(day int) func() time.Time {
		return func() time.Time { return rpmtest.Built.AddDate(0, 0, day) }
	}
	e, err := openpgp.NewEntity("dated", "", "d@invalid", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Time: on(0), KeyLifetimeSecs: uint32(keyDays) * 86400,
	})
	if err != nil {
		t.Fatal(err)
	}
	sig := &packet.Signature{
		SigType: packet.SigTypeBinary, PubKeyAlgo: e.PrivateKey.PubKeyAlgo, Hash: crypto.SHA256,
		CreationTime: on(day)(), IssuerKeyId: &e.PrimaryKey.KeyId, Version: 4,
	}
	if lifetime > 0 {
		seconds := uint32(lifetime) * 86400
		sig.SigLifetimeSecs = &seconds
	}
	h := crypto.SHA256.New()
	h.Write(content)
	if err := sig.Sign(h, e.PrivateKey, &packet.Config{Time: on(day)}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := sig.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	return openpgp.EntityList{e}, out.Bytes()
}

func TestVerifyDetached(t *testing.T) {
	key, stranger := rpmtest.Key(t), rpmtest.OtherKey(t)
	ring, content := rpmtest.Ring(key), []byte("content")
	good, theirs, other := sign(t, key, content), sign(t, stranger, content), sign(t, key, []byte("other"))
	join := func(sigs ...[]byte) []byte { return bytes.Join(sigs, nil) }
	for name, c := range map[string]struct {
		sig  []byte
		text string // of the error
	}{
		"binary":                  {good, ""},
		"armored":                 {armored(t, openpgp.SignatureType, good), ""},
		"text around":             {join([]byte("\n\nsigned:\n"), armored(t, openpgp.SignatureType, good), []byte("\nbye\n")), ""},
		"two, one by a stranger":  {join(theirs, good), ""},
		"two armored":             {join(armored(t, openpgp.SignatureType, theirs), []byte("\n"), armored(t, openpgp.SignatureType, good)), ""},
		"version 3":               {rpmtest.SignV3(t, key, crypto.SHA256, content), ""},
		"stranger":                {theirs, "signed by key " + stranger.ID},
		"of something else":       {other, "bad signature by key " + key.ID},
		"one good, one bad":       {join(good, other), "bad signature by key " + key.ID},
		"SHA-1":                   {rpmtest.SignV3(t, key, crypto.SHA1, content), "made with SHA-1, which can be forged"},
		"empty":                   {nil, "there are 0 signatures"},
		"blank":                   {[]byte(" \n"), "there are 0 signatures"},
		"text":                    {[]byte("no signature"), "not an OpenPGP signature"},
		"a public key":            {[]byte(key.Armor), "is a PGP PUBLIC KEY BLOCK"},
		"cut":                     {good[:len(good)-1], "not how many there are"},
		"waste after it":          {join(good, []byte{0}), "not an OpenPGP packet"},
		"armored waste":           {armored(t, openpgp.SignatureType, []byte("waste")), "not an OpenPGP packet"},
		"too many":                {bytes.Repeat(theirs, 17), "there are 17 signatures"},
		"too long":                {make([]byte, 1<<17), "more than the 65536 allowed"},
		"armored, damaged inside": {bytes.Replace(armored(t, openpgp.SignatureType, good), []byte("\n\n"), []byte("\n\n*"), 1), "signature"},
	} {
		signer, err := rpm.VerifyDetached(content, c.sig, ring)
		if c.text == "" && (err != nil || signer != key.ID) {
			t.Errorf("%s: %q, %v", name, signer, err)
		}
		if c.text != "" && (report.Classify(err) != report.ClassTrust || !strings.Contains(fmt.Sprint(err), c.text)) {
			t.Errorf("%s: class %d, %v, want %q", name, report.Classify(err), err, c.text)
		}
	}
	revoked := *key.Entity
	revoked.Revocations = []*packet.Signature{{}}
	if _, err := rpm.VerifyDetached(content, good, openpgp.EntityList{&revoked}); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("revoked: %v", err)
	}
	if _, err := rpm.VerifyDetached(content, good, nil); err == nil {
		t.Error("good without keys")
	}
}

// Keys and signatures that had expired when the signature was made do not count; that
// a key has expired since does no harm.
func TestVerifyDetachedDates(t *testing.T) {
	content := []byte("content")
	for name, c := range map[string]struct {
		keyDays, day, lifetime int
		text                   string
	}{
		"for ever":           {0, 100, 0, ""},
		"expired since":      {10, 5, 0, ""},
		"expired before":     {10, 11, 0, "the key had expired, or was not yet made, when the signature was made on 2024-01-13"},
		"made before":        {10, -1, 0, "the key had expired, or was not yet made"},
		"signature expired":  {0, 1, 3, "the signature of 2024-01-03 has expired"},
		"signature lasts on": {0, 1, 30000, ""},
	} {
		ring, sig := signedAt(t, content, c.keyDays, c.day, c.lifetime)
		_, err := rpm.VerifyDetached(content, sig, ring)
		if c.text == "" && err != nil || c.text != "" && (report.Classify(err) != report.ClassTrust || !strings.Contains(fmt.Sprint(err), c.text)) {
			t.Errorf("%s: %v, want %q", name, err, c.text)
		}
	}
}

// What gpg made: a signature by a key that has expired since.
func TestVerifyDetachedByGPG(t *testing.T) {
	dir := rpmtest.Testdata(t, "rpm", "repodata-samples", "librepo", "expired_test")
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	ring, err := rpm.ReadKeys(string(read("expired_key.asc")))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := rpm.VerifyDetached(read("test_data.txt"), read("test_data.txt.asc"), ring)
	if err != nil || signer != "5dff8b9ddc1b3c1f" {
		t.Errorf("%q, %v", signer, err)
	}
	if _, err := rpm.VerifyDetached(append(read("test_data.txt"), '!'), read("test_data.txt.asc"), ring); report.Classify(err) != report.ClassTrust {
		t.Errorf("changed content: %v", err)
	}
}

func FuzzVerifyDetached(f *testing.F) {
	key := rpmtest.Key(f)
	content := []byte("content")
	good := sign(f, key, content)
	f.Add(good)
	f.Add(armored(f, openpgp.SignatureType, good))
	f.Add(rpmtest.SignV3(f, key, crypto.SHA1, content))
	f.Add(append(bytes.Clone(good), 0xc2, 0xff, 0xff, 0xff, 0xff, 0xff))
	ring := rpmtest.Ring(key)
	fuzztest.Run(f, func(t *testing.T, sig []byte) {
		if _, err := rpm.VerifyDetached([]byte("another content"), sig, ring); err == nil {
			t.Error("good for another content")
		}
		_, _ = rpm.VerifyDetached(content, sig, ring)
	})
}
