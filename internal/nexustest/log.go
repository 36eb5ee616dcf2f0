package nexustest

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An Entry is one line of the request log.
type Entry struct {
	Time       time.Time
	Connector  string // docker repository of the connector port, "" on the main port
	Method     string
	Path       string // as sent, with the query
	Route      Route
	Repository string
	Status     int    // 0 while in flight, or when the connection was cut before an answer
	Reason     string // of the status line, where it is not the standard one
	BytesIn    int64  // of the request body that were read
	BytesOut   int64  // of the response body
	Header     http.Header
	Location   string // of the answer
	Fault      string // name of the fault that acted, "" for none
	Duration   time.Duration
}

// Stats are counters over all requests.
type Stats struct {
	Requests       int
	BytesIn        int64
	BytesOut       int64
	MaxInFlight    int // requests at the same time, at most
	DuplicateBlobs int // docker blobs that were uploaded though present
}

// loggedHeaders are the request headers that the log keeps. Of Authorization
// only the scheme is kept.
var loggedHeaders = []string{"Accept", "Authorization", "Content-Length", "Content-Range", "Content-Type", "Cookie", "Expect",
	"If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "Transfer-Encoding", "User-Agent"}

type requestLog struct {
	mu       sync.Mutex
	entries  []*liveEntry
	inFlight int
	stats    Stats
}

// liveEntry is an entry whose request may still be under way.
type liveEntry struct {
	log *requestLog
	Entry
}

func (l *requestLog) begin(x *exchange, r *http.Request) *liveEntry {
	e := &liveEntry{log: l, Entry: Entry{
		Time: time.Now(), Connector: x.connector, Method: r.Method, Path: r.URL.RequestURI(),
		Route: x.route, Repository: x.repo, Header: http.Header{},
	}}
	for _, name := range loggedHeaders {
		if v := r.Header.Values(name); len(v) > 0 {
			e.Header[name] = slices.Clone(v)
		}
	}
	if v := e.Header.Get("Authorization"); v != "" {
		scheme, _, _ := strings.Cut(v, " ")
		e.Header.Set("Authorization", scheme)
	}
	if len(r.TransferEncoding) > 0 {
		e.Header["Transfer-Encoding"] = r.TransferEncoding
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
	l.stats.Requests++
	l.inFlight++
	l.stats.MaxInFlight = max(l.stats.MaxInFlight, l.inFlight)
	return e
}

func (e *liveEntry) fault(name string) {
	e.log.mu.Lock()
	defer e.log.mu.Unlock()
	e.Fault = name
}

func (l *requestLog) end(e *liveEntry, rec *recorder, in int64, took time.Duration) Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Status, e.Reason, e.BytesIn, e.BytesOut, e.Duration = rec.status, rec.reason, in, rec.n, took
	e.Location = rec.Header().Get("Location")
	l.inFlight--
	l.stats.BytesIn += in
	l.stats.BytesOut += rec.n
	return e.Entry
}

// Log returns the requests so far, in order of arrival.
func (s *Server) Log() []Entry {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	out := make([]Entry, len(s.log.entries))
	for i, e := range s.log.entries {
		out[i] = e.Entry
	}
	return out
}

// Requests returns the logged requests that m matches. After, Times and
// Probability of m do not count here.
func (s *Server) Requests(m Match) []Entry {
	re := m.compile()
	var out []Entry
	for _, e := range s.Log() {
		if m.covers(e.Method, e.Path, e.Route, re) {
			out = append(out, e)
		}
	}
	return out
}

// Count returns how many logged requests have that method, see [Match], and
// a path that the regular expression matches.
func (s *Server) Count(method, path string) int {
	return len(s.Requests(Match{Method: method, Path: path}))
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.stats
}

// ClearLog forgets the requests and zeroes the counters.
func (s *Server) ClearLog() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.entries, s.log.stats = nil, Stats{}
}

// duplicateBlob counts a blob that was sent though the repository has it.
func (l *requestLog) duplicateBlob() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.DuplicateBlobs++
}

// covers says whether a request is one that m means.
func (m Match) covers(method, path string, route Route, re *regexp.Regexp) bool {
	return (m.Method == "" || slices.Contains(strings.Split(m.Method, "|"), method)) && (m.Route == "" || m.Route == route) && (re == nil || re.MatchString(path))
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	reason string
	n      int64
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	if r.status == 0 {
		r.status = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.n += int64(n)
	return n, err
}

// ReadFrom lets the kernel copy files to the network.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(r.ResponseWriter, src)
	r.n += n
	return n, err
}

// Unwrap serves http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// countingBody counts the bytes of a request body. The count is read when the
// request is over, which may be while a broken handler still reads.
type countingBody struct {
	io.ReadCloser
	n atomic.Int64
}

// Read implements io.Reader.
func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}
