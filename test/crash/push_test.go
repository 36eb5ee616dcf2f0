package crash

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/nexustest"
	"airbundle/internal/registrytest"
	"airbundle/internal/rpm/yumconf"
	"airbundle/manifest"
	"airbundle/test/origin"
)

// repositories of the bundle's images, with their tags.
var repositories = map[string]string{"team/app": "1.0", "library/tool": "2", "pause": "3.2", "team/heavy": "1.0"}

// bundle builds the archive that is pushed.
func bundle(t *testing.T) string { return bundleOf(t, "demo") }

// bundleOf builds one of that name, with a serial.
func bundleOf(t *testing.T, name string) string {
	t.Helper()
	src := origin.Start(t, work(t), origin.Options{})
	src.Lock.Name, src.Lock.Serial = name, 7
	dir := t.TempDir()
	raw, err := src.Lock.Encode()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "lock.yaml"), raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "work.bundle.tar")
	bundler := program{name: "bundler", env: []string{"BUNDLER_PLAIN_HTTP=" + src.Host}}
	bundler.run(t, 0, nil, "build", filepath.Join(dir, "lock.yaml"), "-o", path)
	return path
}

// pushed is the JSON report of seeder push.
type pushed struct {
	Summary struct {
		Sent int64 `json:"bytesSent"`
	} `json:"summary"`
}

// A server is where one kill pushes to.
type server struct {
	v2    string // URL of the registry API, with /v2
	flags []string
	env   []string
	whole func(t *testing.T) // checks what is not in the registry: nothing that is there may be cut
	pace  func(slow bool)
	cut   func() int // uploads that broke off

	repositories map[string]string // of the images, with their tags
}

// killedPush kills pushes to servers of one kind, each with a server of its own.
func killedPush(t *testing.T, start func(t *testing.T) *server) {
	path := bundle(t)
	first := start(t)
	var all pushed
	seeder := program{name: "seeder", env: first.env}
	first.pace(true)
	whole := seeder.run(t, 0, &all, append([]string{"push", path, "--jobs", "3", "--output", "json"}, first.flags...)...)
	atRandomMoments(t, whole, func(t *testing.T, r *rand.Rand, after time.Duration) outcome {
		s := start(t)
		push := append([]string{"push", path, "--jobs", "3", "--output", "json"}, s.flags...)
		state := s.killed(t, after, push)
		again := ""
		if r.IntN(2) == 0 { // every other one is killed twice
			after := time.Duration(r.Float64() * float64(whole))
			again = fmt.Sprintf("killed again after %v: %s; ", after.Round(time.Millisecond), s.killed(t, after, push))
		}
		seeder := program{name: "seeder", env: s.env}
		var rerun, rest pushed
		took := seeder.run(t, 0, &rerun, push...)
		if rerun.Summary.Sent > all.Summary.Sent {
			t.Errorf("the rerun sent %d bytes, more than the %d of an undisturbed push", rerun.Summary.Sent, all.Summary.Sent)
		}
		seeder.run(t, 0, nil, append([]string{"audit", path, "--deep"}, s.flags...)...)
		seeder.run(t, 0, &rest, push...)
		if rest.Summary.Sent != 0 {
			t.Errorf("a push of what is there sent %d bytes", rest.Summary.Sent)
		}
		return outcome{state, fmt.Sprintf("%s%d uploads cut, rerun sent %d%% in %v", again, s.cut(), 100*rerun.Summary.Sent/all.Summary.Sent, took.Round(time.Millisecond))}
	})
}

// killed kills one push and says what is visible then.
func (s *server) killed(t *testing.T, after time.Duration, push []string) (state string) {
	t.Helper()
	s.pace(true)
	program{name: "seeder", env: s.env}.kill(t, after, push...)
	s.pace(false)
	return s.tags(t)
}

// tags follows every tag that can be seen to all its blobs, and says how many there are.
func (s *server) tags(t *testing.T) string {
	t.Helper()
	if s.whole != nil {
		s.whole(t)
	}
	n := 0
	for repo, tag := range s.repositories {
		if s.follow(t, repo, tag, "") {
			n++
		}
	}
	return fmt.Sprintf("%d of %d tags", n, len(s.repositories))
}

// follow fetches a manifest and looks for all that it refers to; a tag may be missing,
// what a manifest refers to may not.
func (s *server) follow(t *testing.T, repo, ref string, want digest.Digest) bool {
	t.Helper()
	resp := s.ask(t, http.MethodGet, repo+"/manifests/"+ref)
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound && want == "" {
		return false
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %v", repo, ref, resp.Status, err)
	}
	if got := digest.FromBytes(raw); want != "" && got != want {
		t.Fatalf("%s %s hashes to %s", repo, ref, got)
	}
	node, err := manifest.ParseImage(resp.Header.Get("Content-Type"), raw)
	if err != nil {
		t.Fatalf("%s %s: %v", repo, ref, err)
	}
	for _, m := range node.Manifests {
		s.follow(t, repo, string(m.Digest), m.Digest)
	}
	for _, b := range node.Blobs() {
		blob := s.ask(t, http.MethodGet, repo+"/blobs/"+string(b.Digest))
		hash := sha256.New()
		n, err := io.Copy(hash, blob.Body)
		blob.Body.Close()
		got := digest.NewDigest(digest.SHA256, hash)
		if blob.StatusCode != http.StatusOK || err != nil || n != b.Size || got != b.Digest {
			t.Errorf("%s:%s is visible, its blob %s is not there: %s, %d bytes of %d, %s, %v", repo, ref, b.Digest, blob.Status, n, b.Size, got, err)
		}
	}
	return true
}

func (s *server) ask(t *testing.T, method, path string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.v2+"/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, manifest.MediaTypeDockerManifest, manifest.MediaTypeDockerList} {
		req.Header.Add("Accept", m)
	}
	req.SetBasicAuth(nexustest.Username, nexustest.Password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// pause is how long a slow server waits before each request and each 32 KiB that it reads.
const pause = 12 * time.Millisecond

// A slowBody arrives at the pace of a slow server, and may break off.
type slowBody struct {
	io.ReadCloser
	slow *atomic.Bool
	cut  *atomic.Int64
}

func (b slowBody) Read(p []byte) (int, error) {
	if b.slow.Load() {
		time.Sleep(pause)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), 32<<10)])
	if err != nil && !errors.Is(err, io.EOF) {
		b.cut.Add(1)
	}
	return n, err
}

func TestKilledPushToRegistry(t *testing.T) { killedPush(t, startRegistry) }

// startRegistry runs a registry that takes the images.
func startRegistry(t *testing.T) *server { return startRegistryWith(t, false) }

// startRegistryWith runs one that may end each connection after one answer.
func startRegistryWith(t *testing.T, closes bool) *server {
	var slow atomic.Bool
	var cut atomic.Int64
	r := registrytest.Start(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if slow.Load() {
				time.Sleep(pause)
			}
			if closes {
				w.Header().Set("Connection", "close")
			}
			if req.Body != http.NoBody {
				req = req.Clone(req.Context()) // net/http looks at its own request's body
				req.Body = slowBody{req.Body, &slow, &cut}
			}
			next.ServeHTTP(w, req)
		})
	}})
	return &server{
		v2:    r.URL.String() + "/v2",
		flags: []string{"--registry", r.Host, "--plain-http", r.Host, "--only", "image"},
		pace:  slow.Store,
		cut:   func() int { return int(cut.Load()) },

		repositories: repositories,
	}
}

// declared is the length that the client named for the body.
func declared(e nexustest.Entry) int64 {
	n, _ := strconv.ParseInt(e.Header.Get("Content-Length"), 10, 64) // 0 where it named none
	return n
}

func TestKilledPushToNexus(t *testing.T) { killedPush(t, startNexus(t)) }

// startNexus returns what runs a Nexus that takes everything.
func startNexus(t *testing.T) func(t *testing.T) *server {
	f := work(t)
	return func(t *testing.T) *server {
		n := nexustest.Start(t, nexustest.Options{
			Repositories: []nexustest.Repository{
				{Name: "docker-hosted", Format: "docker"}, {Name: "yum-hosted", Format: "yum", Depth: 2}, {Name: "raw-hosted", Format: "raw"},
			},
		})
		sizes := map[string]int64{}
		for _, file := range f.Lock.Files {
			sizes["raw-hosted/"+file.Path] = file.Size
		}
		for _, key := range f.Lock.Keys {
			sizes["raw-hosted/keys/RPM-GPG-KEY-"+key.ID] = int64(len(key.Armor))
		}
		for _, rpm := range f.Lock.RPMs {
			sizes["yum-hosted/"+rpm.Path()] = rpm.Size
		}
		return &server{
			v2:    n.RepositoryURL("docker-hosted") + "/v2",
			flags: []string{"--nexus", n.URL},

			repositories: repositories,

			env: []string{"NEXUS_USERNAME=" + nexustest.Username, "NEXUS_PASSWORD=" + nexustest.Password},
			pace: func(slow bool) {
				if n.ClearFaults(); slow {
					n.AddFault(nexustest.Fault{Name: "slow", Do: nexustest.Slow(pause)})
				}
			},
			cut: func() int {
				return len(slices.DeleteFunc(n.Log(), func(e nexustest.Entry) bool { return e.BytesIn >= declared(e) }))
			},
			whole: func(t *testing.T) {
				t.Helper()
				for _, repo := range []string{"raw-hosted", "yum-hosted"} {
					for _, a := range n.Assets(repo) {
						switch name := repo + "/" + a.Path; {
						case a.Generated:
						case strings.HasSuffix(name, ".repo"):
							if text, err := n.Read(repo, a.Path); err != nil || !yumconf.Sealed(text) {
								t.Errorf("%s is not whole: %v\n%s", name, err, text)
							}
						case a.Size != sizes[name]:
							t.Errorf("%s has %d bytes, want %d", name, a.Size, sizes[name])
						}
					}
				}
			},
		}
	}
}
