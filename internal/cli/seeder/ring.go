package seeder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/cli"
	"airbundle/internal/report"
	"airbundle/internal/signature"
)

// The files in which a site names its keys, in /etc/airbundle and in the user's directory.
const trustedFile, revokedFile = "trusted.pub", "revoked.pub"

// A ring are the keys that count, and those that count no more.
type ring struct {
	files         []string // that keys came from; none: no signature is required
	keys, revoked []signature.PublicKey
	from          map[digest.Digest]string // key id to file
}

// required says whether a bundle must be signed. It must be also where all keys are revoked.
func (r *ring) required() bool { return len(r.files) > 0 }

// String lists the keys with their files, for messages.
func (r ring) String() string {
	if len(r.keys) == 0 {
		return "none, all are revoked"
	}
	const most = 10
	var all []string
	for i, k := range r.keys {
		if i == most {
			all = append(all, fmt.Sprintf("and %d more", len(r.keys)-most))
			break
		}
		all = append(all, fmt.Sprintf("%s (%s)", k.ID, r.from[k.ID]))
	}
	return strings.Join(all, ", ")
}

func (r *ring) revokedIn(id digest.Digest) string { return r.from[id] }

// readRing reads the keys of --key, or else those of the site, and what the site revokes. A
// file that is there and cannot be read is an error: it must not count as no key.
func (t *trust) readRing() (r ring, err error) {
	r.from = map[digest.Digest]string{}
	var trusted []signature.PublicKey
	for _, path := range t.keys {
		keys, err := namedKeys(path)
		if err != nil {
			return r, err
		}
		trusted = append(trusted, keys...)
		r.add(path, keys)
	}
	if len(t.keys) == 0 {
		if trusted, err = r.site(t.siteFiles(trustedFile)); err != nil {
			return r, err
		}
	}
	files := r.files
	if r.revoked, err = r.site(t.siteFiles(revokedFile)); err != nil {
		return r, err
	}
	r.files = files
	for _, k := range trusted {
		revoked := slices.ContainsFunc(r.revoked, func(other signature.PublicKey) bool { return other.ID == k.ID })
		switch {
		case revoked && len(t.keys) > 0:
			return r, report.WithClass(report.ClassTrust, report.Advise(fmt.Errorf("--key: the key %s is revoked (%s)", k.ID, r.from[k.ID]), "have the bundle signed with another key, and name that one"))
		case !revoked:
			r.keys = append(r.keys, k)
		}
	}
	return r, nil
}

func (r *ring) add(path string, keys []signature.PublicKey) {
	r.files = append(r.files, path)
	for _, k := range keys {
		r.from[k.ID] = path
	}
}

// namedKeys reads the keys of a file that a flag names.
func namedKeys(path string) ([]signature.PublicKey, error) {
	keys, _, err := signature.ReadPublicKeys(path)
	if _, ok := errors.AsType[*signature.KeyError](err); ok {
		return nil, fmt.Errorf("--key: %w", err)
	}
	if err != nil {
		return nil, cli.FlagFile("--key", err)
	}
	return keys, nil
}

// siteFiles are the places of a file of the site.
func (t *trust) siteFiles(name string) []string {
	files := []string{filepath.Join(t.etc, name)}
	if dir := t.xdg("XDG_CONFIG_HOME", ".config"); dir != "" {
		files = append(files, filepath.Join(dir, name))
	}
	return files
}

// site reads the keys of the files that are there.
func (r *ring) site(files []string) (all []signature.PublicKey, err error) {
	for _, path := range files {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		keys, mode, err := signature.ReadPublicKeys(path)
		if err == nil && mode.Perm()&0o002 != 0 {
			err = report.WithClass(report.ClassTrust, fmt.Errorf("%s: everybody can write to it (mode %04o), so its keys vouch for nothing: chmod o-w it", path, mode.Perm()))
		}
		if err != nil {
			return nil, fmt.Errorf("the site's keys: %w", err)
		}
		all = append(all, keys...)
		r.add(path, keys)
	}
	return all, nil
}
