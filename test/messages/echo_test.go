package messages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// asked is the request as text: line, headers, body.
func asked(r *http.Request) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL)
	_ = r.Header.Write(&b)
	_, _ = io.Copy(&b, io.LimitReader(r.Body, 8<<10))
	return b.String()
}

func status(code int, challenge string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if challenge != "" {
			w.Header().Set("WWW-Authenticate", strings.ReplaceAll(challenge, "HOST", r.Host))
		}
		w.Header().Set("Set-Cookie", "session="+token)
		echo := asked(r)
		switch len(r.URL.Path) % 3 {
		case 0:
			http.Error(w, echo, code)
		case 1:
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "<html><body>"+html.EscapeString(echo))
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": "DENIED", "message": echo, "detail": r.Header.Get("Authorization")}}})
		}
	}
}

func leadTo(location string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/elsewhere") {
			status(http.StatusForbidden, "")(w, r)
			return
		}
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusTemporaryRedirect)
		_, _ = io.WriteString(w, asked(r))
	}
}

// tokens asks for a bearer token, gives it, and refuses what is asked with it.
func tokens(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
		return
	}
	if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
		status(http.StatusForbidden, "")(w, r)
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token?_state=`+query+`",service="s"`)
	w.WriteHeader(http.StatusUnauthorized)
}

// raw answers without the grammar of HTTP.
func raw(answer func(*http.Request) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text := answer(r)
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}
	}
}

// outcomes are the ways in which a server may end what it is asked.
func outcomes(t testing.TB) map[string]string {
	t.Helper()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	handlers := map[string]http.HandlerFunc{
		"401": status(http.StatusUnauthorized, `Basic realm="x"`), "401 bearer": status(http.StatusUnauthorized, `Bearer realm="http://HOST/token?sig=`+query+`"`),
		"token refused": tokens, "403": status(http.StatusForbidden, ""), "404": status(http.StatusNotFound, ""), "409": status(http.StatusConflict, ""),
		"429": status(http.StatusTooManyRequests, ""), "500": status(http.StatusInternalServerError, ""), "503": status(http.StatusServiceUnavailable, ""),
		"redirect": leadTo("/elsewhere?sig=" + query), "redirect with a login": leadTo("http://" + userinfo + ":7@127.0.0.1:1/?_state=" + query),
		"malformed redirect": leadTo("http://" + userinfo + ":7@127.0.0.1:x/%zz?_state=" + query),
		"200 of an echo":     func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, asked(r)) },
		"200 of JSON": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"asked": asked(r), "version": r.Header.Get("Authorization"), r.Header.Get("Authorization"): 1})
		},
		"no HTTP": raw(asked), "bad header": raw(func(r *http.Request) string {
			return "HTTP/1.1 200 OK\r\n" + r.Header.Get("Authorization") + "\r\n\r\n"
		}),
		"bad reason": raw(func(r *http.Request) string {
			return "HTTP/1.1 403 " + r.Header.Get("Authorization") + "\r\nContent-Length: 0\r\n\r\n"
		}),
		"stall": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		},
		"cut": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000000")
			_, _ = io.WriteString(w, asked(r))
		},
	}
	urls := map[string]string{}
	for name, h := range handlers {
		srv := httptest.NewUnstartedServer(h)
		srv.Config.ErrorLog = quiet()
		srv.Start()
		t.Cleanup(srv.Close)
		urls[name] = srv.URL
	}
	tls := httptest.NewUnstartedServer(status(http.StatusOK, ""))
	tls.Config.ErrorLog = quiet()
	tls.StartTLS()
	t.Cleanup(tls.Close)
	urls["TLS"] = tls.URL
	down := httptest.NewServer(nil)
	down.Close()
	urls["refused"] = down.URL
	return urls
}

// storm is how long a program may try again before it is interrupted.
func storm() time.Duration {
	if full() {
		return 3 * time.Minute
	}
	return 3 * time.Second
}

// quiet is where servers log what clients do to them.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
