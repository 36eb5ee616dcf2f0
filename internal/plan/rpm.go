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
// pins for it. An unsigned package, or one whose signature uses a broken hash function,
// passes only where the lock accepts it in words.
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
		case errors.Is(err, rpm.ErrUnsigned) && lock.Unsigned != "":
			return nil
		case err != nil && lock.Unsigned != "":
			return report.WithClass(trustOr(err), fmt.Errorf("accepted as unsigned, but: %w", err))
		case err != nil:
			return report.WithClass(trustOr(err), fmt.Errorf("signature by %s: %w", lock.Signer, err))
		}
		return nil
	}
}

// trustOr is the class of a package that did not pass: what its error says, else trust.
func trustOr(err error) report.Class {
	if c := report.Classify(err); c != report.ClassInternal {
		return c
	}
	return report.ClassTrust
}
