package seeder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/pflag"

	"airbundle/internal/cli"
	"airbundle/internal/report"
	"airbundle/internal/rollback"
	"airbundle/internal/signature"
	"airbundle/manifest"
)

// trust are the flags that bind an archive to what the operator expects, and the files in
// which a site says so for good.
type trust struct {
	root          string
	keys          []string
	signature     string
	allowUnsigned bool
	allowRollback bool
	stateDir      string
	flags         *pflag.FlagSet
	ring          ring
	now           func() time.Time
	env           func(string) string
	etc           string // where the site's files are for all users
}

func (t *trust) addFlags(f *pflag.FlagSet) {
	t.flags, t.now, t.env, t.etc = f, time.Now, os.Getenv, "/etc/airbundle"
	f.StringVar(&t.root, "root", "", "accept this bundle only: the root `digest` that bundler build printed")
	f.StringSliceVar(&t.keys, "key", nil, "accept a bundle only that is signed by a public key in this `file`, instead of the keys of the site; may be repeated, one key suffices")
	f.StringVar(&t.signature, "signature", "", "the signature's `file` (default: the bundle's name and "+signature.Suffix+")")
	f.BoolVar(&t.allowUnsigned, "allow-unsigned", false, "take a bundle without a signature though one is required; the report says so")
	f.BoolVar(&t.allowRollback, "allow-rollback", false, "take a bundle whose serial is lower than one that was taken in before; the report says so")
	f.StringVar(&t.stateDir, "state-dir", "", "`directory` that remembers the highest serial of each bundle (default: $XDG_STATE_HOME/airbundle, or ~/.local/state/airbundle)")
}

// prepare checks the flags and reads the keys, before anything else is read.
func (t *trust) prepare() (err error) {
	if t.root != "" && manifest.CheckDigest(digest.Digest(t.root)) != nil {
		return cli.Usage("--root %q is not sha256: and 64 lower-case hexadecimal digits", t.root)
	}
	if t.ring, err = t.readRing(); err != nil {
		return err
	}
	if t.signature != "" && !t.ring.required() {
		return cli.Usage("--signature needs a key to check it with: --key PUB")
	}
	return nil
}

// facts are what of a bundle trust is about.
type facts struct {
	path    string
	root    digest.Digest // computed from the bytes that are used; empty when there is no bundle
	name    string
	serial  int64
	expires string
}

func factsOf(path string, b *manifest.Bundle) facts {
	return facts{path, b.Root.Digest, b.Table.Name, b.Table.Serial, b.Table.Expires}
}

// A verdict says what trust in a bundle rests on, and what speaks against taking it.
type verdict struct {
	facts    facts
	trust    string        // none, root, key, root+key
	signedBy digest.Digest // key id
	notes    []string
	errs     []error // each with its class
}

func (v *verdict) err() error { return errors.Join(v.errs...) }

func (v *verdict) refuse(why, next string) {
	v.errs = append(v.errs, report.WithClass(report.ClassTrust, report.Advise(errors.New(why), next)))
}

func (v *verdict) note(format string, args ...any) {
	v.notes = append(v.notes, fmt.Sprintf(format, args...))
}

// into writes the verdict into a report. Notes come first.
func (v *verdict) into(rep *report.Report) {
	rep.Serial, rep.Expires, rep.Trust, rep.SignedBy = v.facts.serial, v.facts.expires, v.trust, v.signedBy
	rep.Notes = slices.Concat(v.notes, rep.Notes)
}

// words say the verdict, or that of a report, in the last line of a command.
func (v *verdict) words(sep string) string {
	root := string(v.facts.root)
	if root == "" {
		root = "none"
	}
	words := []string{"root " + root}
	if v.facts.serial > 0 {
		words = append(words, fmt.Sprintf("serial %d", v.facts.serial))
	}
	if v.facts.expires != "" {
		words = append(words, "expires "+v.facts.expires)
	}
	if v.signedBy != "" {
		words = append(words, "signed by "+string(v.signedBy))
	}
	return strings.Join(append(words, "trust: "+v.trust), sep)
}

func ending(rep *report.Report) string {
	v := verdict{facts: facts{root: rep.Bundle, serial: rep.Serial, expires: rep.Expires}, trust: rep.Trust, signedBy: rep.SignedBy}
	return v.words("; ")
}

// judge says what trust in a bundle rests on. All that speaks against it is found.
func (t *trust) judge(f facts) *verdict {
	v := &verdict{facts: f, trust: "none"}
	memory, err := t.memory(v)
	if err != nil {
		v.errs = append(v.errs, err)
	}
	t.identity(v, memory)
	if f.root != "" && err == nil {
		t.rollback(v, memory)
	}
	if note := cli.ExpiryNote(f.expires, t.now()); note != "" {
		v.notes = append(v.notes, note)
	}
	return v
}

// identity compares root and signature. Unless both fit as far as they are wanted, trust
// rests on nothing.
func (t *trust) identity(v *verdict, memory *rollback.Memory) {
	var by []string
	before := len(v.errs)
	if t.root != "" {
		if err := t.sameRoot(v.facts.root); err != nil {
			v.errs = append(v.errs, err)
		}
		by = append(by, "root")
	}
	if t.signed(v, memory) {
		by = append(by, "key")
	}
	if len(v.errs) > before {
		v.signedBy = ""
		return
	}
	if len(by) > 0 {
		v.trust = strings.Join(by, "+")
	}
}

func (t *trust) sameRoot(got digest.Digest) error {
	switch {
	case got == "":
		return report.WithClass(report.ClassTrust, errors.New("this archive has no root; --root wants "+t.root))
	case t.root != string(got):
		return report.WithClass(report.ClassTrust, fmt.Errorf("the bundle's root is %s, --root wants %s", got, t.root))
	}
	return nil
}

// signed says whether one of the keys signed the bundle. Where no key is known it is not
// asked; where one is, what is not signed is refused, unless that was allowed.
func (t *trust) signed(v *verdict, memory *rollback.Memory) bool {
	path := t.signature
	if path == "" {
		path = v.facts.path + signature.Suffix
	}
	if !t.ring.required() {
		if _, err := os.Lstat(path); err == nil && v.facts.root != "" {
			v.note("%s is there, but no key to check it with: give --key PUB, or put the public key at %s", path, filepath.Join(t.etc, trustedFile))
		}
		return false
	}
	if v.facts.root == "" {
		t.unsigned(v, "this archive has no root that a signature could be over")
		return false
	}
	s, err := signature.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && t.signature == "":
		t.unsigned(v, fmt.Sprintf("the bundle is not signed: there is no %s", path))
		return false
	case err != nil:
		v.errs = append(v.errs, err)
		return false
	}
	if by, ok := s.By(v.facts.root, t.ring.keys); ok {
		v.signedBy = by.ID
		return true
	}
	v.refuse(t.whyNot(s, path, v.facts.root, memory))
	return false
}

// unsigned refuses what has no signature, or notes that it was allowed.
func (t *trust) unsigned(v *verdict, what string) {
	if t.allowUnsigned {
		v.note("%s; taken all the same, by --allow-unsigned, though keys are set (%s)", what, t.ring)
		return
	}
	v.refuse(fmt.Sprintf("%s; one of these keys must have signed it: %s", what, t.ring),
		"carry the signature over with the bundle, or name it with --signature; --allow-unsigned takes it without")
}

// whyNot says what a signature that none of the keys made may be. It does not name its key,
// so it is tried on all that is known.
func (t *trust) whyNot(s signature.Signature, path string, root digest.Digest, memory *rollback.Memory) (why, next string) {
	if by, ok := s.By(root, t.ring.revoked); ok {
		return fmt.Sprintf("signature %s is by the key %s, which is revoked (%s)", path, by.ID, t.ring.revokedIn(by.ID)), "the bundle has to be signed with another key"
	}
	if memory != nil {
		for _, b := range memory.Seen() {
			if by, ok := s.By(b.Root, t.ring.keys); ok {
				return fmt.Sprintf("signature %s by the key %s is over another bundle, %s with serial %d (root %s), and not over this one (root %s)", path, by.ID, b.Name, b.Serial, b.Root, root),
					"carry the signature that belongs to it"
			}
		}
	}
	return fmt.Sprintf("signature %s is not by any of the known keys over this bundle (root %s): another key made it, or it is over another bundle. Known are: %s", path, root, t.ring),
		"compare key and root with what bundler build --sign printed"
}

// memory reads what serials were taken in before; nil where there is no place for them.
func (t *trust) memory(v *verdict) (*rollback.Memory, error) {
	dir := t.dir()
	if dir == "" {
		if v.facts.serial > 0 {
			v.note("serial %d is compared with nothing: neither HOME nor XDG_STATE_HOME says where serials are remembered; --state-dir does", v.facts.serial)
		}
		return nil, nil
	}
	m, err := rollback.Read(dir)
	if err != nil && t.allowRollback {
		v.note("%s; not compared, by --allow-rollback", reason(err))
		return nil, nil
	}
	return m, err
}

// reason is what an error says without its advice, which was taken already.
func reason(err error) string {
	r, _ := report.Explain(err)
	return r
}

// rollback compares the bundle's serial with the highest that was taken in before.
func (t *trust) rollback(v *verdict, memory *rollback.Memory) {
	if memory == nil {
		return
	}
	err := memory.Check(t.entry(v))
	switch {
	case err == nil:
	case t.allowRollback:
		v.note("%s; taken all the same, by --allow-rollback", reason(err))
	default:
		v.errs = append(v.errs, err)
	}
}

func (t *trust) entry(v *verdict) rollback.Bundle {
	return rollback.Bundle{Name: v.facts.name, Serial: v.facts.serial, Root: v.facts.root, Trusted: v.trust != "none"}
}

// record remembers that a bundle is taken in, before anything of it is: from then on an older
// one would be a rollback, also when the rest fails. That it could not be remembered is said,
// and stops nothing: the next bundle is then compared with less.
func (t *trust) record(ctx context.Context, s cli.Streams, v *verdict) {
	dir := t.dir()
	if dir == "" || v.facts.serial == 0 {
		return
	}
	if err := rollback.Record(ctx, dir, t.entry(v)); err != nil {
		v.note("serial %d of %s is NOT remembered, an older bundle would be taken: %v", v.facts.serial, v.facts.name, err)
		fmt.Fprintf(s.Err, "warning: %s\n", v.notes[len(v.notes)-1])
	}
}

// dir is the directory that remembers serials, or nothing where the environment names none.
func (t *trust) dir() string {
	if t.stateDir != "" {
		return t.stateDir
	}
	return t.xdg("XDG_STATE_HOME", ".local/state")
}

// xdg returns our directory below one that the XDG base directory specification names. As
// that says, a relative path counts as none.
func (t *trust) xdg(variable, below string) string {
	if base := t.env(variable); filepath.IsAbs(base) {
		return filepath.Join(base, "airbundle")
	}
	if home := t.env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, below, "airbundle")
	}
	return ""
}
