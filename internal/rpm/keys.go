package rpm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
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
