package rpm_test

import (
	"encoding/hex"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"

	"airbundle/internal/fuzztest"
	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

// Keys that are read are public ones, and each is found by its fingerprint and by nothing
// shorter.
func FuzzReadKeys(f *testing.F) {
	key := rpmtest.OtherKey(f)
	f.Add(key.Armor)
	f.Add("text before\n" + key.Armor + "text between\n" + key.Armor)
	f.Add("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxv8AAAD/\n-----END PGP PUBLIC KEY BLOCK-----\n")
	f.Add("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n=AAAA\n-----END PGP PRIVATE KEY BLOCK-----\n")
	fuzztest.Run(f, func(t *testing.T, armored string) {
		keys, err := rpm.ReadKeys(armored)
		if (len(keys) == 0) == (err == nil) {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			id := hex.EncodeToString(k.PrimaryKey.Fingerprint)
			found, err := rpm.SelectKey(keys, id)
			if err != nil || len(found) == 0 {
				t.Errorf("%s: %v", id, err)
			}
			if _, err := rpm.SelectKey(openpgp.EntityList{k}, id[len(id)-8:]); err == nil {
				t.Errorf("found by %s", id[len(id)-8:])
			}
		}
	})
}
