package rpm_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

func TestReadKeys(t *testing.T) {
	a, b := rpmtest.Key(t), rpmtest.OtherKey(t)
	for _, tt := range []struct {
		name, armored string
		want          []uint64
	}{
		{"one", a.Armor, []uint64{a.Entity.PrimaryKey.KeyId}},
		{"two blocks", a.Armor + b.Armor, []uint64{a.Entity.PrimaryKey.KeyId, b.Entity.PrimaryKey.KeyId}},
		{"text around", "The keys:\n\n" + a.Armor + "\nand\n" + b.Armor + "\nThat is all.\n", []uint64{a.Entity.PrimaryKey.KeyId, b.Entity.PrimaryKey.KeyId}},
		{"line ends of Windows", strings.ReplaceAll(a.Armor, "\n", "\r\n"), []uint64{a.Entity.PrimaryKey.KeyId}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := rpm.ReadKeys(tt.armored)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, k := range keys {
				got = append(got, k.PrimaryKey.KeyId)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("key ids (-want +got):\n%s", diff)
			}
			pkg := rpmtest.Build(t, signedSpec(a))
			if signer, err := rpm.Verify(bytes.NewReader(pkg), keys); err != nil || signer != a.ID {
				t.Errorf("Verify() = %q, %v", signer, err)
			}
		})
	}
}

func TestReadKeysRefuses(t *testing.T) {
	armored := rpmtest.Key(t).Armor
	for _, tt := range []struct{ name, armored, want string }{
		{"nothing", "", "no armored key"},
		{"text", "no key\n", "no armored key"},
		{"a message", strings.ReplaceAll(armored, "PUBLIC KEY BLOCK", "MESSAGE"), "there is a PGP MESSAGE"},
		{"cut", armored[:len(armored)/2], "read public keys: "},
		{"second cut", armored + armored[:len(armored)/2], "read public keys: "},
	} {
		if keys, err := rpm.ReadKeys(tt.armored); keys != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: ReadKeys() = %v, %v; want %q", tt.name, keys, err, tt.want)
		}
	}
}
