package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ProtonMail/go-crypto/openpgp"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
)

// findingWeak names a signature made with a broken hash function in a lock's accept list.
const findingWeak = "weak-signature"

// accepted says whether the lock accepts a finding about an artifact.
func accepted(lock *lockfile.Lock, finding, artifact string) bool {
	return slices.ContainsFunc(lock.Accept, func(a lockfile.Accept) bool { return a.Finding == finding && a.Artifact == artifact })
}

// checkRPM returns the check of one package while it streams: its header must name the
// package that the lock names, and a signature must be good by the key that the lock
// pins for it. keys are that key, or all of the lock for a package that it accepts as
// unsigned: then no key needs to vouch for the package, but what a known key signed must
// hold. A signature that uses a broken hash function passes only where the lock accepts
// it in words.
func checkRPM(lock lockfile.RPM, keys openpgp.EntityList, weakAccepted bool) func(io.Reader) error {
	return func(r io.Reader) error {
		var head bytes.Buffer
		p, err := rpm.Read(io.TeeReader(r, &head))
		if err != nil {
			return report.WithClass(report.ClassContent, fmt.Errorf("not a package: %w", err))
		}
		if got := p.NEVRA(); got != lock.NEVRA() {
			return report.WithClass(report.ClassContent, fmt.Errorf("the package is %s, the lock says %s", got, lock.NEVRA()))
		}
		_, err = rpm.Verify(io.MultiReader(&head, r), keys)
		weak, isWeak := errors.AsType[*rpm.WeakSignatureError](err)
		switch {
		case isWeak && weakAccepted:
			return nil
		case isWeak:
			return report.WithClass(report.ClassTrust, fmt.Errorf("%w; to carry it all the same, write under accept: {finding: %s, artifact: %s, why: …}", weak, findingWeak, lock.Path()))
		case lock.Unsigned != "" && unvouched(err, keys):
			return nil
		case err != nil && lock.Unsigned != "":
			return report.WithClass(trustOr(err), fmt.Errorf("accepted as unsigned, but: %w", err))
		case err != nil:
			return report.WithClass(trustOr(err), fmt.Errorf("signature by %s: %w", lock.Signer, err))
		}
		return nil
	}
}

// unvouched says that all that is wrong with a package is that none of keys signed it.
func unvouched(err error, keys openpgp.EntityList) bool {
	if errors.Is(err, rpm.ErrUnsigned) {
		return true
	}
	if _, ok := errors.AsType[*rpm.UnknownSignerError](err); ok {
		return true
	}
	// One that cannot be checked, because it is of a kind that is not known, is no worse
	// than one by an unknown key, if that is what it says it is.
	bad, ok := errors.AsType[*rpm.BadSignatureError](err)
	if !ok || bad.KeyID == "" {
		return false
	}
	_, unknown := rpm.SelectKey(keys, bad.KeyID)
	return unknown != nil
}

// trustOr is the class of a package that did not pass: what its error says, else trust.
func trustOr(err error) report.Class {
	if c := report.Classify(err); c != report.ClassInternal {
		return c
	}
	return report.ClassTrust
}
