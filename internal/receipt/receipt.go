// Package receipt writes and reads what an audit found at a target, for the side that
// builds bundles: what is there need not be carried again. A receipt vouches for nothing
// that it does not say: each entry has the proof that it rests on.
//
// The same findings give the same bytes; there is no time in it, and no login.
package receipt

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/manifest"
)

// Schema names the format; it changes when members change their meaning.
const Schema = "airbundle/receipt/v1"

// A Proof says what the digest of an entry rests on.
type Proof string

// The proofs, strongest first. Only Read is ours; in all others the target is believed.
const (
	Read     Proof = "read"     // the audit has read the content and hashed it
	Digest   Proof = "digest"   // the registry has something under this digest, of this size
	Metadata Proof = "metadata" // the file is there, and the metadata that clients read lists this sha256
	Named    Proof = "named"    // the server names this sha256 of it
	SHA1     Proof = "sha1"     // the server names the SHA-1 of content that has this sha256
	Listed   Proof = "listed"   // it stands in a list of the server; nobody asked for it
)

var proofs = []Proof{Read, Digest, Metadata, Named, SHA1, Listed}

// A Receipt is what one target held. Lists are sorted bytewise: roots, repositories and
// entries by name, blobs by digest.
type Receipt struct {
	Schema       string          `json:"schema"`
	Target       Target          `json:"target"`
	Roots        []digest.Digest `json:"roots"` // of the bundles that were audited
	Repositories []Repository    `json:"repositories"`
}

// A Target is the server that was asked.
type Target struct {
	Name    string `json:"name"`              // URL, or host:port of a registry
	Version string `json:"version,omitempty"` // of a Nexus that tells it
	Edition string `json:"edition,omitempty"`
}

// A Repository is one of the target's. A plain registry is one without a name.
type Repository struct {
	Name    string  `json:"name"`
	Format  string  `json:"format"`            // docker, yum, raw, helm
	Listed  bool    `json:"listed"`            // all that it holds is here, not only what the bundle holds
	Entries []Entry `json:"entries,omitempty"` // tags, files
	Blobs   []Blob  `json:"blobs,omitempty"`   // of docker: manifests and blobs known by digest
}

// An Entry is a name with what is known of its content.
type Entry struct {
	Name   string        `json:"name"`             // path below the repository; image:tag or image@digest
	Digest digest.Digest `json:"digest,omitempty"` // sha256; of an image that of its manifest or index
	SHA1   string        `json:"sha1,omitempty"`   // in hex, where it is all that is known
	Size   int64         `json:"size"`             // bytes; -1: not known
	Proof  Proof         `json:"proof"`
}

// A Blob is content that the repository has whatever its names.
type Blob struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"` // bytes; -1: not known
	Proof  Proof         `json:"proof"`
}

// MoreCertain says whether proof p is stronger than q.
func (p Proof) MoreCertain(q Proof) bool { return slices.Index(proofs, p) < slices.Index(proofs, q) }

// sort puts all lists in order.
func (r *Receipt) sort() {
	slices.Sort(r.Roots)
	slices.SortFunc(r.Repositories, func(a, b Repository) int { return cmp.Compare(a.Name, b.Name) })
	for _, repo := range r.Repositories {
		slices.SortFunc(repo.Entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
		slices.SortFunc(repo.Blobs, func(a, b Blob) int { return cmp.Compare(a.Digest, b.Digest) })
	}
}

// check returns the first thing that a receipt must not say.
func (r *Receipt) check() error {
	switch {
	case r.Schema != Schema:
		return fmt.Errorf("schema is %.100q, and only %s is known", r.Schema, Schema)
	case r.Target.Name == "":
		return fmt.Errorf("target has no name")
	case len(r.Roots) == 0:
		return fmt.Errorf("roots is empty")
	}
	for _, s := range []string{r.Target.Name, r.Target.Version, r.Target.Edition} {
		if !isLine(s) {
			return fmt.Errorf("target: %.100q has characters that are none of a line", s)
		}
	}
	for _, d := range r.Roots {
		if err := manifest.CheckDigest(d); err != nil {
			return fmt.Errorf("roots: %w", err)
		}
	}
	if !ascending(r.Roots, func(d digest.Digest) string { return string(d) }) {
		return fmt.Errorf("roots are not sorted, or one is there twice")
	}
	if !ascending(r.Repositories, func(r Repository) string { return r.Name }) {
		return fmt.Errorf("repositories are not sorted, or one is there twice")
	}
	for _, repo := range r.Repositories {
		if err := repo.check(); err != nil {
			return fmt.Errorf("repository %.100q: %w", repo.Name, err)
		}
	}
	return nil
}

func (r Repository) check() error {
	switch {
	case !slices.Contains([]string{"docker", "yum", "raw", "helm"}, r.Format):
		return fmt.Errorf("format %.100q is not known", r.Format)
	case !isLine(r.Name):
		return fmt.Errorf("the name has characters that are none of a line")
	case len(r.Blobs) > 0 && r.Format != "docker":
		return fmt.Errorf("blobs are for docker, not for %s", r.Format)
	case !ascending(r.Entries, func(e Entry) string { return e.Name }):
		return fmt.Errorf("entries are not sorted, or one is there twice")
	case !ascending(r.Blobs, func(b Blob) string { return string(b.Digest) }):
		return fmt.Errorf("blobs are not sorted, or one is there twice")
	}
	for _, e := range r.Entries {
		if err := e.check(); err != nil {
			return fmt.Errorf("entry %.200q: %w", e.Name, err)
		}
	}
	for _, b := range r.Blobs {
		if err := (Entry{Name: "-", Digest: b.Digest, Size: b.Size, Proof: b.Proof}).check(); err != nil || b.Digest == "" {
			return fmt.Errorf("blob %.100q: %w", b.Digest, cmp.Or(err, fmt.Errorf("it has no digest")))
		}
	}
	return nil
}

func (e Entry) check() error {
	switch {
	case e.Name == "" || !isLine(e.Name):
		return fmt.Errorf("the name is empty, or has characters that are none of a line")
	case e.Size < -1:
		return fmt.Errorf("size %d", e.Size)
	case !slices.Contains(proofs, e.Proof):
		return fmt.Errorf("proof %.100q is not known", e.Proof)
	case e.Digest == "" && e.Proof != Listed:
		return fmt.Errorf("proof %s needs a digest", e.Proof)
	case e.SHA1 != "" && (len(e.SHA1) != 40 || strings.Trim(e.SHA1, "0123456789abcdef") != ""):
		return fmt.Errorf("sha1 %.100q is not 40 hexadecimal digits in lower case", e.SHA1)
	case e.Digest == "":
		return nil
	}
	return manifest.CheckDigest(e.Digest)
}

// isLine says whether a text has no control characters.
func isLine(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' })
}

func ascending[T any](all []T, key func(T) string) bool {
	for i := 1; i < len(all); i++ {
		if key(all[i-1]) >= key(all[i]) {
			return false
		}
	}
	return true
}
