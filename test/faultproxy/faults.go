package faultproxy

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"
)

// These faults are of the connection.

// Reset breaks the connection before the server has heard anything.
func Reset(http.Handler, float64) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { Abort(r) })
}

// LoseAnswer lets the server do its work and breaks the connection instead of answering.
func LoseAnswer(next http.Handler, _ float64) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		Abort(r)
	})
}

// CutUp breaks the connection somewhere in the request body; a request without one is
// not answered.
func CutUp(_ http.Handler, draw float64) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 0 {
			_, _ = io.CopyN(io.Discard, r.Body, int64(draw*float64(r.ContentLength))) // what comes, comes
		}
		Abort(r)
	})
}

// CutDown breaks the connection somewhere in the response body.
func CutDown(next http.Handler, draw float64) http.Handler {
	return answered(next, func(w http.ResponseWriter, r *http.Request, a *httptest.ResponseRecorder) {
		send(w, a, a.Body.Bytes()[:int(draw*float64(a.Body.Len()))], a.Body.Len())
		_ = http.NewResponseController(w).Flush() // it is about to break
		time.Sleep(time.Millisecond)              // a reset overtakes what was not read yet
		Abort(r)
	})
}

// Truncate closes the connection in good order, somewhere before the end that
// Content-Length promises.
func Truncate(next http.Handler, draw float64) http.Handler {
	return answered(next, func(w http.ResponseWriter, _ *http.Request, a *httptest.ResponseRecorder) {
		send(w, a, a.Body.Bytes()[:int(draw*float64(a.Body.Len()))], a.Body.Len())
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
}

// Shorten truncates and says so in Content-Length: only size or digest tell.
func Shorten(next http.Handler, draw float64) http.Handler {
	return answered(next, func(w http.ResponseWriter, _ *http.Request, a *httptest.ResponseRecorder) {
		n := int(draw * float64(a.Body.Len()))
		if a.Body.Len() > 0 {
			a.Header().Set("Content-Length", strconv.Itoa(n))
		}
		send(w, a, a.Body.Bytes()[:n], n)
	})
}

// FlipDown inverts one byte of the response body.
func FlipDown(next http.Handler, draw float64) http.Handler { return maskDown(next, draw, 0xff) }

// BitDown changes the lowest bit of one byte of the response body: text stays text.
func BitDown(next http.Handler, draw float64) http.Handler { return maskDown(next, draw, 0x01) }

func maskDown(next http.Handler, draw float64, mask byte) http.Handler {
	return answered(next, func(w http.ResponseWriter, _ *http.Request, a *httptest.ResponseRecorder) {
		body := a.Body.Bytes()
		if len(body) > 0 {
			body[int(draw*float64(len(body)))] ^= mask
		}
		send(w, a, body, len(body))
	})
}

// LetterDown changes one letter or digit of the response body to a neighbour of its kind,
// so that what is XML, YAML or JSON stays that, but for its names and values.
func LetterDown(next http.Handler, draw float64) http.Handler {
	return answered(next, func(w http.ResponseWriter, _ *http.Request, a *httptest.ResponseRecorder) {
		body := a.Body.Bytes()
		for i := int(draw * float64(len(body))); i < len(body); i++ {
			c := body[i]
			if '0' <= c && c <= '9' || 'b' <= c && c <= 'w' || 'B' <= c && c <= 'W' {
				body[i] ^= 0x01
				break
			}
		}
		send(w, a, body, len(body))
	})
}

// FlipUp inverts one byte of the request body.
func FlipUp(next http.Handler, draw float64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 0 {
			r.Body = &flipped{ReadCloser: r.Body, left: int64(draw * float64(r.ContentLength))}
		}
		next.ServeHTTP(w, r)
	})
}

const architecture = `"architecture":"`

// TypoUp changes one byte of a JSON request body so that it stays JSON: a letter of
// the name of an architecture, else the case of one of a key. A server that has no digest to
// hold it against notices nothing.
func TypoUp(next http.Handler, _ float64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			Abort(r)
		}
		if at := bytes.Index(raw, []byte(architecture)); at >= 0 {
			raw[at+len(architecture)] ^= 0x01
		} else if at := bytes.Index(raw, []byte(`"schemaVersion"`)); at >= 0 {
			raw[at+len(`"schemaVersion"`)-2] ^= 0x20 // a key that JSON readers of Go take in any case
		}
		r.Body = io.NopCloser(bytes.NewReader(raw))
		next.ServeHTTP(w, r)
	})
}

// Stall sends a part of the response body and then nothing, until the client goes away.
func Stall(next http.Handler, draw float64) http.Handler {
	return answered(next, func(w http.ResponseWriter, r *http.Request, a *httptest.ResponseRecorder) {
		send(w, a, a.Body.Bytes()[:int(draw*float64(a.Body.Len()))], a.Body.Len())
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		Abort(r)
	})
}

// StallUp reads nothing of the request body, and does not answer.
func StallUp(http.Handler, float64) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		Abort(r)
	})
}

// Drip sends the first n bytes of the response body one by one, each after a pause.
func Drip(n int, pause time.Duration) Fault {
	return func(next http.Handler, _ float64) http.Handler {
		return answered(next, func(w http.ResponseWriter, r *http.Request, a *httptest.ResponseRecorder) {
			body := a.Body.Bytes()
			send(w, a, nil, len(body))
			for i := range min(n, len(body)) {
				_, _ = w.Write(body[i : i+1])
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done(): // the client has gone
					Abort(r)
				case <-time.After(pause):
				}
			}
			_, _ = w.Write(body[min(n, len(body)):])
		})
	}
}

// These faults are answers.

// Status answers instead of the server, with headers given as "Name: value".
func Status(code int, body string, headers ...string) Fault {
	return func(http.Handler, float64) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Expect") == "" {
				_, _ = io.CopyN(io.Discard, r.Body, 64<<10) // courtesy: the client may see the answer
			}
			for _, h := range headers {
				name, value, _ := strings.Cut(h, ": ")
				w.Header().Set(name, value)
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		})
	}
}

// BusyUntil answers 429 with a Retry-After in the form of a date, d from now.
func BusyUntil(d time.Duration) Fault {
	return func(next http.Handler, draw float64) http.Handler {
		return Status(http.StatusTooManyRequests, "", "Retry-After: "+time.Now().Add(d).UTC().Format(http.TimeFormat))(next, draw)
	}
}

// Redirect sends every client to the same path and query at another base URL.
func Redirect(code int, base string) Fault {
	return func(http.Handler, float64) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", base+r.URL.RequestURI())
			w.WriteHeader(code)
		})
	}
}

// Header changes one header of the server's answer; an empty value takes it away.
func Header(name, value string) Fault {
	return func(next http.Handler, _ float64) http.Handler {
		return answered(next, func(w http.ResponseWriter, _ *http.Request, a *httptest.ResponseRecorder) {
			a.Header().Set(name, value)
			if value == "" {
				a.Header().Del(name)
			}
			send(w, a, a.Body.Bytes(), a.Body.Len())
		})
	}
}

// Endless answers with a body that never ends and has no length, after the headers given.
func Endless(headers ...string) Fault {
	return func(http.Handler, float64) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, h := range headers {
				name, value, _ := strings.Cut(h, ": ")
				w.Header().Set(name, value)
			}
			w.WriteHeader(http.StatusOK)
			chunk := make([]byte, 64<<10)
			for r.Context().Err() == nil {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		})
	}
}

// HTTP10 answers as a server of HTTP/1.0: the end of the body is the end of the
// connection, and there is no length.
func HTTP10(next http.Handler, _ float64) http.Handler {
	return answered(next, func(w http.ResponseWriter, r *http.Request, a *httptest.ResponseRecorder) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			Abort(r)
		}
		defer conn.Close()
		fmt.Fprintf(buf, "HTTP/1.0 %d %s\r\n", a.Code, http.StatusText(a.Code))
		a.Header().Del("Content-Length")
		_ = a.Header().Write(buf)
		_, _ = buf.WriteString("\r\n" + a.Body.String())
		_ = buf.Flush()
	})
}

// Any strikes with one of several faults, each as likely as the others.
func Any(of ...Fault) Fault {
	return func(next http.Handler, draw float64) http.Handler {
		x := draw * float64(len(of))
		return of[int(x)](next, x-float64(int(x)))
	}
}

// answered lets how deal with the server's whole answer. That to a HEAD has no body.
func answered(next http.Handler, how func(http.ResponseWriter, *http.Request, *httptest.ResponseRecorder)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := httptest.NewRecorder()
		next.ServeHTTP(a, r)
		how(w, r, a)
	})
}

// send writes an answer with a part of its body, and a length of the test's choice.
func send(w http.ResponseWriter, a *httptest.ResponseRecorder, body []byte, length int) {
	maps.Copy(w.Header(), a.Header())
	if length > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(length))
	}
	w.WriteHeader(a.Code)
	_, _ = w.Write(body) // the client may have gone
}

// A flipped is a body of which one byte is inverted.
type flipped struct {
	io.ReadCloser
	left int64 // before it
}

// Read implements io.Reader.
func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if f.left >= 0 && f.left < int64(n) {
		p[f.left] ^= 0xff
	}
	f.left -= int64(n)
	return n, err
}
