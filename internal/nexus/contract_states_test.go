package nexus_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"airbundle/internal/helmtest"
	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/registry"
	"airbundle/internal/report"
)

// writes counts the requests that carry content or would change something.
func writes(s *nexustest.Server) int {
	return s.Count("PUT", "") + s.Count("POST", "") + s.Count("PATCH", "") + s.Count("DELETE", "")
}

// Rule 12: what is tried again is what may be otherwise next time, and nothing else. All
// of it is asked of an upload, which the transport cannot repeat, and of a question.
func TestContractRetry12(t *testing.T) {
	const attempts = httpx.DefaultAttempts
	tries := map[int]int{
		400: 1, 402: 1, 403: 1, 404: 1, 405: 1, 406: 1, 409: 1, 411: 1, 413: 1, 415: 1, 416: 1, 422: 1, 501: 1, 505: 1, 507: 1,
		408: attempts, 429: attempts, 500: attempts, 502: attempts, 503: attempts, 504: attempts,
	}
	var rows []row
	for code, want := range tries {
		up := nexustest.Fault{On: nexustest.Match{Method: "PUT|POST"}, Do: nexustest.Status(code, "")}
		rows = append(rows, row{name: fmt.Sprint("0.1/12, upload, ", code), o: nexustest.Options{Faults: []nexustest.Fault{up}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			for repo, send := range map[string]func() error{
				"raw":    func() error { _, err := put(t, n, "raw", "f", content(1000), false); return err },
				"docker": func() error { _, err := blob(t, n, 1000); return err },
			} {
				s.ClearLog()
				if err := send(); httpx.StatusCode(err) != code || writes(s) != want {
					t.Errorf("%s: %d uploads, want %d: %v", repo, writes(s), want, err)
				}
			}
		}})
		ask := nexustest.Fault{On: nexustest.Match{Path: "/v1/blobstores"}, Do: nexustest.Status(code, "")}
		rows = append(rows, row{name: fmt.Sprint("0.1/12, question, ", code), o: nexustest.Options{Faults: []nexustest.Fault{ask}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			if _, err := n.BlobStores(t.Context()); httpx.StatusCode(err) != code || len(s.Log()) != want {
				t.Errorf("asked %d times, want %d: %v", len(s.Log()), want, err)
			}
		}})
	}
	contract(t, rows)
}

// told pushes a file and a blob, each of which is refused once, in words that say what to do.
func told(want string, puts int) func(*testing.T, *nexustest.Server, *nexus.Nexus) {
	return func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
		_, err := put(t, n, "raw", "f", content(1000), false)
		refused(t, err, want)
		_, err = blob(t, n, 1000)
		refused(t, err, want)
		if got := writes(s); got != puts {
			t.Errorf("%d uploads, want %d", got, puts)
		}
	}
}

func TestContractStates8(t *testing.T) {
	offline := []nexustest.Repository{{Name: "off-raw", Format: "raw", Offline: true}, {Name: "off-docker", Format: "docker", Offline: true}}
	proxy := func(code int) []nexustest.Fault {
		return []nexustest.Fault{{On: nexustest.Match{Method: "PUT|POST"}, Do: nexustest.ProxyStatus(code)}}
	}
	names := func(want string) func(*testing.T, *nexustest.Server, *nexus.Nexus) {
		return func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := put(t, n, "raw", "f", content(1000), false)
			matches(t, err, want)
			if got := report.Classify(err); got != report.ClassUnavailable {
				t.Errorf("class %d of %v", got, err)
			}
			_, err = blob(t, n, 1000)
			matches(t, err, want)
		}
	}
	rows := []row{
		{name: "5.3/offline, told at once", o: nexustest.Options{Repositories: offline}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			_, err := put(t, n, "off-raw", "f", content(1000), false)
			refused(t, err, "503.*set the repository online")
			src := &source{data: content(1000)}
			_, _, err = n.Docker("off-docker").PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
			refused(t, err, "503.*set the repository online")
			if len(s.Log()) != 2 || src.opened.Load() != 0 {
				t.Errorf("%d requests, opened %d times", len(s.Log()), src.opened.Load())
			}
		}},
		{name: "8/proxy, 502", o: nexustest.Options{Faults: proxy(502)}, do: names("502.*a proxy in front")},
		{name: "8/proxy, 504", o: nexustest.Options{Faults: proxy(504)}, do: names("504.*a proxy in front.*proxy_read_timeout")},
		{name: "8/proxy gives up, the server does not", o: nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Method: "PUT|POST", Times: 2}, Do: nexustest.GatewayTimeout()}}},
			do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				if _, err := put(t, n, "raw-once", "f", content(1000), false); err != nil {
					t.Error(err)
				}
				sent(t, s, n, 1000)
				if writes(s) != 2 {
					t.Errorf("%d uploads of what was there", writes(s))
				}
			}},
		{name: "8/authentication back end down", o: nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Times: 1}, Do: nexustest.RetryAfter(503, "1")}}},
			do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				if _, err := n.BlobStores(t.Context()); err != nil {
					t.Fatal(err) // the login is not given up for that
				}
				if log := s.Log(); len(log) != 2 || log[1].Time.Sub(log[0].Time) < 900*time.Millisecond {
					t.Errorf("%+v", log)
				}
			}},
		{name: "8/blocked login", o: nexustest.Options{Faults: []nexustest.Fault{{Do: nexustest.TooManyLogins()}}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			for range 3 {
				_, err := put(t, n, "raw", "f", content(10), false)
				refused(t, err, "429 Too many authentication attempts")
			}
			_, err := blob(t, n, 10)
			refused(t, err, "429")
			if len(s.Log()) != 1 {
				t.Errorf("%d requests, each of which renews the block", len(s.Log()))
			}
		}},
		{name: "8/proxy swallows 100 Continue", o: nexustest.Options{Quirks: nexustest.Quirks{NoContinue: true}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			for _, size := range []int{100_000, 100_001} {
				if _, err := put(t, n, "raw", fmt.Sprint(size), content(size), false); err != nil {
					t.Error(err)
				}
			}
			puts := s.Requests(nexustest.Match{Method: "PUT"})
			if len(puts) != 2 || puts[0].Header.Get("Expect") == "" || puts[1].Header.Get("Expect") != "" {
				t.Errorf("it is asked again what it does not answer: %+v", puts)
			}
		}},
		{name: "8/chunks are refused", o: nexustest.Options{Quirks: nexustest.Quirks{LengthRequired: true}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			for _, size := range []int{0, 1, 100_000} {
				if _, err := put(t, n, "raw", fmt.Sprint(size), content(size), false); err != nil {
					t.Error(err)
				}
			}
			if err := newImage(t, v2s2).push(t, n.Docker("docker"), "a", "v1"); err != nil {
				t.Error(err)
			}
		}},
	}
	contract(t, rows)
}

// The Community Edition: its caps with each status, in the reason or in the body only, and
// its license agreement.
func TestContractCommunity8(t *testing.T) {
	const caps = "PAYMENT REQUIRED.*usage caps of the Community Edition"
	var rows []row
	for _, code := range []int{402, 403, 409} {
		for _, plain := range []bool{false, true} {
			name := fmt.Sprintf("%d, reason dropped %v", code, plain)
			rows = append(rows, row{name: "8/caps, " + name, only: nexustest.CE396, o: nexustest.Options{Quirks: nexustest.Quirks{ComponentCap: 1, CapStatus: code, PlainReasons: plain}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				im := newImage(t, v2s2)
				if err := im.push(t, n.Docker("docker"), "a", "v1"); err != nil { // one tag is one component
					t.Fatal(err)
				}
				s.ClearLog()
				_, err := put(t, n, "raw", "f", content(1000), false)
				refused(t, err, caps)
				if writes(s) != 1 {
					t.Errorf("%d uploads", writes(s))
				}
				err = n.Docker("docker").PushManifest(t.Context(), "a", "v2", im.mediaType, im.raw)
				refused(t, err, caps)
				if writes(s) != 2 {
					t.Errorf("%d uploads", writes(s))
				}
				if d, err := n.Docker("docker").Resolve(t.Context(), "a", "v1"); err != nil || d.Digest != im.digest() {
					t.Errorf("reads go on: %v, %v", d, err)
				}
			}})
			rows = append(rows, row{name: "8/blobs, " + name, o: nexustest.Options{Quirks: nexustest.Quirks{CapStatus: code, PlainReasons: plain},
				Faults: []nexustest.Fault{{On: nexustest.Match{Method: "PUT|POST"}, Do: nexustest.PaymentRequired()}}}, do: told(caps, 2)})
		}
	}
	rows = append(rows,
		row{name: "8/requests of a day", only: nexustest.CE396, o: nexustest.Options{Quirks: nexustest.Quirks{RequestCap: 3}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			var err error
			for i := 0; i < 5 && err == nil; i++ {
				_, err = put(t, n, "raw", fmt.Sprint(i), content(10), false)
			}
			refused(t, err, caps)
		}},
		row{name: "1.4/EULA", only: nexustest.CE396, o: nexustest.Options{Quirks: nexustest.Quirks{UnacceptedEULA: true}}, do: told("403.*license agreement .*not accepted: its owner", 2)},
		row{name: "1.4/EULA, nothing is blocked", only: nexustest.CE396, o: nexustest.Options{Quirks: nexustest.Quirks{UnacceptedEULA: true, EULAIgnored: true}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			accepted, err := n.EULA(t.Context())
			if err != nil || accepted {
				t.Errorf("%v, %v", accepted, err)
			}
			if _, err := put(t, n, "raw", "f", content(10), false); err != nil {
				t.Error(err)
			}
			if s.Count("POST", "eula") != 0 {
				t.Error("it was accepted for its owner")
			}
		}},
		row{name: "1.4/EULA, none", do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			accepted, err := n.EULA(t.Context())
			if has := strings.Contains(s.Version(), "3.96"); has != (err == nil) || !has && httpx.StatusCode(err) != http.StatusNotFound || has && !accepted {
				t.Errorf("%s: %v, %v", s.Version(), accepted, err)
			}
		}})
	contract(t, rows)
}

// A proxy that speaks HTTP/2 drops the reason phrases: what they say stands in the page too.
func TestContractReasonsDropped(t *testing.T) {
	plain := nexustest.Quirks{PlainReasons: true}
	repos := []nexustest.Repository{{Name: "deny", Format: "raw", WritePolicy: "DENY"}, {Name: "strict", Format: "raw", Strict: true}, {Name: "off", Format: "raw", Offline: true}}
	over := func(repo string) func(*testing.T, *nexustest.Server, *nexus.Nexus) {
		return func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			if err := s.Put(repo, "f", content(10)); err != nil {
				t.Fatal(err)
			}
			_, err := put(t, n, repo, "f", content(11), true)
			refused(t, err, "holds other content.*allow redeploy")
		}
	}
	contract(t, []row{
		{name: "5.3/once", o: nexustest.Options{Quirks: plain}, do: over("raw-once")},
		{name: "3.4/once", o: nexustest.Options{Quirks: plain}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			r := n.Docker("docker-once")
			if err := newImage(t, v2s2).push(t, r, "a", "v1"); err != nil {
				t.Fatal(err)
			}
			refused(t, newImage(t, ociManifest).push(t, r, "a", "v1"), "may not be overwritten")
		}},
		{name: "5.3/DENY", o: nexustest.Options{Quirks: plain, Repositories: repos}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := put(t, n, "deny", "f", content(10), false)
			refused(t, err, "is read-only.*allow redeploy")
		}},
		{name: "5.3/strict", o: nexustest.Options{Quirks: plain, Repositories: repos}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := put(t, n, "strict", "f.png", []byte("only text"), false)
			refused(t, err, "strict holds the content against the file's name")
		}},
		{name: "5.3/unknown repository", o: nexustest.Options{Quirks: plain}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := put(t, n, "nowhere", "f", content(10), false)
			refused(t, err, "Nexus has no repository nowhere")
		}},
		{name: "8/read-only", o: nexustest.Options{Quirks: plain}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			s.Freeze(true)
			told("the server is read-only", 2)(t, s, n)
		}},
		{name: "8/blocked login", o: nexustest.Options{Quirks: plain, Faults: []nexustest.Fault{{On: nexustest.Match{Method: "GET"}, Do: nexustest.TooManyLogins()}}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			for range 3 {
				if _, err := n.BlobStores(t.Context()); httpx.StatusCode(err) != 429 {
					t.Error(err)
				}
			}
			if len(s.Log()) != 1 {
				t.Errorf("%d requests", len(s.Log()))
			}
		}},
	})
}

// What nobody has established of refusals to write: their status.
func TestContractRefusalStatus(t *testing.T) {
	repos := []nexustest.Repository{{Name: "deny", Format: "docker", WritePolicy: "DENY"}, {Name: "group", Format: "docker", Type: "group", Members: []string{"docker"}, Port: nexustest.AnyPort},
		{Name: "helm-once", Format: "helm", WritePolicy: "ALLOW_ONCE"}}
	var rows []row
	for _, code := range []int{0, 403, 405, 409} {
		o := nexustest.Options{Repositories: repos, Quirks: nexustest.Quirks{DenyStatus: code, GroupStatus: code, RedeployStatus: code, LaterWords: code != 0}}
		at := func(name string) string { return fmt.Sprintf("%s, %d", name, code) }
		rows = append(rows,
			row{name: at("3.4/DENY"), o: o, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
				src := &source{data: content(100)}
				_, _, err := n.Docker("deny").PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
				refused(t, err, "deny is read-only.*set it to allow redeploy")
			}},
			row{name: at("3.1, 9/group"), o: o, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				src := &source{data: content(100)}
				_, _, err := n.Docker("group").PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
				refused(t, err, "only Nexus Pro takes pushes to a group: name the hosted repository")
				// As KubeOperator's port 8082: a registry to whoever knows the port only.
				o := options(t, s.DockerURL("group"))
				r := registry.New(registry.Options{Base: o.URL, Client: o.Client, Username: o.Username, Password: o.Password, Retry: o.Retry})
				s.ClearLog()
				_, _, err = r.PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
				refused(t, err, "only Nexus Pro takes pushes to a group: name the hosted repository")
				if s.Count("POST", "") != 1 || src.opened.Load() > 2 {
					t.Errorf("%d uploads, opened %d times", s.Count("POST", ""), src.opened.Load())
				}
			}},
			row{name: at("3.4/once"), o: o, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
				r, im := n.Docker("docker-once"), newImage(t, v2s2)
				if err := im.push(t, r, "a", "v1"); err != nil {
					t.Fatal(err)
				}
				if err := r.PushManifest(t.Context(), "a", "v1", im.mediaType, im.raw); err != nil {
					t.Errorf("equal: %v", err)
				}
				src := &source{data: im.layer}
				if _, err := r.UploadBlob(t.Context(), "a", describe(im.layer), src.open); err != nil {
					t.Errorf("equal blob: %v", err)
				}
				refused(t, newImage(t, ociManifest).push(t, r, "a", "v1"), "may not be overwritten")
			}},
			row{name: at("4.3, 7/once"), o: o, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				for repo, path := range map[string]string{"yum": "os/a-1-1.noarch.rpm", "helm-once": "a-1.0.0.tgz"} {
					if err := s.Put(repo, path, helmtest.Chart(t, "a", "1.0.0", nil)); err != nil {
						t.Fatal(err)
					}
					_, err := put(t, n, repo, path, helmtest.Chart(t, "a", "1.0.0", map[string]string{"x": "y"}), true)
					refused(t, err, "holds other content.*allow redeploy")
				}
			}})
	}
	rows = append(rows,
		row{name: "4.3/group", o: nexustest.Options{Repositories: []nexustest.Repository{{Name: "yum-group", Format: "yum", Type: "group", Members: []string{"yum"}}}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := put(t, n, "yum-group", "os/a-1-1.noarch.rpm", content(10), false)
			refused(t, err, "405.*group takes no uploads.*hosted")
		}})
	contract(t, rows)
}
