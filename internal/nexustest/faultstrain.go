package nexustest

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Strain makes the server one of limited capacity: each request that the fault picks
// takes perExcess longer, and as much again for each of those under way beyond the
// capacity. The time of an answer so tells how many were in flight.
func Strain(capacity int, perExcess time.Duration) Action {
	var inFlight atomic.Int64
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			excess := max(inFlight.Add(1)-int64(capacity), 0)
			defer inFlight.Add(-1)
			if sleep(r.Context(), time.Duration(1+excess)*perExcess) == nil {
				next.ServeHTTP(w, r)
			}
		})
	}
}
