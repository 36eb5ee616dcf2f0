package rpm

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// ReadKeys reads armored public keys as vendors publish them: a file may hold several blocks,
// one after another, with text around them.
func ReadKeys(armored string) (openpgp.EntityList, error) {
	var keys openpgp.EntityList
	// Decode reads ahead, unless what it gets is such a reader already.
	r := bufio.NewReader(strings.NewReader(armored))
	for {
		block, err := armor.Decode(r)
		switch {
		case errors.Is(err, io.EOF) && len(keys) > 0:
			return keys, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("read public keys: there is no armored key")
		case err != nil:
			return nil, fmt.Errorf("read public keys: %w", err)
		case block.Type != openpgp.PublicKeyType:
			return nil, fmt.Errorf("read public keys: there is a %s", block.Type)
		}
		more, err := openpgp.ReadKeyRing(block.Body)
		if err != nil {
			return nil, fmt.Errorf("read public keys: %w", err)
		}
		keys = append(keys, more...)
	}
}

// SelectKey returns the entities of keys that id means: its primary key or one of its
// subkeys has that id of 16 digits or that whole fingerprint, in lower case. Shorter
// ids are nobody's, since anyone can make a key to fit one.
func SelectKey(keys openpgp.EntityList, id string) (openpgp.EntityList, error) {
	var selected openpgp.EntityList
	for _, e := range keys {
		means := func(k *packet.PublicKey) bool {
			return id == keyID(k.KeyId) || id == hex.EncodeToString(k.Fingerprint)
		}
		if means(e.PrimaryKey) || slices.ContainsFunc(e.Subkeys, func(s openpgp.Subkey) bool { return means(s.PublicKey) }) {
			selected = append(selected, e)
		}
	}
	if len(selected) == 0 {
		return nil, trustError(fmt.Sprintf("none of the %d public keys given is %q", len(keys), id))
	}
	return selected, nil
}
