package nexus_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/digestio"
	"airbundle/internal/helmtest"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/registry"
)

func put(t *testing.T, n *nexus.Nexus, repo, path string, data []byte, overwrite bool) (string, error) {
	t.Helper()
	src := &source{data: data}
	_, how, err := n.Put(t.Context(), repo, path, describe(data), overwrite, src.open)
	return how, err
}

// refusal is a row for an answer to a PUT, given in the reason phrase, in the body, or in
// both: HTTP/2 proxies drop the reason, others the page.
func refusal(name string, code int, text, want string) []row {
	var rows []row
	for where, do := range map[string]nexustest.Action{
		"both":   nexustest.StatusBody(code, text, "text/html", "<html><body><h1>Error</h1><p>"+text+"</p></body></html>"),
		"reason": nexustest.StatusBody(code, text, "text/html", ""),
		"body":   nexustest.StatusBody(code, http.StatusText(code), "text/plain", text),
	} {
		rows = append(rows, row{name: name + ", in " + where, o: nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Method: "PUT"}, Do: do}}},
			do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				_, err := put(t, n, "raw", "dir/f.png", content(1000), false)
				refused(t, err, want)
				if puts := s.Count("PUT", ""); puts != 1 {
					t.Errorf("%d PUTs", puts)
				}
			}})
	}
	return rows
}

func TestContractRefusals(t *testing.T) {
	group := []nexustest.Repository{{Name: "group", Format: "raw", Type: "group", Members: []string{"raw"}},
		{Name: "deny", Format: "raw", WritePolicy: "DENY"}, {Name: "strict", Format: "raw", Strict: true}, {Name: "offline", Format: "raw", Offline: true}}
	rows := slices.Concat(
		refusal("5.3/content type", 400, "Detected content type [text/plain], but expected [image/png]: /dir/f.png", `expected \[image/png\].*strict content type validation off`),
		refusal("5.3/no content type", 400, "Content type could not be determined: /dir/f.png", "strict content type validation off"),
		refusal("5.3/DENY", 400, "raw/dir/f.png is read-only", "read-only.*set it to allow redeploy"),
		refusal("11/license agreement", 403, "The End User License Agreement has not been accepted", "not been accepted.*its owner has to read and accept it"),
		refusal("8/disk full", 500, "java.io.IOException: No space left on device", "No space left.*make room in its blob store"),
		refusal("8/usage cap", 403, "PAYMENT REQUIRED: At current usage levels", "PAYMENT REQUIRED.*usage caps of the Community Edition"),
		refusal("8/usage cap, 409", 409, "PAYMENT REQUIRED: At current usage levels", "PAYMENT REQUIRED.*usage caps of the Community Edition"),
		refusal("8/read-only", 503, "Nexus Repository Manager is in read-only mode", "the server is read-only"),
		refusal("8/proxy limit", 413, "Request Entity Too Large", "413.*client_max_body_size"),
		refusal("5.1/group", 405, "PUT", "405.*is it a group or a proxy"),
	)
	rows = append(rows,
		row{name: "5.1/group", o: nexustest.Options{Repositories: group}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := put(t, n, "group", "f", content(10), false)
			refused(t, err, "405.*group takes no uploads.*hosted")
		}},
		row{name: "5.3/DENY, by the double", o: nexustest.Options{Repositories: group}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := put(t, n, "deny", "f", content(10), false)
			refused(t, err, "deny/f is read-only")
		}},
		row{name: "5.3/strict, by the double", o: nexustest.Options{Repositories: group}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := put(t, n, "strict", "f.png", []byte("only text"), false)
			refused(t, err, "Detected content type.*strict holds the content against the file's name")
			if _, err := put(t, n, "strict", "f.tar.gz", helmtest.Chart(t, "a", "1.0.0", nil), false); err != nil {
				t.Error(err)
			}
		}},
		row{name: "5.3/unknown repository", do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			_, err := put(t, n, "nowhere", "f", content(10), false)
			refused(t, err, "Nexus has no repository nowhere")
			if puts := s.Count("PUT", ""); puts != 0 {
				t.Errorf("%d PUTs", puts)
			}
		}},
		row{name: "5.3/offline", o: nexustest.Options{Repositories: group}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := put(t, n, "offline", "f", content(10), false)
			matches(t, err, "503.*set the repository online")
		}})
	contract(t, rows)
}

// What is there is compared before a PUT, because the server refuses equal content too,
// and again after its refusal, whatever its words.
func TestContractRedeploy(t *testing.T) {
	var rows []row
	for _, repo := range []string{"raw-once", "helm-once"} {
		rows = append(rows, row{name: "5.3/once, " + repo, o: nexustest.Options{Repositories: []nexustest.Repository{{Name: "helm-once", Format: "helm", WritePolicy: "ALLOW_ONCE"}}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			path, data := "a-1.0.0.tgz", helmtest.Chart(t, "a", "1.0.0", nil)
			if how, err := put(t, n, repo, path, data, false); err != nil || how != registry.Sent {
				t.Fatalf("%q, %v", how, err)
			}
			for _, overwrite := range []bool{false, true} {
				if how, err := put(t, n, repo, path, data, overwrite); err != nil || how != registry.Present {
					t.Errorf("again: %q, %v", how, err)
				}
			}
			other := helmtest.Chart(t, "a", "1.0.0", map[string]string{"x": "y"})
			_, err := put(t, n, repo, path, other, false)
			refused(t, err, "holds other content.*--overwrite")
			_, err = put(t, n, repo, path, other, true)
			refused(t, err, "holds other content.*allow redeploy")
		}})
		rows = append(rows, row{name: "5.3/written by another meanwhile, " + repo, o: nexustest.Options{
			Repositories: []nexustest.Repository{{Name: "helm-once", Format: "helm", WritePolicy: "ALLOW_ONCE"}},
			Faults:       []nexustest.Fault{{On: nexustest.Match{Method: "HEAD", Times: 1}, Do: nexustest.Status(404, "/a-1.0.0.tgz")}}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			data := helmtest.Chart(t, "a", "1.0.0", nil)
			if err := s.Put(repo, "a-1.0.0.tgz", data); err != nil {
				t.Fatal(err)
			}
			if how, err := put(t, n, repo, "a-1.0.0.tgz", data, false); err != nil || how != registry.Present {
				t.Errorf("%q, %v", how, err)
			}
			if puts := s.Requests(nexustest.Match{Method: "PUT"}); len(puts) != 1 || puts[0].Status < 400 {
				t.Errorf("%+v", puts)
			}
		}})
	}
	rows = append(rows, row{name: "5.2/If-None-Match is not relied on", o: nexustest.Options{Quirks: nexustest.Quirks{PutIfNoneMatch: true}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
		for _, data := range [][]byte{content(10), content(20)} {
			if _, err := put(t, n, "raw", "f", data, true); err != nil {
				t.Error(err)
			}
		}
		for _, e := range s.Log() {
			if e.Header.Get("If-None-Match")+e.Header.Get("If-Match") != "" {
				t.Errorf("%s %s with %v", e.Method, e.Path, e.Header)
			}
		}
	}})
	contract(t, rows)
}

// A source that turns out to be damaged leads to a broken request: its last byte is never
// sent, so that no server can take it for whole. What a server keeps of it is too short.
func TestContractDamagedSource(t *testing.T) {
	good := helmtest.Chart(t, "a", "1.0.0", map[string]string{"pad": strings.Repeat("x", 5000) + string(content(200_000))})
	bad := bytes.Clone(good)
	bad[0]++
	var rows []row
	for _, keep := range []bool{false, true} {
		for _, single := range []bool{false, true} {
			for _, repo := range []string{"raw", "yum", "helm", "docker"} {
				name := map[bool]string{true: "kept, ", false: "dropped, "}[keep] + map[bool]string{true: "one POST, ", false: ""}[single] + repo
				o := nexustest.Options{Repositories: []nexustest.Repository{{Name: "helm", Format: "helm"}}, Quirks: nexustest.Quirks{KeepShortUploads: keep, NoSinglePost: !single}}
				rows = append(rows, row{name: "8/damaged source, " + name, o: o, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
					damaged, path := &source{data: bad}, "a-1.0.0.tgz"
					if repo == "yum" {
						path = "a-1-0.noarch.rpm"
					}
					var err error
					if repo == "docker" {
						_, _, err = n.Docker(repo).PushBlob(t.Context(), "a", describe(good), nil, damaged.open)
					} else {
						_, _, err = n.Put(t.Context(), repo, path, describe(good), false, damaged.open)
					}
					if _, ok := errors.AsType[*digestio.MismatchError](err); !ok || damaged.opened.Load() != 1 && repo != "docker" {
						t.Errorf("opened %d times: %v", damaged.opened.Load(), err)
					}
					for _, a := range s.Assets(repo) {
						if a.Size >= int64(len(good)) && !a.Generated {
							t.Errorf("%s is stored with all %d bytes", a.Path, a.Size)
						}
					}
					if in := s.Stats().BytesIn; in >= int64(len(good)) {
						t.Errorf("%d of %d bytes came", in, len(good))
					}
					if repo == "raw" {
						if _, err := put(t, n, repo, "a-1.0.0.tgz", good, true); err != nil {
							t.Errorf("from a good source: %v", err)
						}
					}
				}})
			}
		}
	}
	contract(t, rows)
}

// The operator learns of what such a server keeps.
func TestLeftoverIsTold(t *testing.T) {
	var came atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut:
			came.Store(true)
			_, _ = new(bytes.Buffer).ReadFrom(r.Body)
		case came.Load():
			w.Header().Set("Content-Length", "77")
		default:
			w.WriteHeader(404)
		}
	}))
	defer srv.Close()
	good := content(200_000) // large enough for the server to be asked before the body goes
	bad := &source{data: append(good[:199_999:199_999], good[199_999]+1)}
	_, _, err := nexus.New(options(t, srv.URL)).Put(t.Context(), "raw", "f", describe(good), false, bad.open)
	matches(t, err, "the server keeps the 77 bytes that had come; replace them with --overwrite, or delete them")
}

func TestContractContent(t *testing.T) {
	contract(t, []row{
		{name: "5.1/answers to a PUT", o: nexustest.Options{Repositories: []nexustest.Repository{{Name: "helm", Format: "helm"}}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			chart := helmtest.Chart(t, "a", "1.0.0", nil)
			for repo, want := range map[string]int{"raw": 201, "yum": 200, "helm": 200} {
				if _, err := put(t, n, repo, "a-1.0.0.tgz", chart, false); err != nil && repo != "yum" {
					t.Error(err)
				}
				if got := s.Requests(nexustest.Match{Method: "PUT", Path: "/" + repo + "/"}); len(got) != 1 || got[0].Status != want && repo != "yum" {
					t.Errorf("%s: %+v", repo, got)
				}
			}
			for _, e := range s.Log() {
				if e.Method == "PUT" && (e.Header.Get("Content-Type") != "application/octet-stream" || e.Header.Get("Content-Length") == "" || e.Header.Get("Transfer-Encoding") != "") {
					t.Errorf("5.4: %s with %v", e.Path, e.Header)
				}
				if e.Method == "POST" {
					t.Errorf("5.6, 7: POST %s", e.Path)
				}
			}
		}},
		{name: "5.1/404 is absence", do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			ok, err := n.Present(t.Context(), "raw", "no/such/file", describe(nil), (&source{}).open)
			if ok || err != nil {
				t.Errorf("%v, %v", ok, err)
			}
		}},
		{name: "5.2, 5.5/what the server names", do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			if _, err := n.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			data := content(1000)
			for _, repo := range []string{"raw", "yum"} {
				if err := s.Put(repo, "os/a-1-1.noarch.rpm", data); err != nil {
					t.Fatal(err)
				}
				a, err := n.Stat(t.Context(), repo, "os/a-1-1.noarch.rpm")
				for end := time.Now().Add(10 * time.Second); repo == "raw" && a.Checksums["sha1"] != "" && a.Checksums["sha256"] == "" && time.Now().Before(end); { // the index lags
					time.Sleep(time.Millisecond)
					a, err = n.Stat(t.Context(), repo, "os/a-1-1.noarch.rpm")
				}
				if err != nil || a.Size != 1000 || a.Modified.IsZero() {
					t.Errorf("%s: %+v, %v", repo, a, err)
				}
				// Only a datastore names the SHA-1; of a raw repository it knows the SHA-256 too, also of an RPM.
				datastore := !strings.HasPrefix(s.Version(), "3.40")
				if (a.Checksums["sha1"] != "") != datastore || (a.Checksums["sha256"] == describe(data).Digest.Encoded()) != (datastore && repo == "raw") {
					t.Errorf("%s of %s: %v", repo, s.Version(), a.Checksums)
				}
			}
		}},
		{name: "5.3/first seen HEAD after a lost answer", o: nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Method: "PUT", Times: 1}, Do: nexustest.LoseAnswer()}}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			if _, err := put(t, n, "raw-once", "f", content(1000), false); err != nil {
				t.Error(err)
			}
			var methods []string
			for _, e := range s.Requests(nexustest.Match{Path: "/raw-once/f"}) {
				methods = append(methods, e.Method)
			}
			if puts := s.Count("PUT", ""); puts != 1 || !cmp.Equal(methods[:3], []string{"HEAD", "PUT", "HEAD"}) {
				t.Errorf("%v", methods)
			}
		}},
		{name: "7/bad chart", o: nexustest.Options{Repositories: []nexustest.Repository{{Name: "helm", Format: "helm"}}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := put(t, n, "helm", "a-1.0.0.tgz", content(100), false)
			refused(t, err, "put helm/a-1.0.0.tgz: .*400 Invalid chart")
		}},
	})
}
