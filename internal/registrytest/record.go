package registrytest

import (
	"io"
	"net/http"
	"sync/atomic"
)

// record notes every exchange, also one that a fault ends with http.ErrAbortHandler.
func (r *Registry) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		// On a copy: net/http looks at the body of its own request to see whether a
		// client that waits for 100 Continue is still waiting.
		body := &countingBody{ReadCloser: req.Body}
		req = req.WithContext(req.Context())
		req.Body = body
		cw := &countingWriter{ResponseWriter: w}
		defer func() {
			q := Request{
				Method: req.Method, Path: req.URL.Path, Query: req.URL.RawQuery,
				Authorized: req.Header.Get("Authorization") != "",
				Status:     cw.status, In: body.n.Load(), Out: cw.n,
			}
			r.mu.Lock()
			r.log = append(r.log, q)
			r.mu.Unlock()
		}()
		next.ServeHTTP(cw, req)
		if cw.status == 0 {
			cw.status = http.StatusOK // net/http answers so when a handler says nothing
		}
	})
}

type countingBody struct {
	io.ReadCloser
	n atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

type countingWriter struct {
	http.ResponseWriter
	status int
	n      int64
}

func (w *countingWriter) WriteHeader(code int) {
	if w.status == 0 && code >= 200 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
