package yum

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/regular"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
)

// maxKeys caps a file of public keys; with all their certifications real ones reach
// some hundred KB.
const maxKeys = 4 << 20

// readKeys reads the keys of a repository: files relative to the source's directory, or
// URLs. Several keys in a file are in order; a key that is named twice counts once.
func (s *Source) readKeys(ctx context.Context, sources []string) (openpgp.EntityList, error) {
	var ring openpgp.EntityList
	seen := make(map[string]bool)
	var failed []error
	for _, from := range sources {
		keys, err := s.readKeyFile(ctx, from)
		if err != nil {
			failed = append(failed, fmt.Errorf("gpgkeys: %w", err))
			continue
		}
		for _, e := range keys {
			if print := hex.EncodeToString(e.PrimaryKey.Fingerprint); !seen[print] {
				seen[print] = true
				ring = append(ring, e)
			}
		}
	}
	return ring, errors.Join(failed...)
}

func (s *Source) readKeyFile(ctx context.Context, from string) (openpgp.EntityList, error) {
	var data []byte
	var err error
	shown := from
	if strings.Contains(from, "://") || isFile(from) {
		shown = httpx.Redact(from)
		data, err = s.opener.ReadSmall(ctx, from, maxKeys)
	} else {
		data, err = s.readPath(from)
	}
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(data)
	if err != nil {
		return nil, report.WithClass(report.ClassContent, fmt.Errorf("%s: %w", shown, err))
	}
	return keys, nil
}

func (s *Source) readPath(path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.o.Dir, path)
	}
	f, info, err := regular.Open(path)
	if err != nil {
		return nil, err // names path and cause
	}
	defer f.Close()
	data, err := digestio.ReadCapped(f, info.Size(), maxKeys)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

// parseKeys reads keys, armored or not.
func parseKeys(data []byte) (openpgp.EntityList, error) {
	if len(data) == 0 || data[0]&0x80 == 0 {
		return rpm.ReadKeys(string(data))
	}
	keys, err := openpgp.ReadKeyRing(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read public keys: %w", err)
	}
	if slices.ContainsFunc(keys, func(e *openpgp.Entity) bool { return e.PrivateKey != nil }) {
		return nil, errors.New("read public keys: there is a private key")
	}
	return keys, nil
}

// exportKeys gives each key the form that locks carry.
func exportKeys(ring openpgp.EntityList) ([]lockfile.Key, error) {
	keys := make([]lockfile.Key, 0, len(ring))
	for _, e := range ring {
		id := fmt.Sprintf("%016x", e.PrimaryKey.KeyId)
		var out bytes.Buffer
		if err := writeKey(&out, e); err != nil {
			return nil, fmt.Errorf("gpgkeys: key %s: %w", id, err)
		}
		keys = append(keys, lockfile.Key{ID: id, Armor: out.String()})
	}
	return keys, nil
}

// writeKey writes one armored key with what checking signatures needs: the primary key,
// its user ids, its subkeys, and for each its newest self-signature and its revocations.
// Other people's certifications, which can be many, stay behind. The same key gives the
// same bytes: user ids are in order of their names.
func writeKey(w io.Writer, e *openpgp.Entity) error {
	a, err := armor.Encode(w, openpgp.PublicKeyType, nil)
	if err != nil {
		return err
	}
	p := &packets{w: a}
	p.put(e.PrimaryKey)
	p.signatures(e.Revocations...)
	p.signatures(e.SelfSignature)
	for _, name := range slices.Sorted(maps.Keys(e.Identities)) {
		id := e.Identities[name]
		p.put(id.UserId)
		p.signatures(id.SelfSignature)
		p.signatures(id.Revocations...)
	}
	for _, sub := range e.Subkeys {
		p.put(sub.PublicKey)
		p.signatures(sub.Revocations...)
		p.signatures(sub.Sig)
	}
	if err := errors.Join(p.err, a.Close()); err != nil {
		return err
	}
	_, err = io.WriteString(w, "\n")
	return err
}

// packets writes OpenPGP packets and keeps the first error.
type packets struct {
	w   io.Writer
	err error
}

func (p *packets) put(s interface{ Serialize(io.Writer) error }) {
	if p.err == nil {
		p.err = s.Serialize(p.w)
	}
}

func (p *packets) signatures(sigs ...*packet.Signature) {
	for _, s := range sigs {
		if s != nil {
			p.put(s)
		}
	}
}
