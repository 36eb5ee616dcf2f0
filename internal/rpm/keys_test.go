package rpm_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"

	"airbundle/internal/report"
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

func TestSelectKey(t *testing.T) {
	a, b := rpmtest.Key(t), rpmtest.OtherKey(t)
	sub := b.Entity.Subkeys[0].PublicKey
	ring := rpmtest.Ring(a, b)
	for _, tt := range []struct {
		name, id string
		want     []*rpmtest.Signer
	}{
		{"id", a.ID, []*rpmtest.Signer{a}},
		{"fingerprint", fmt.Sprintf("%x", b.Entity.PrimaryKey.Fingerprint), []*rpmtest.Signer{b}},
		{"id of a subkey", fmt.Sprintf("%016x", sub.KeyId), []*rpmtest.Signer{b}},
		{"fingerprint of a subkey", fmt.Sprintf("%x", sub.Fingerprint), []*rpmtest.Signer{b}},
		{"of nobody", "0123456789abcdef", nil},
		{"nothing", "", nil},
		{"short id", a.ID[8:], nil},
		{"half a fingerprint", fmt.Sprintf("%x", a.Entity.PrimaryKey.Fingerprint)[:20], nil},
		{"upper case", strings.ToUpper(fmt.Sprintf("%x", a.Entity.PrimaryKey.Fingerprint)), nil},
		{"spaces", " " + a.ID, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := rpm.SelectKey(ring, tt.id)
			if len(got) != len(tt.want) || len(got) > 0 && got[0] != tt.want[0].Entity {
				t.Errorf("SelectKey(%q) = %d keys, %v", tt.id, len(got), err)
			}
			if (err == nil) != (tt.want != nil) || err != nil && report.Classify(err) != report.ClassTrust {
				t.Errorf("error %v", err)
			}
		})
	}
	if got, err := rpm.SelectKey(rpmtest.Ring(a, b, a), a.ID); err != nil || len(got) != 2 {
		t.Errorf("a key that is there twice: %d keys, %v", len(got), err)
	}
	if _, err := rpm.SelectKey(nil, a.ID); err == nil {
		t.Error("selected from no keys")
	}
}

// What is not selected does not count: a ring of many keys, of which one is meant.
func TestSelectKeyBindsVerify(t *testing.T) {
	meant, other := rpmtest.Key(t), rpmtest.OtherKey(t)
	ring, err := rpm.ReadKeys(meant.Armor + other.Armor)
	if err != nil {
		t.Fatal(err)
	}
	only, err := rpm.SelectKey(ring, meant.ID)
	if err != nil {
		t.Fatal(err)
	}
	pkg := rpmtest.Build(t, signedSpec(other))
	if _, err := rpm.Verify(bytes.NewReader(pkg), ring); err != nil {
		t.Errorf("by the whole ring: %v", err)
	}
	if wrong := is[*rpm.UnknownSignerError](other.ID)(verifyError(pkg, only)); wrong != "" {
		t.Errorf("by the key that is meant: %s", wrong)
	}
}

func verifyError(pkg []byte, keys openpgp.EntityList) error {
	_, err := rpm.Verify(bytes.NewReader(pkg), keys)
	return err
}

// A signature by a subkey is its entity's: the signer is told by the primary key.
func TestVerifySubkey(t *testing.T) {
	key := rpmtest.OtherKey(t)
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}
	if err := key.Entity.AddSigningSubkey(config); err != nil {
		t.Fatal(err)
	}
	sub := key.Entity.Subkeys[len(key.Entity.Subkeys)-1]
	built := rpmtest.TakeApart(t, rpmtest.Build(t, signedSpec(nil)))
	signer := &rpmtest.Signer{Entity: &openpgp.Entity{PrimaryKey: sub.PublicKey, PrivateKey: sub.PrivateKey}}
	pkg := built.WithSignature(rpmtest.BinaryTag(sigRSA, signBare(t, signer, built.Main))).Bytes()
	for _, id := range []string{key.ID, fmt.Sprintf("%016x", sub.PublicKey.KeyId)} {
		keys, err := rpm.SelectKey(rpmtest.Ring(rpmtest.Key(t), key), id)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := rpm.Verify(bytes.NewReader(pkg), keys); err != nil || got != key.ID {
			t.Errorf("selected by %s: Verify() = %q, %v; want %q", id, got, err, key.ID)
		}
	}
}
