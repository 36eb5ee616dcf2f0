package nexus_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/registry"
	"airbundle/internal/report"
)

// trap is a registry, but not the Nexus, that remembers who asks it.
func trap(t *testing.T) (base *url.URL, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var seen []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

var ported = []nexustest.Repository{{Name: "ported", Format: "docker", Port: nexustest.AnyPort}, {Name: "ported-too", Format: "docker", Port: nexustest.AnyPort}}

// names makes the settings of the repository ported name another connector port.
func names(port string) nexustest.Fault {
	return nexustest.Fault{On: nexustest.Match{Path: "/v1/repositories/docker/hosted/ported$"},
		Do: nexustest.StatusBody(200, "OK", "application/json", `{"name":"ported","format":"docker","type":"hosted","docker":{"httpPort":`+port+`,"httpsPort":null}}`)}
}

func portOf(t *testing.T, base string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// ways counts the requests with content by where they came in.
func ways(s *nexustest.Server) (main, connector int) {
	for _, e := range s.Log() {
		switch {
		case e.BytesIn == 0:
		case e.Connector != "":
			connector++
		default:
			main++
		}
	}
	return main, connector
}

func via(t *testing.T, n *nexus.Nexus, how nexus.Via) (*registry.Registry, string) {
	t.Helper()
	r, note, err := n.DockerVia(t.Context(), "ported", how)
	if err != nil {
		t.Fatal(err)
	}
	return r, note
}

func TestContractWays(t *testing.T) {
	mainIsNone := nexustest.Fault{On: nexustest.Match{Path: "^/nexus/repository/ported/v2/"}, Do: nexustest.ProxyStatus(404)}
	noSettings := nexustest.Fault{On: nexustest.Match{Path: "/v1/repositor"}, Do: nexustest.Status(403, "Forbidden")}
	limit := nexustest.Fault{On: nexustest.Match{Path: "^/nexus/repository/ported/v2/.*/uploads/"}, Do: nexustest.ProxyStatus(413)}
	o := func(faults ...nexustest.Fault) nexustest.Options {
		return nexustest.Options{Repositories: ported, ContextPath: "/nexus", Faults: faults}
	}
	pushed := func(t *testing.T, s *nexustest.Server, r *registry.Registry, onMain bool) {
		t.Helper()
		if err := newImage(t, v2s2).push(t, r, "team/app", "v1"); err != nil {
			t.Fatal(err)
		}
		if main, connector := ways(s); onMain && connector != 0 || !onMain && main != 0 || main+connector == 0 {
			t.Errorf("%d uploads on the main port, %d on the connector", main, connector)
		}
		if s.Tags("ported", "team/app")["v1"] != newImage(t, v2s2).digest().String() {
			t.Errorf("tags are %v", s.Tags("ported", "team/app"))
		}
	}
	contract(t, []row{
		{name: "3.1/auto takes the connector", o: o(), do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			r, note := via(t, n, nexus.ViaAuto)
			if pushed(t, s, r, false); note != "" {
				t.Error(note)
			}
		}},
		{name: "3.1/auto without the right to read settings", o: o(noSettings), do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			r, note := via(t, n, nexus.ViaAuto)
			if pushed(t, s, r, true); note != "" {
				t.Error(note)
			}
		}},
		{name: "3.1/main port", o: o(), do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			r, _ := via(t, n, nexus.ViaMain)
			pushed(t, s, r, true)
		}},
		{name: "3.1/connector by the API", o: o(), do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			r, _ := via(t, n, nexus.ViaConnector)
			pushed(t, s, r, false)
		}},
		{name: "3.1/connector with sessions", o: nexustest.Options{Repositories: ported, Quirks: nexustest.Quirks{NoSinglePost: true, BareUploads: true}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			r, _ := via(t, n, nexus.ViaConnector)
			pushed(t, s, r, false)
		}},
		{name: "3.1/auto where the main port is no registry", o: o(mainIsNone), do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			r, _ := via(t, n, nexus.ViaAuto)
			pushed(t, s, r, false)
		}},
		{name: "3.1/neither way", o: o(mainIsNone, noSettings), do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, _, err := n.DockerVia(t.Context(), "ported", nexus.ViaAuto)
			refused(t, err, "neither way.*404.*no connector port is known.*403.*hosted docker repository")
		}},
		{name: "3.1/connector without the right to read settings", o: o(noSettings), do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, _, err := n.DockerVia(t.Context(), "ported", nexus.ViaConnector)
			refused(t, err, "no connector port is known.*403.*--docker-via main")
		}},
		{name: "3.1/no connector", do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, _, err := n.DockerVia(t.Context(), "docker", nexus.ViaConnector)
			refused(t, err, "no connector port is known: docker has none")
		}},
		{name: "3.1/no such repository", do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			if _, note, err := n.DockerVia(t.Context(), "nowhere", nexus.ViaAuto); err != nil || note != "" {
				t.Errorf("%v, %q", err, note) // who pushes is told, for each image
			}
		}},
		{name: "3.1/no such way", do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			if _, _, err := n.DockerVia(t.Context(), "docker", "tunnel"); report.Classify(err) != report.ClassUsage {
				t.Error(err)
			}
		}},
		{name: "8/413 on the main port", o: o(limit), do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			r, _ := via(t, n, nexus.ViaAuto)
			im := newImage(t, v2s2)
			if err := im.push(t, r, "team/app", "v1"); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Read("ported", "v2/-/blobs/"+describe(im.layer).Digest.String()); err != nil || len(got) != len(im.layer) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			r, _ = via(t, n, nexus.ViaMain)
			src := &source{data: content(10)}
			_, _, err := r.PushBlob(t.Context(), "team/app", describe(src.data), nil, src.open)
			refused(t, err, "413.*a proxy in front")
		}},
	})
}

// A port that the settings name may lead anywhere: nobody there sees the login, and
// nothing that lands in another repository counts.
func TestContractPorts(t *testing.T) {
	for _, profile := range generations {
		other, asked := trap(t)
		closed := httptest.NewServer(http.NotFoundHandler())
		closed.Close()
		for label, tt := range map[string]struct{ port, want string }{
			"3.1/closed":         {portOf(t, closed.URL), "refused"},
			"3.1/another server": {other.Port(), "not this Nexus: the port leads elsewhere"},
		} {
			s, n := start(t, nexustest.Options{Profile: profile, Repositories: ported, Faults: []nexustest.Fault{names(tt.port)}})
			_, _, err := n.DockerVia(t.Context(), "ported", nexus.ViaConnector)
			matches(t, err, tt.want)
			r, note := via(t, n, nexus.ViaAuto)
			if err := newImage(t, v2s2).push(t, r, "a", "v1"); err != nil || !strings.Contains(note, "its connector is not used") || s.Tags("ported", "a")["v1"] == "" {
				t.Errorf("%s, %s: %v, %q", label, profile, err, note)
			}
		}
		for _, seen := range asked() {
			if strings.Contains(seen, "Basic") || !strings.HasPrefix(seen, "GET /v2/") {
				t.Errorf("%s: the other server was asked %q", profile, seen)
			}
		}

		s, _ := start(t, nexustest.Options{Profile: profile, Repositories: ported})
		s.AddFault(names(portOf(t, s.DockerURL("ported-too"))))
		src := &source{data: content(100)}
		for range 2 { // what was put there by mistake counts no more than what is put there now
			r, _ := via(t, nexus.New(options(t, s.URL)), nexus.ViaAuto)
			_, _, err := r.PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
			refused(t, err, "the port leads elsewhere")
			_, err = r.StatBlob(t.Context(), "a", describe(src.data).Digest)
			refused(t, err, "the port leads elsewhere")
		}
	}
}

// A connector that swallows everything costs a bounded time.
func TestContractPortThatIsSilent(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	s, _ := start(t, nexustest.Options{Repositories: ported, Faults: []nexustest.Fault{names(portOf(t, silent.URL))}})
	o := options(t, s.URL)
	o.Client = httpx.NewClient(httpx.NewTransport(httpx.Options{Stall: time.Minute})) // not that is what ends it
	n := nexus.New(o)
	began := time.Now()
	_, _, err := n.DockerVia(t.Context(), "ported", nexus.ViaConnector)
	matches(t, err, "nothing answers at 127.0.0.1:[0-9]+ within 5s")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("after %s", took)
	}
}

// Below an https base a connector without TLS is taken only where it is named.
func TestContractPlainConnector(t *testing.T) {
	s, _ := start(t, nexustest.Options{Repositories: ported, Faults: []nexustest.Fault{
		{On: nexustest.Match{Path: "^/repository/ported/v2/"}, Do: nexustest.ProxyStatus(404)}}})
	front := httptest.NewTLSServer(s)
	defer front.Close()
	port := portOf(t, s.DockerURL("ported"))
	for _, plain := range [][]string{nil, {"127.0.0.1:1"}, {"127.0.0.1:" + port}} {
		o := options(t, front.URL)
		roots := front.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		o.Client = httpx.NewClient(httpx.NewTransport(httpx.Options{Backoff: fast, RootCAs: roots}))
		o.PlainHTTP = plain
		s.ClearLog()
		r, _, err := nexus.New(o).DockerVia(t.Context(), "ported", nexus.ViaAuto)
		if len(plain) == 1 && strings.HasSuffix(plain[0], port) {
			if err != nil {
				t.Fatal(err)
			}
			if err := newImage(t, v2s2).push(t, r, "a", "v1"); err != nil {
				t.Error(err)
			}
			continue
		}
		refused(t, err, fmt.Sprintf("speaks plain HTTP.*--plain-http 127.0.0.1:%s", port))
		for _, e := range s.Log() {
			if e.Connector != "" {
				t.Errorf("%v: the connector was asked: %s %s", plain, e.Method, e.Path)
			}
		}
	}
}
