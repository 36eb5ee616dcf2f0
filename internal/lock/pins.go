package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
)

// findingUnsigned is how a request accepts a package without a signature by a known key.
const findingUnsigned = "unsigned"

// A proof is what is known of a package's bytes.
type proof struct {
	digest digest.Digest
	key    *lockfile.Key // nil: not signed
	why    string        // then: why that is accepted
}

// pin turns carried packages into entries. The same package carried twice is looked at
// once.
func (r *resolver) pin(ctx context.Context, all []*carried, lock *lockfile.Lock) {
	var firsts []*carried
	index := map[string]int{}
	for _, c := range all {
		if _, known := index[c.key()]; !known {
			index[c.key()] = len(firsts)
			firsts = append(firsts, c)
		}
	}
	r.signers = map[digest.Digest]string{}
	if r.o.Old != nil {
		for _, p := range r.o.Old.RPMs {
			r.signers[p.Digest] = p.Signer
		}
	}
	proofs := make([]proof, len(firsts))
	failed := r.each(ctx, len(firsts), nil, func(i int) (err error) {
		proofs[i], err = r.prove(ctx, firsts[i])
		return err
	})
	for i, err := range failed {
		if err != nil {
			r.fail(firsts[i].line, "package "+firsts[i].nevra(), err)
		}
	}
	ring := map[string]lockfile.Key{}
	for _, c := range all {
		p := proofs[index[c.key()]]
		lock.RPMs = append(lock.RPMs, c.entry(p))
		if p.key != nil {
			if have, ok := ring[p.key.ID]; !ok || better(p.key.Armor, have.Armor) {
				ring[p.key.ID] = lockfile.Key{ID: p.key.ID, Armor: p.key.Armor, Note: p.key.Note}
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ring)) {
		lock.Keys = append(lock.Keys, ring[id])
	}
}

// better chooses among exports of one key, whatever their order: the longer one has more
// subkeys.
func better(a, b string) bool { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) < 0 }

// key names all that a proof depends on.
func (c *carried) key() string {
	var b strings.Builder
	for _, p := range c.places {
		fmt.Fprintf(&b, "%s\n%s\n%s\n", p.repo, p.base, p.location)
	}
	return b.String()
}

// entry is the package's entry of the lock.
func (c *carried) entry(p proof) lockfile.RPM {
	e := lockfile.RPM{
		Name: c.name, EVR: c.evr, Arch: c.arch, BaseArch: c.basearch, Repo: c.repo, Size: c.places[0].size, Digest: p.digest,
		Groups: c.groups, Note: strings.Join(slices.Sorted(slices.Values(c.notes)), "; "),
	}
	for _, at := range c.places {
		e.URLs = union(e.URLs, at.repo.Metadata.URLs(at.base, at.location))
	}
	if p.key != nil {
		e.Signer = p.key.ID
	} else {
		e.Unsigned, e.Why = "accepted", p.why
	}
	return e
}

func (r *resolver) prove(ctx context.Context, c *carried) (proof, error) {
	d, err := c.sha256(ctx)
	if err != nil {
		return proof{}, err
	}
	if c.places[0].size <= 0 {
		return proof{}, report.WithClass(report.ClassContent, errors.New("the metadata does not say its size"))
	}
	if key := r.known(c, d); key != nil {
		return proof{digest: d, key: key}, nil
	}
	p, err := r.signer(ctx, c)
	p.digest = d
	return p, err
}

// known is the key that signed these bytes by the word of the old lock, if it still is one of
// a repository's: the signatures of hundreds of packages need not be looked at again.
func (r *resolver) known(c *carried, d digest.Digest) *lockfile.Key {
	signer := r.signers[d]
	if signer == "" {
		return nil
	}
	for _, at := range c.places {
		if i := slices.IndexFunc(at.repo.Keys, func(k lockfile.Key) bool { return k.ID == signer }); i >= 0 {
			return &at.repo.Keys[i]
		}
	}
	return nil
}

// sha256 is the digest that the metadata gives, or that of a download where it gives one
// of another kind.
func (c *carried) sha256(ctx context.Context) (digest.Digest, error) {
	if d := digest.Digest(c.places[0].checksum); d.Algorithm() == digest.SHA256 {
		return d, d.Validate()
	}
	var errs []error
	for _, at := range c.places {
		d, err := at.repo.Packages.Pin(ctx, at.base, at.location, at.checksum, at.size)
		if err == nil {
			return d, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// signer finds out who signed a package: one of the keys of a repository that has it.
func (r *resolver) signer(ctx context.Context, c *carried) (proof, error) {
	var keyless, only *repository
	var untrusted, unread error
	for _, at := range c.places {
		if len(at.repo.Keys) == 0 {
			keyless = cmp.Or(keyless, at.repo)
			continue
		}
		id, err := at.repo.Packages.Signer(ctx, at.base, at.location, at.headerStart)
		switch _, unknown := errors.AsType[*rpm.UnknownSignerError](err); {
		case err == nil && id != "":
			return proof{key: at.repo.keyOf(id)}, nil
		case err == nil:
			untrusted = cmp.Or(untrusted, fmt.Errorf("repository %s: %w", at.repo, rpm.ErrUnsigned))
		case unknown:
			untrusted = cmp.Or(untrusted, err)
		case unreadable(err):
			unread, only = err, at.repo
		default:
			return proof{}, err
		}
	}
	switch why, accepted := r.accepted(c.name); {
	case untrusted == nil && unread == nil:
		return proof{why: "repository " + keyless.wish.ID + " has no gpgkeys in the request"}, nil
	case untrusted != nil && accepted:
		return proof{why: why}, nil
	case untrusted != nil:
		return proof{}, report.WithClass(report.ClassTrust, fmt.Errorf("%w; to carry it all the same, write under accept: {finding: %s, artifact: %s, why: …}", untrusted, findingUnsigned, c.name))
	case len(only.Keys) > 1:
		return proof{}, fmt.Errorf("which of the %d keys of the repository signed it cannot be seen: %w", len(only.Keys), unread)
	}
	r.note("packages of repository %s cannot be read here: its only key %s is pinned as their signer unseen; build will check", only, only.Keys[0].ID)
	return proof{key: &only.Keys[0]}, nil
}

// unreadable says that a package file cannot be had, as at a mirror of metadata only.
func unreadable(err error) bool {
	c := report.Classify(err)
	if httpx.StatusCode(err) == 0 {
		return c == report.ClassLocal && errors.Is(err, fs.ErrNotExist)
	}
	return c == report.ClassUnavailable || c == report.ClassRefused
}

func (p *repository) keyOf(id string) *lockfile.Key {
	if i := slices.IndexFunc(p.Keys, func(k lockfile.Key) bool { return k.ID == id }); i >= 0 {
		return &p.Keys[i]
	}
	return &lockfile.Key{ID: id} // refused by the lock's check: it has no armor
}

// accepted says whether the request carries a package that no known key vouches for, and why.
func (r *resolver) accepted(name string) (why string, ok bool) {
	for _, a := range r.req.Accept {
		if a.Finding == findingUnsigned && a.Artifact == name {
			return a.Why, true
		}
	}
	return "", false
}

// union adds to a list what it does not have.
func union(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
