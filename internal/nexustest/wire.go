package nexustest

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// silent swallows what net/http says about aborted handlers.
var silent = log.New(io.Discard, "", 0)

// reasonListener hands out connections whose status lines can be worded.
type reasonListener struct {
	net.Listener
	noContinue bool
}

// Accept implements net.Listener.
func (l reasonListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	return &reasonConn{TCPConn: tcp, noContinue: l.noContinue}, nil
}

// A reasonConn rewrites the reason phrase of the next status line it sends.
// Nexus puts its error texts there, and net/http has no way to say so. It works
// because net/http flushes between responses: a response's first write begins
// with its status line.
type reasonConn struct {
	*net.TCPConn
	noContinue bool // keep back 100 Continue, as some proxies do
	mu         sync.Mutex
	want       []byte // "HTTP/1.1 400 "
	text       string
}

// expect words the status line of the next response with that code.
func (c *reasonConn) expect(code int, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want, c.text = []byte("HTTP/1.1 "+strconv.Itoa(code)+" "), text
}

// Write implements net.Conn.
func (c *reasonConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noContinue && string(p) == "HTTP/1.1 100 Continue\r\n\r\n" {
		return len(p), nil
	}
	if c.want == nil || !bytes.HasPrefix(p, c.want) {
		return c.TCPConn.Write(p)
	}
	end := bytes.IndexByte(p, '\r')
	if end < 0 {
		return c.TCPConn.Write(p)
	}
	line := append(append(c.want, c.text...), p[end:]...)
	c.want = nil
	if _, err := c.TCPConn.Write(line); err != nil {
		return 0, err
	}
	return len(p), nil
}

type connKey struct{}

// rememberConn lets handlers find the connection they answer on.
func rememberConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// setReason words the status line of r's answer, where the listener is ours.
func setReason(r *http.Request, code int, text string) {
	if c, ok := r.Context().Value(connKey{}).(*reasonConn); ok {
		c.expect(code, oneLine(text))
	}
}

// resetConn makes the next close of r's connection a TCP reset.
func resetConn(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*reasonConn); ok {
		c.SetLinger(0) // the connection is about to die
	}
}

// oneLine keeps a text from ending the status line early.
func oneLine(s string) string {
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
}
