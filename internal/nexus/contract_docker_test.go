package nexus_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/registry"
	"airbundle/internal/report"
)

// A row is one line of a table of the HTTP contract that a client can get wrong; its name
// begins with the number of the section.
type row struct {
	name   string
	o      nexustest.Options
	only   nexustest.Profile // "": all three
	client func(*nexus.Options)
	do     func(t *testing.T, s *nexustest.Server, n *nexus.Nexus)
}

func contract(t *testing.T, rows []row) {
	t.Helper()
	for _, profile := range generations {
		for _, r := range rows {
			if r.only != "" && r.only != profile {
				continue
			}
			t.Run(r.name+"/"+string(profile), func(t *testing.T) {
				t.Parallel()
				o := r.o
				o.Profile = profile
				s, n := start(t, o)
				if r.client != nil {
					c := options(t, s.URL)
					r.client(&c)
					n = nexus.New(c)
				}
				r.do(t, s, n)
			})
		}
	}
}

// An anImage is a small image of any form.
type anImage struct {
	mediaType     string
	raw           []byte
	config, layer []byte
}

const v2s2 = "application/vnd.docker.distribution.manifest.v2+json"

func newImage(t testing.TB, mediaType string) anImage {
	t.Helper()
	im := anImage{mediaType, nil, []byte(`{"architecture":"amd64","os":"linux"}`), content(150_000)}
	m := ocispec.Manifest{MediaType: mediaType, Config: describe(im.config), Layers: []ocispec.Descriptor{describe(im.layer)}}
	m.SchemaVersion = 2
	m.Config.MediaType, m.Layers[0].MediaType = ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip
	if mediaType == v2s2 {
		m.Config.MediaType, m.Layers[0].MediaType = "application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"
	}
	var err error
	if im.raw, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return im
}

func (im anImage) digest() digest.Digest { return digest.FromBytes(im.raw) }

func (im anImage) pushBlobs(t *testing.T, r *registry.Registry, repo string) {
	t.Helper()
	for _, b := range [][]byte{im.config, im.layer} {
		if _, _, err := r.PushBlob(t.Context(), repo, describe(b), nil, (&source{data: b}).open); err != nil {
			t.Fatal(err)
		}
	}
}

func (im anImage) push(t *testing.T, r *registry.Registry, repo, ref string) error {
	t.Helper()
	im.pushBlobs(t, r, repo)
	return r.PushManifest(t.Context(), repo, ref, im.mediaType, im.raw)
}

// blob pushes n bytes into team/app of the repository docker.
func blob(t *testing.T, n *nexus.Nexus, size int) (how string, err error) {
	t.Helper()
	src := &source{data: content(size)}
	_, how, err = n.Docker("docker").PushBlob(t.Context(), "team/app", describe(src.data), nil, src.open)
	if left := src.live.Load(); left != 0 {
		t.Errorf("%d readers of the source are open", left)
	}
	return how, err
}

// sent is blob with a good end, of which the server's copy is looked at.
func sent(t *testing.T, s *nexustest.Server, n *nexus.Nexus, size int) {
	t.Helper()
	if _, err := blob(t, n, size); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read("docker", "v2/-/blobs/"+describe(content(size)).Digest.String()); err != nil || !bytes.Equal(got, content(size)) {
		t.Errorf("%d of %d bytes are stored, %v", len(got), size, err)
	}
}

func refused(t *testing.T, err error, pattern string) {
	t.Helper()
	matches(t, err, pattern)
	if got := report.Classify(err); got != report.ClassRefused {
		t.Errorf("class %d of %v", got, err)
	}
}

var uploads = nexustest.Match{Route: nexustest.RouteUpload}

func TestContractBlobs(t *testing.T) {
	session := nexustest.Quirks{NoSinglePost: true}
	elsewhere := func(base string) nexustest.Options {
		return nexustest.Options{ContextPath: "/nexus", Quirks: session, Faults: []nexustest.Fault{{Do: nexustest.AbsoluteLocation(base)}}}
	}
	works := func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) { sent(t, s, n, 100_000) }
	again := func(f nexustest.Fault) row {
		return row{name: "3.3/" + f.Name, o: nexustest.Options{Quirks: session, Faults: []nexustest.Fault{f}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			sent(t, s, n, 100_000)
			used := map[string]bool{}
			for _, e := range s.Requests(nexustest.Match{Route: nexustest.RouteUpload, Method: "PUT"}) {
				if path, _, _ := strings.Cut(e.Path, "?"); used[path] {
					t.Errorf("session %s is used again", path)
				} else {
					used[path] = true
				}
			}
			if len(used) != 2 {
				t.Errorf("%d sessions", len(used))
			}
		}}
	}
	put := nexustest.Match{Route: nexustest.RouteUpload, Method: "PUT", Times: 1}
	rows := []row{
		{name: "3.3/single POST", do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			sent(t, s, n, 100_000)
			if up := s.Requests(uploads); len(up) != 1 || up[0].Method != "POST" || up[0].Status != 201 {
				t.Errorf("%+v", up)
			}
		}},
		{name: "3.3/HEAD first, by any image name", do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			sent(t, s, n, 1000)
			src := &source{data: content(1000)}
			_, how, err := n.Docker("docker").PushBlob(t.Context(), "other/name", describe(src.data), nil, src.open)
			if err != nil || how != registry.Present || src.opened.Load() != 0 || len(s.Requests(uploads)) != 1 {
				t.Errorf("%q, %v, opened %d times", how, err, src.opened.Load())
			}
		}},
		{name: "3.3/202 to the single POST", o: nexustest.Options{Quirks: session}, do: works},
		{name: "3.3/bare answers", o: nexustest.Options{Quirks: nexustest.Quirks{NoSinglePost: true, BareUploads: true}}, do: works},
		{name: "3.3/bare answer to the single POST", o: nexustest.Options{Quirks: nexustest.Quirks{BareUploads: true}}, do: works},
		{name: "3.3/Location with the prefix", o: nexustest.Options{ContextPath: "/nexus", Quirks: nexustest.Quirks{NoSinglePost: true, LocationPrefix: true}}, do: works},
		{name: "3.3/Location without the prefix", o: nexustest.Options{ContextPath: "/nexus", Quirks: session}, do: works},
		{name: "3.9/Location on a private address", o: elsewhere("http://10.255.255.1:8081"), do: works},
		{name: "3.9/Location at another context path", o: elsewhere("http://10.255.255.1/other/repository/docker"), do: works},
		{name: "3.9/Location with a doubled port", o: elsewhere("https://nexus.local"), do: works},
		{name: "3.9/Location that is none", o: nexustest.Options{Quirks: session, Faults: []nexustest.Fault{{Do: nexustest.EditHeader(func(h http.Header) {
			if h.Get("Location") != "" {
				h.Set("Location", "http://10.255.255.1/v2/evil/blobs/uploads/x")
			}
		})}}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := blob(t, n, 1000)
			refused(t, err, "sends the upload to http://10.255.255.1/v2/evil/blobs/uploads/x: refused")
		}},
		{name: "3.3/mount is not tried", o: nexustest.Options{Quirks: nexustest.Quirks{Mount: true}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			src := &source{data: content(1000)}
			if _, _, err := n.Docker("docker").PushBlob(t.Context(), "b", describe(src.data), []string{"a"}, src.open); err != nil || s.Count("POST", "mount=") != 0 {
				t.Errorf("%v, %d mounts", err, s.Count("POST", "mount="))
			}
		}},
		again(nexustest.Fault{Name: "digest wrong", On: put, Do: nexustest.FlipRequest(70_000)}),
		again(nexustest.Fault{Name: "session unknown", On: put, Do: nexustest.DockerError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", nil)}),
		again(nexustest.Fault{Name: "reset in the body", On: put, Do: nexustest.Reset(50_000)}),
		again(nexustest.Fault{Name: "502", On: put, Do: nexustest.BadGateway()}),
		{name: "3.3/minutes of silence", client: func(o *nexus.Options) {
			o.Client = httpx.NewClient(httpx.NewTransport(httpx.Options{Stall: 50 * time.Millisecond, ResponseWait: 10 * time.Second, Backoff: fast}))
		}, o: nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Route: nexustest.RouteUpload}, Do: late(400 * time.Millisecond)}}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			sent(t, s, n, 1000)
			if up := s.Requests(uploads); len(up) != 1 {
				t.Errorf("%d uploads", len(up))
			}
		}},
		{name: "3.3/proxy limit", o: nexustest.Options{MaxBodyBytes: 1000}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			_, err := blob(t, n, 100_000)
			refused(t, err, "413.*client_max_body_size")
		}},
	}
	for _, quirks := range []nexustest.Quirks{{}, session} {
		rows = append(rows, row{name: fmt.Sprintf("3.8/on the wire, sessions %v", quirks.NoSinglePost), o: nexustest.Options{Quirks: quirks}, do: wire})
	}
	contract(t, rows)
}

// late waits with the answer until the body has been read and some time has passed.
func late(d time.Duration) nexustest.Action {
	return nexustest.EditHeader(func(http.Header) { time.Sleep(d) })
}

// wire looks at the requests of uploads of several sizes: exact lengths, never in chunks,
// and nothing that a session cookie or a form would bring.
func wire(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
	for _, size := range []int{0, 1, 200_000} {
		sent(t, s, n, size)
	}
	for _, e := range s.Log() {
		if e.Header.Get("Transfer-Encoding") != "" || e.Header.Get("Cookie") != "" || e.Header.Get("Authorization") != "Basic" || e.Method == "PATCH" {
			t.Errorf("%s %s with %v", e.Method, e.Path, e.Header)
		}
		if e.BytesIn > 0 && (e.Header.Get("Content-Length") != fmt.Sprint(e.BytesIn) || e.Header.Get("Content-Type") != "application/octet-stream") {
			t.Errorf("%s %s: %d bytes with %v", e.Method, e.Path, e.BytesIn, e.Header)
		}
		if e.BytesIn >= 64<<10 && e.Header.Get("Expect") != "100-continue" {
			t.Errorf("%s %s without Expect", e.Method, e.Path)
		}
	}
}

func TestContractLogin(t *testing.T) {
	bearer := []nexustest.Repository{{Name: "tokens", Format: "docker", BearerAuth: true}}
	wrong := func(o *nexus.Options) { o.Password = "wrong" }
	once := func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
		for range 5 {
			src := &source{data: content(10)}
			_, _, err := n.Docker("tokens").PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
			refused(t, err, "401")
		}
		if asked := len(s.Log()); asked != 1 {
			t.Errorf("%d requests with a wrong password", asked)
		}
	}
	contract(t, []row{
		{name: "3.2/preemptive Basic where tokens are offered", o: nexustest.Options{Repositories: bearer, TokenRealm: true}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			src := &source{data: content(1000)}
			if _, _, err := n.Docker("tokens").PushBlob(t.Context(), "a", describe(src.data), nil, src.open); err != nil || s.Count("", "/v2/token") != 0 {
				t.Errorf("%v, %d tokens", err, s.Count("", "/v2/token"))
			}
		}},
		{name: "3.2/BASIC in upper case", o: nexustest.Options{Repositories: bearer}, client: wrong, do: once},
		{name: "3.2/realm null://", o: nexustest.Options{Repositories: bearer, Faults: []nexustest.Fault{{Do: nexustest.NullRealm()}}}, client: wrong, do: once},
		{name: "3.2/realm with a doubled port", o: nexustest.Options{Repositories: bearer, Faults: []nexustest.Fault{{Do: nexustest.EditHeader(func(h http.Header) {
			h["WWW-Authenticate"] = []string{`Bearer realm="https://nexus.local:8443:8443/v2/token",service="x"`}
		})}}}, client: wrong, do: once},
		{name: "3.2/broken realm beside a good login", o: nexustest.Options{Repositories: bearer, TokenRealm: true, Faults: []nexustest.Fault{{Do: nexustest.NullRealm()}}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			if err := newImage(t, v2s2).push(t, n.Docker("tokens"), "a", "v1"); err != nil {
				t.Error(err)
			}
		}},
		{name: "3.2/session cookie", o: nexustest.Options{Quirks: nexustest.Quirks{SessionCookie: true}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			if err := newImage(t, v2s2).push(t, n.Docker("docker"), "a", "v1"); err != nil {
				t.Error(err)
			}
		}},
	})
}

func TestContractWritePolicy(t *testing.T) {
	deny := []nexustest.Repository{{Name: "deny", Format: "docker", WritePolicy: "DENY"}, {Name: "group", Format: "docker", Type: "group", Members: []string{"docker"}}}
	contract(t, []row{
		{name: "3.4/one digest at once under two names", do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					src := &source{data: content(300_000)}
					if _, _, err := n.Docker("docker-once").PushBlob(t.Context(), fmt.Sprint("app", i), describe(src.data), nil, src.open); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}},
		{name: "3.4/cannot be updated, and is not there", o: nexustest.Options{Faults: []nexustest.Fault{{On: uploads, Do: nexustest.DockerError(400, "BLOB_UPLOAD_INVALID", "blob upload invalid", "docker/v2/-/blobs/sha256:0 cannot be updated")}}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			_, err := blob(t, n, 1000)
			refused(t, err, "cannot be updated")
			if up := len(s.Requests(uploads)); up != 1 {
				t.Errorf("%d uploads", up)
			}
		}},
		{name: "3.4/duplicate key", o: nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Route: nexustest.RouteUpload, Times: 1}, Do: nexustest.DuplicateKey()}}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) { sent(t, s, n, 1000) }},
		{name: "3.4/DENY", o: nexustest.Options{Repositories: deny}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			src := &source{data: content(100)}
			_, _, err := n.Docker("deny").PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
			refused(t, err, "deny is read-only.*set it to allow redeploy")
		}},
		{name: "3.4/the same tag again", do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			for range 2 {
				if err := newImage(t, v2s2).push(t, n.Docker("docker-once"), "a", "v1"); err != nil {
					t.Error(err)
				}
			}
			err := newImage(t, ociManifest).push(t, n.Docker("docker-once"), "a", "v1")
			refused(t, err, "may not be overwritten")
			if _, ok := errors.AsType[*registry.ConflictError](err); !ok {
				t.Errorf("%v", err)
			}
		}},
		{name: "3.1/group", o: nexustest.Options{Repositories: deny}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			src := &source{data: content(100)}
			_, _, err := n.Docker("group").PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
			refused(t, err, "PRO-licensed.*name the hosted repository")
		}},
		{name: "3.8/no docker endpoint", do: func(t *testing.T, _ *nexustest.Server, _ *nexus.Nexus) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					w.WriteHeader(404)
					return
				}
				http.Error(w, "HTTP method POST is not supported by this URL", http.StatusMethodNotAllowed)
			}))
			defer srv.Close()
			_, err := blob(t, nexus.New(options(t, srv.URL)), 100)
			refused(t, err, "is not supported by this URL.*is it a hosted docker repository")
		}},
	})
}
