package nexustest

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

// These actions disturb bodies on their way.

// Reset cuts the connection after n bytes of the request body, or at its end,
// before anything is stored; a request without a body is cut instead of answered.
func Reset(n int64) Action {
	cut := around(nil, func(r *http.Request) io.Reader {
		return &tapReader{r: io.LimitReader(r.Body, n), atEOF: func() error { return abort(r) }}
	})
	return func(next http.Handler) http.Handler { return LoseAnswer()(cut(next)) }
}

// Break ends the request body after n bytes as a broken connection does, and
// cuts the connection instead of answering. What the server makes of it is its
// own affair: see [Quirks.KeepShortUploads].
func Break(n int64) Action {
	broken := around(nil, func(r *http.Request) io.Reader {
		return &tapReader{r: io.LimitReader(r.Body, n), atEOF: func() error { return io.ErrUnexpectedEOF }}
	})
	return func(next http.Handler) http.Handler { return LoseAnswer()(broken(next)) }
}

// LoseAnswer lets the server do its work and cuts the connection instead of
// answering.
func LoseAnswer() Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&deafWriter{header: http.Header{}}, r)
			_ = abort(r)
		})
	}
}

// CutAnswer resets the connection after n bytes of the response body.
func CutAnswer(n int64) Action {
	return limitAnswer(n, func(w http.ResponseWriter, r *http.Request) error {
		http.NewResponseController(w).Flush() // the connection is about to die
		time.Sleep(time.Millisecond)          // a reset overtakes what the peer has not read yet
		return abort(r)
	}, nil)
}

// TruncateAnswer ends the response after n bytes though Content-Length says
// more, closing the connection in good order.
func TruncateAnswer(n int64) Action {
	return limitAnswer(n, func(w http.ResponseWriter, _ *http.Request) error {
		http.NewResponseController(w).Flush() // the connection is about to close
		panic(http.ErrAbortHandler)
	}, nil)
}

// ShortenAnswer ends the response after n bytes and says so in Content-Length:
// a truncation that only size or digest reveal.
func ShortenAnswer(n int64) Action {
	return limitAnswer(n, nil, func(_ int, h http.Header) {
		if size, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil && size > n {
			h.Set("Content-Length", strconv.FormatInt(n, 10))
		}
	})
}

// FlipRequest inverts the byte at offset of the request body: what the server
// sees, stores and judges differs from what was sent.
func FlipRequest(offset int64) Action {
	return around(nil, func(r *http.Request) io.Reader {
		return &tapReader{r: r.Body, onRead: flipper(offset)}
	})
}

// FlipAnswer inverts the byte at offset of the response body.
func FlipAnswer(offset int64) Action {
	return around(func(w http.ResponseWriter, _ *http.Request) http.ResponseWriter {
		flip := flipper(offset)
		return &shapedWriter{ResponseWriter: w, onBody: func(p []byte) ([]byte, error) {
			p = append([]byte(nil), p...)
			flip(p)
			return p, nil
		}}
	}, nil)
}

// Slow pauses before each 32 KiB of both bodies.
func Slow(pause time.Duration) Action {
	return around(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		return &shapedWriter{ResponseWriter: w, onBody: func(p []byte) ([]byte, error) {
			return p, sleep(r.Context(), pause)
		}}
	}, func(r *http.Request) io.Reader {
		return &tapReader{r: r.Body, onRead: func([]byte) { _ = sleep(r.Context(), pause) }}
	})
}

// Delay waits before the server looks at the request.
func Delay(d time.Duration) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if sleep(r.Context(), d) == nil {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// Stall reads n bytes of the request body and then nothing more, until the
// server is closed.
func Stall(n int64) Action {
	return around(nil, func(r *http.Request) io.Reader {
		return &tapReader{r: io.LimitReader(r.Body, n), atEOF: func() error {
			<-r.Context().Done()
			return abort(r)
		}}
	})
}

// StallAnswer sends n bytes of the response body and then nothing more, until
// the client gives up or the server is closed.
func StallAnswer(n int64) Action {
	return limitAnswer(n, func(w http.ResponseWriter, r *http.Request) error {
		http.NewResponseController(w).Flush() // the next wait ends either way
		<-r.Context().Done()
		return abort(r)
	}, nil)
}

// abort ends the handler and resets the connection. It does not return.
func abort(r *http.Request) error {
	resetConn(r)
	panic(http.ErrAbortHandler)
}

// sleep waits, or returns early when the request is over.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// around wraps the writer, the request body, or both; nil leaves one alone.
func around(writer func(http.ResponseWriter, *http.Request) http.ResponseWriter, body func(*http.Request) io.Reader) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body != nil {
				wrapped := struct {
					io.Reader
					io.Closer
				}{body(r), r.Body}
				r = r.Clone(r.Context())
				r.Body = wrapped
			}
			if writer != nil {
				w = writer(w, r)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// limitAnswer passes n bytes of the response body; then it calls end, or
// swallows the rest when end is nil.
func limitAnswer(n int64, end func(http.ResponseWriter, *http.Request) error, onHeader func(int, http.Header)) Action {
	return around(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		left := n
		return &shapedWriter{ResponseWriter: w, onHeader: onHeader, onBody: func(p []byte) ([]byte, error) {
			if int64(len(p)) <= left {
				left -= int64(len(p))
				return p, nil
			}
			p, left = p[:left], 0
			if end == nil {
				return p, nil
			}
			w.Write(p) // the connection is about to end
			return nil, end(w, r)
		}}
	}, nil)
}

// flipper inverts the byte at offset of a stream that passes in pieces.
func flipper(offset int64) func([]byte) {
	return func(p []byte) {
		if offset >= 0 && offset < int64(len(p)) {
			p[offset] ^= 0xff
		}
		offset -= int64(len(p))
	}
}

// tapReader calls onRead with each piece that passes and atEOF at the end.
type tapReader struct {
	r      io.Reader
	onRead func([]byte)
	atEOF  func() error
}

// Read implements io.Reader.
func (t *tapReader) Read(p []byte) (int, error) {
	if len(p) > 32<<10 {
		p = p[:32<<10]
	}
	n, err := t.r.Read(p)
	if n > 0 && t.onRead != nil {
		t.onRead(p[:n])
	}
	if err == io.EOF && t.atEOF != nil {
		return n, t.atEOF()
	}
	return n, err
}

// shapedWriter lets an action see the headers and the body of an answer.
type shapedWriter struct {
	http.ResponseWriter
	onHeader func(code int, h http.Header)
	onBody   func([]byte) ([]byte, error)
	wrote    bool
}

// WriteHeader implements http.ResponseWriter.
func (w *shapedWriter) WriteHeader(code int) {
	if !w.wrote && w.onHeader != nil {
		w.onHeader(code, w.Header())
	}
	w.wrote = true
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter. It reports the length it was given.
func (w *shapedWriter) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.onBody == nil {
		return w.ResponseWriter.Write(p)
	}
	out, err := w.onBody(p)
	if err != nil {
		return 0, err
	}
	if _, err := w.ResponseWriter.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// deafWriter drops an answer.
type deafWriter struct{ header http.Header }

// Header implements http.ResponseWriter.
func (w *deafWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *deafWriter) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (w *deafWriter) Write(p []byte) (int, error) { return len(p), nil }
