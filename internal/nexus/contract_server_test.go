package nexus_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/registry"
	"airbundle/internal/report"
)

// A server that starts refuses connections, or answers 503, and then is there.
func TestContractStarting11(t *testing.T) {
	starting := nexustest.Match{Path: "/v1/status$", Times: 3}
	contract(t, []row{
		{name: "1.1/503 while it starts", o: nexustest.Options{Faults: []nexustest.Fault{{On: starting, Do: nexustest.Status(503, "")}}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			if info, err := n.Check(t.Context()); err != nil || len(info.Repositories) != 5 || s.Count("GET", "/v1/status") != 3+1+1 {
				t.Errorf("%+v, %v, asked %d times", info, err, s.Count("GET", "/v1/status"))
			}
		}},
		{name: "1.1/404 while it starts", o: nexustest.Options{Faults: []nexustest.Fault{{On: starting, Do: nexustest.Status(404, "Not Found")}}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := n.Check(t.Context())
			refused(t, err, "404.*is it a Nexus.*one that is starting may answer so")
		}},
		{name: "1.1/frozen", do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			s.Freeze(true)
			if info, err := n.Check(t.Context()); err != nil || !info.ReadOnly {
				t.Errorf("%+v, %v", info, err)
			}
			if err := n.Writable(t.Context()); httpx.StatusCode(err) != 503 {
				t.Error(err)
			}
		}},
		{name: "1.2/a proxy hides the version", o: nexustest.Options{Quirks: nexustest.Quirks{SwaggerFails: true}, Faults: []nexustest.Fault{{Do: nexustest.EditHeader(func(h http.Header) { h.Set("Server", "nginx") })}}},
			do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				if info, err := n.Check(t.Context()); err != nil || info.Version != s.Version() || info.Edition != "" {
					t.Errorf("%+v, %v; it is a %s", info, err, s.Version())
				}
			}},
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	s, _ := start(t, nexustest.Options{})
	o := options(t, "http://"+addr)
	o.Client = httpx.NewClient(httpx.NewTransport(httpx.Options{Attempts: 100, Backoff: func(int) time.Duration { return 20 * time.Millisecond }}))
	up := make(chan *http.Server, 1)
	go func() {
		time.Sleep(100 * time.Millisecond)
		srv := &http.Server{Handler: s} //nolint:gosec // of a test
		up <- srv
		if ln, err := net.Listen("tcp", addr); err == nil {
			_ = srv.Serve(ln)
		}
	}()
	defer func() { _ = (<-up).Close() }()
	if info, err := nexus.New(o).Check(t.Context()); err != nil || len(info.Repositories) != 5 {
		t.Errorf("%+v, %v", info, err)
	}
}

// Without a login the old generations list nothing and say 200: that is no proof of
// anything, and no repository is absent because of it.
func TestContractNoLogin21(t *testing.T) {
	anonymous := func(o *nexus.Options) { o.Username, o.Password = "", "" }
	for _, open := range []bool{false, true} {
		contract(t, []row{{name: fmt.Sprintf("2.1/no login, anonymous access %v", open), o: nexustest.Options{Anonymous: open}, client: anonymous, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			info, err := n.Check(t.Context())
			refusing := !open && strings.HasPrefix(s.Version(), "3.96")
			if refusing != (httpx.StatusCode(err) == 401) || !refusing && err != nil || (len(info.Repositories) > 0) != open {
				t.Errorf("%+v, %v", info, err)
			}
			if has, err := n.Has(t.Context(), "raw"); !has && err == nil {
				t.Error("a repository is called absent")
			}
			_, err = put(t, n, "raw", "f", content(10), false)
			refused(t, err, "put raw/f: .*40[13]")
			if got := s.Paths("raw"); len(got) != 0 {
				t.Errorf("stored %q", got)
			}
			for _, e := range s.Log() {
				if e.Header.Get("Authorization") != "" {
					t.Errorf("%s %s with %v", e.Method, e.Path, e.Header)
				}
			}
		}}})
	}
}

// Rule 2: the login goes with the first request already, and no cookie ever does.
func TestContractLogin02(t *testing.T) {
	contract(t, []row{
		{name: "0.1/2, 5.6/session cookie", o: nexustest.Options{Quirks: nexustest.Quirks{SessionCookie: true}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			if _, err := n.Check(t.Context()); err != nil {
				t.Error(err)
			}
			for range 2 {
				if _, err := put(t, n, "raw", "f", content(10), false); err != nil {
					t.Error(err)
				}
			}
			made := nexus.Settings{Name: "new", Format: "raw", Type: "hosted", Online: true, Storage: nexus.Storage{BlobStore: "default", WritePolicy: "ALLOW"}}
			if err := n.Create(t.Context(), made); err != nil {
				t.Error(err)
			}
			if _, err := collect(n.Files(t.Context(), "raw")); err != nil {
				t.Error(err)
			}
			for _, e := range s.Log() {
				if status := strings.Contains(e.Path, "/v1/status"); e.Header.Get("Cookie") != "" || !status && e.Header.Get("Authorization") != "Basic" || e.Status == 401 {
					t.Errorf("%s %s: %d with %v", e.Method, e.Path, e.Status, e.Header)
				}
			}
		}},
		{name: "0.1/3, one refusal for all ports: the connector's", o: nexustest.Options{Repositories: ported, Faults: []nexustest.Fault{{On: nexustest.Match{Path: "^/v2/"}, Do: nexustest.Unauthorized()}}},
			do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				_, _, err := n.DockerVia(t.Context(), "ported", nexus.ViaConnector)
				refused(t, err, "401")
				silent(t, s, n, n.Docker("ported"))
			}},
		{name: "0.1/3, one refusal for all ports: the main port's", o: nexustest.Options{Repositories: ported}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			r, _ := via(t, n, nexus.ViaConnector)
			s.AddFault(nexustest.Fault{On: nexustest.Match{Path: "^/service/rest/"}, Do: nexustest.Unauthorized()})
			_, err := n.BlobStores(t.Context())
			refused(t, err, "401")
			silent(t, s, n, r)
		}},
		{name: "0.1/2, redirected to another host", do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			var shown []string
			other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				shown = append(shown, r.Header.Get("Authorization"), r.Header.Get("Cookie"))
			}))
			defer other.Close()
			s.AddFault(nexustest.Fault{Do: func(http.Handler) http.Handler {
				return http.RedirectHandler(other.URL+"/x", http.StatusFound)
			}})
			_, _ = n.BlobStores(t.Context())
			if _, err := put(t, n, "raw", "f", content(10), true); err == nil {
				t.Error("what another host says of a file is believed")
			}
			if len(shown) == 0 || strings.Join(shown, "") != "" {
				t.Errorf("the other host was shown %q", shown)
			}
		}},
	})
}

// silent says that nothing is asked of a server any more.
func silent(t *testing.T, s *nexustest.Server, n *nexus.Nexus, r *registry.Registry) {
	t.Helper()
	s.ClearFaults()
	s.ClearLog()
	src := &source{data: content(10)}
	_, _, err := r.PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
	refused(t, err, "401")
	_, err = n.BlobStores(t.Context())
	refused(t, err, "401")
	_, err = put(t, n, "raw", "f", content(10), false)
	refused(t, err, "401")
	if len(s.Log()) != 0 {
		t.Errorf("%d requests with a login that was refused", len(s.Log()))
	}
}

// What is said of a repository that cannot be made.
func TestContractProvision22(t *testing.T) {
	taken := []nexustest.Repository{{Name: "there", Format: "docker", Port: nexustest.AnyPort}}
	hosted := nexus.Storage{BlobStore: "default", WritePolicy: "ALLOW"}
	var rows []row
	for _, code := range []int{0, 409, 500} {
		rows = append(rows, row{name: fmt.Sprintf("2.2/port in use, %d", code), o: nexustest.Options{Repositories: taken, Quirks: nexustest.Quirks{PortClashStatus: code}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			u, err := url.Parse(s.DockerURL("there"))
			if err != nil {
				t.Fatal(err)
			}
			want := nexus.Settings{Name: "new", Format: "docker", Type: "hosted", Online: true, Storage: hosted}
			if _, err := fmt.Sscan(u.Port(), &want.Docker.HTTPPort); err != nil {
				t.Fatal(err)
			}
			err = n.Create(t.Context(), want)
			matches(t, err, "make the hosted docker repository new: .*[Pp]ort")
			if _, ok := errors.AsType[*nexus.NameTakenError](err); ok || s.Count("POST", "") != 1 {
				t.Errorf("%d requests: %v", s.Count("POST", ""), err)
			}
		}})
	}
	for _, required := range []bool{false, true} {
		rows = append(rows, row{name: fmt.Sprintf("2.2/deployPolicy required %v", required), o: nexustest.Options{Quirks: nexustest.Quirks{DeployPolicyRequired: required}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			want := nexus.Settings{Name: "new", Format: "yum", Type: "hosted", Online: true, Storage: hosted}
			want.Yum.Depth, want.Yum.DeployPolicy = 2, "STRICT"
			if err := n.Create(t.Context(), want); err != nil {
				t.Error(err)
			}
		}})
	}
	raw := nexus.Settings{Name: "RAW", Format: "raw", Type: "hosted", Online: true, Storage: hosted}
	rows = append(rows,
		row{name: "2.1, 2.2/unique whatever the case", do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			err := n.Create(t.Context(), raw)
			if taken, ok := errors.AsType[*nexus.NameTakenError](err); !ok || taken.Name != "RAW" {
				t.Error(err)
			}
		}},
		row{name: "2.4/frozen", do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			s.Freeze(true)
			raw := raw
			raw.Name = "new"
			err := n.Create(t.Context(), raw)
			refused(t, err, "make .* new: the server is read-only")
			if !errors.Is(err, registry.ErrReadOnly) || s.Count("POST", "") != 1 {
				t.Errorf("%d requests: %v", s.Count("POST", ""), err)
			}
		}},
		row{name: "2.4/unexpected", o: nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Path: "/v1/blobstores", Times: 2},
			Do: nexustest.StatusBody(500, "", "text/plain", "ERROR: (ID 0) java.lang.NullPointerException")}}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			if _, err := n.BlobStores(t.Context()); err != nil || len(s.Log()) != 3 {
				t.Errorf("%v after %d requests", err, len(s.Log()))
			}
		}},
		row{name: "2.2/not in the list", o: nexustest.Options{Users: []nexustest.User{{Name: "few", Password: "few", Repositories: []string{"yum"}}}}, client: func(o *nexus.Options) { o.Username, o.Password = "few", "few" },
			do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
				info, err := n.Check(t.Context())
				if err != nil || len(info.Repositories) != 1 {
					t.Errorf("%+v, %v", info, err)
				}
				if has, err := n.Has(t.Context(), "raw"); err != nil || !has {
					t.Errorf("%v, %v", has, err)
				}
				_, err = put(t, n, "raw", "f", content(10), false)
				refused(t, err, "403.*privileges read, browse, add and edit on raw")
			}})
	contract(t, rows)
}

// Orient finds content by its index only, in two forms of time.
func TestContractTimes61(t *testing.T) {
	for _, old := range []bool{false, true} {
		s, n := start(t, nexustest.Options{Quirks: nexustest.Quirks{OldTimestamps: old}})
		src := &source{data: content(searched)}
		if err := s.Put("raw", "f", src.data); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // until the index has it
			s.ClearLog()
			ok, err := n.Present(t.Context(), "raw", "f", describe(src.data), src.open)
			if err != nil || !ok {
				t.Fatalf("%v, %v", ok, err)
			}
			if s.Count("GET", "/repository/") == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("old form %v: it is downloaded although the index knows it", old)
			}
		}
		listed, err := collect(n.Files(t.Context(), "raw"))
		if err != nil || len(listed) != 1 || time.Since(listed[0].Modified) > time.Minute {
			t.Errorf("old form %v: %+v, %v", old, listed, err)
		}
	}
}

// A registry is recognised by what its ping says, whatever its body.
func TestContractPing32(t *testing.T) {
	for _, empty := range []bool{false, true} {
		contract(t, []row{{name: fmt.Sprintf("3.2/ping, empty %v", empty), o: nexustest.Options{Repositories: ported, Quirks: nexustest.Quirks{EmptyPing: empty}, Anonymous: true}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			if err := n.Docker("ported").Ping(t.Context()); err != nil {
				t.Error(err)
			}
			r, _ := via(t, n, nexus.ViaConnector)
			if err := newImage(t, v2s2).push(t, r, "a", "v1"); err != nil {
				t.Error(err)
			}
			if got := report.Classify(nexus.New(options(t, s.URL)).Docker("raw").Ping(t.Context())); got == report.ClassOK {
				t.Error("a raw repository is taken for a registry")
			}
		}}})
	}
}
