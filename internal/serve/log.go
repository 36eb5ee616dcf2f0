package serve

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A recorder remembers what was answered, and gives each write its own time limit.
type recorder struct {
	http.ResponseWriter
	stall  time.Duration
	status int
	bytes  int64
}

func newRecorder(w http.ResponseWriter, stall time.Duration) *recorder {
	rec := &recorder{ResponseWriter: w, stall: stall}
	rec.extend()
	return rec
}

// extend moves the deadline. A deadline for the whole response would forbid large
// blobs over slow lines; none at all would let a silent client hold one for ever.
func (rec *recorder) extend() {
	// A writer that knows no deadlines, as in tests, is served without.
	_ = http.NewResponseController(rec.ResponseWriter).SetWriteDeadline(time.Now().Add(rec.stall))
}

// Unwrap is for http.ResponseController.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (rec *recorder) WriteHeader(status int) {
	rec.extend()
	rec.status = status
	rec.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (rec *recorder) Write(p []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	rec.extend()
	n, err := rec.ResponseWriter.Write(p)
	rec.bytes += int64(n)
	return n, err
}

// An accessLog writes one line a request, whole lines at a time.
type accessLog struct {
	mu sync.Mutex
	w  io.Writer
}

func newAccessLog(w io.Writer) *accessLog {
	if w == nil {
		w = io.Discard
	}
	return &accessLog{w: w}
}

// write adds a line in the combined format, followed by the milliseconds and, when
// the answer was broken off, the word cut. What the client said is quoted.
func (l *accessLog) write(rec *recorder, r *http.Request, start time.Time, cut bool) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = "-"
	}
	line := fmt.Sprintf("%s - - [%s] %q %d %d %q %q %dms", host, start.Format("02/Jan/2006:15:04:05 -0700"),
		r.Method+" "+r.RequestURI+" "+r.Proto, rec.status, rec.bytes, r.Referer(), r.UserAgent(), time.Since(start).Milliseconds())
	if cut {
		line += " cut"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// A log that cannot be written must not stop the serving.
	_, _ = io.WriteString(l.w, line+"\n")
}
