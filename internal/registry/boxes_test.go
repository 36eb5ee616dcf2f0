package registry_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
	"airbundle/internal/report"
)

// nginxPage is the error page of an nginx 1.22 that stands before a server.
func nginxPage(w http.ResponseWriter, code int) {
	text := fmt.Sprintf("%d %s", code, http.StatusText(code))
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, "<html>\r\n<head><title>%[1]s</title></head>\r\n<body>\r\n<center><h1>%[1]s</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n", text)
}

// TestBoxesBetween: what proxies answer in the place of a registry ends an upload with one
// error that says what to do, as soon as no repetition will help.
func TestBoxesBetween(t *testing.T) {
	for _, tt := range []struct {
		code, tries int
		class       report.Class
		says        string
	}{
		{405, 1, report.ClassRefused, "405 Method Not Allowed"},
		{411, 1, report.ClassRefused, "hand on requests as they come"},
		{413, 1, report.ClassRefused, "client_max_body_size"},
		{417, 2, report.ClassRefused, "hand on requests as they come"},
		{421, 1, report.ClassRefused, "use the name that is in its settings"},
		{426, 1, report.ClassRefused, "use its https URL"},
		{502, 6, report.ClassUnavailable, "is it up?"},
		{504, 6, report.ClassUnavailable, "proxy_read_timeout"},
	} {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, r *http.Request) bool {
				if isUpload(r) {
					n.Add(1)
					nginxPage(w, tt.code)
					return true
				}
				return false
			})})
			src := &source{data: content(1 << 20)}
			_, _, err := registry.New(options(t, reg.URL)).PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
			if err == nil || report.Classify(err) != tt.class || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), fmt.Sprint(tt.code)) || int(n.Load()) != tt.tries {
				t.Errorf("class %d after %d tries, want %d, %d and %q: %v", report.Classify(err), n.Load(), tt.class, tt.tries, tt.says, err)
			}
		})
	}
}

// TestExpectationFailed: a server or a proxy that does not know Expect: 100-continue is not
// asked for it again.
func TestExpectationFailed(t *testing.T) {
	var refused atomic.Int32
	reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Expect") == "" {
			return false
		}
		refused.Add(1)
		nginxPage(w, http.StatusExpectationFailed)
		return true
	})})
	r := registry.New(options(t, reg.URL))
	for i := range 3 {
		src := &source{data: content(200_000 + i)}
		if _, how, err := r.PushBlob(t.Context(), "a", describe(src.data), nil, src.open); err != nil || how != registry.Sent {
			t.Errorf("%q, %v", how, err)
		}
	}
	if refused.Load() != 1 {
		t.Errorf("asked %d times", refused.Load())
	}
}

// TestPingThroughABox: the first word of a push names the box, too.
func TestPingThroughABox(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		nginxPage(w, http.StatusBadGateway)
		return true
	})})
	err := registry.New(options(t, reg.URL)).Ping(t.Context())
	if report.Classify(err) != report.ClassUnavailable || !strings.Contains(err.Error(), "is it up?") {
		t.Errorf("class %d: %v", report.Classify(err), err)
	}
}
