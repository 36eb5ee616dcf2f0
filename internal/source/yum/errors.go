package yum

import (
	"fmt"
	"strings"
	"time"
)

// A MirrorsError says that every mirror was in vain, and why each was. Its exit code is
// that of the worst of the reasons.
type MirrorsError struct {
	What    string  // what was in vain
	Reasons []error // one a mirror, with its URL
}

func (e *MirrorsError) Error() string {
	texts := make([]string, len(e.Reasons))
	for i, err := range e.Reasons {
		texts[i] = err.Error()
	}
	if len(texts) == 0 {
		return e.What
	}
	return e.What + ": " + strings.Join(texts, "; ")
}

// Unwrap returns the reasons.
func (e *MirrorsError) Unwrap() []error { return e.Reasons }

// allFailed is the error of a thing that no mirror gave; of one mirror it is the mirror's
// own.
func allFailed(what string, reasons []error) error {
	if len(reasons) == 1 {
		return fmt.Errorf("%s: %w", what, reasons[0])
	}
	return &MirrorsError{What: fmt.Sprintf("%s: none of %d mirrors has it", what, len(reasons)), Reasons: reasons}
}

// when shows what a repomd.xml says of its age: seconds since 1970, or a bare number.
func when(age int64) string {
	if age < 100_000_000 {
		return fmt.Sprintf("revision %d", age)
	}
	return time.Unix(age, 0).UTC().Format(time.RFC3339)
}
