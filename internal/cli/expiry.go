package cli

import (
	"fmt"
	"time"
)

// ExpiryNote says that a bundle is past its date, an RFC 3339 time or nothing, by the clock
// of this host; "" says that it is not. It is a note and no more: behind an air gap nobody
// vouches for a clock.
func ExpiryNote(expires string, now time.Time) string {
	at, err := time.Parse(time.RFC3339, expires)
	if err != nil || now.Before(at) {
		return ""
	}
	return fmt.Sprintf("the bundle expired at %s by this host's clock, which says %s: look for a newer one, or set the clock", expires, now.UTC().Format(time.RFC3339))
}
