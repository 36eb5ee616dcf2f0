package nexustest

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// The time of an answer grows with the requests in flight beyond the capacity.
func TestStrain(t *testing.T) {
	const each = 40 * time.Millisecond
	s := Start(t, Options{Faults: []Fault{{Name: "strain", Do: Strain(2, each)}}})
	ask := func(n int) (longest time.Duration) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				began := time.Now()
				resp, err := http.Get(s.URL + "/service/rest/v1/status")
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
				mu.Lock()
				defer mu.Unlock()
				longest = max(longest, time.Since(began))
			})
		}
		wg.Wait()
		return longest
	}
	if got := ask(1); got < each || got >= 2*each {
		t.Errorf("alone: %v, want %v to %v", got, each, 2*each)
	}
	// All eight arrive before the first has waited.
	if got, want := ask(8), 7*each; got < want {
		t.Errorf("eight at once: %v, want %v at least", got, want)
	}
	if s.FaultHits("strain") != 9 {
		t.Errorf("%d hits, want 9", s.FaultHits("strain"))
	}
}
