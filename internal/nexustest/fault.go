package nexustest

import (
	"math/rand/v2"
	"net/http"
	"regexp"
	"sync"
)

// A Fault makes requests go wrong: Do acts instead of, or around, the server's
// own answer to each request that On picks.
//
//	nexustest.Fault{
//		Name: "session lost",
//		On:   nexustest.Match{Route: nexustest.RouteUpload, Method: "PATCH", Times: 2},
//		Do:   nexustest.DockerError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", nil),
//	}
//
// Of several faults that pick one request, the first of the script acts, and
// the others have not seen it.
type Fault struct {
	Name string // for the log and FaultHits
	On   Match
	Do   Action
}

// An Action wraps the server: next gives the answer that the request deserves.
// Any middleware is an Action, and two of them compose as func calls do.
type Action func(next http.Handler) http.Handler

// A Match picks requests. Of those that fit Route, Method and Path it lets the
// first After pass, then picks each one with Probability, until it has picked
// Times of them. The zero value picks every request.
type Match struct {
	Route       Route
	Method      string  // or several, "PUT|PATCH"
	Path        string  // regular expression over path and query as sent
	After       int     // how many to spare first
	Times       int     // how many to pick; 0: no limit
	Probability float64 // 0 means 1
}

// compile returns the path's expression, nil for none. A bad one panics, as it
// is an error in the test.
func (m Match) compile() *regexp.Regexp {
	if m.Path == "" {
		return nil
	}
	return regexp.MustCompile(m.Path)
}

// faultScript is the list of faults with what they have seen so far.
type faultScript struct {
	mu     sync.Mutex
	seed   uint64
	made   uint64
	faults []*armedFault
	hits   map[string]int
}

type armedFault struct {
	Fault
	re   *regexp.Regexp
	rng  *rand.Rand
	seen int
	hits int
}

func (f *faultScript) init(seed uint64, faults []Fault) {
	f.seed, f.hits = seed, map[string]int{}
	for _, fault := range faults {
		f.add(fault)
	}
}

func (f *faultScript) add(fault Fault) {
	re := fault.On.compile()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	f.faults = append(f.faults, &armedFault{Fault: fault, re: re, rng: rand.New(rand.NewPCG(f.seed, f.made))})
}

// fire returns the fault that acts on r, or nil.
func (f *faultScript) fire(r *http.Request, route Route) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.faults {
		if a.On.covers(r.Method, r.URL.RequestURI(), route, a.re) && a.picks() {
			f.hits[a.Name]++
			return &a.Fault
		}
	}
	return nil
}

// picks decides about one request that fits.
func (a *armedFault) picks() bool {
	if a.On.Times > 0 && a.hits >= a.On.Times {
		return false
	}
	a.seen++
	if a.seen <= a.On.After || a.On.Probability > 0 && a.rng.Float64() >= a.On.Probability {
		return false
	}
	a.hits++
	return true
}

// AddFault appends a fault to the script of a running server.
func (s *Server) AddFault(f Fault) { s.faults.add(f) }

// ClearFaults ends all faults.
func (s *Server) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.faults = nil
}

// FaultHits returns how often faults of that name have acted.
func (s *Server) FaultHits(name string) int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.faults.hits[name]
}
