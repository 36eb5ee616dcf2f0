package nexus_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/helmtest"
	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/registry"
	"airbundle/internal/report"
)

// TestContractUnsettled33 has the answers of the docker side that nobody has established, in
// the position that is the less likely one; the other rows have the likely one.
func TestContractUnsettled33(t *testing.T) {
	var rows []row
	for _, single := range []bool{true, false} {
		put := nexustest.Match{Route: nexustest.RouteUpload, Method: map[bool]string{true: "POST", false: "PUT"}[single], Times: 1}
		for _, code := range []string{"", "SIZE_INVALID", "BLOB_UPLOAD_INVALID"} {
			rows = append(rows, row{name: fmt.Sprintf("3.3/wrong digest is %s, one POST %v", code, single), do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				sent(t, s, n, 100_000)
				if got := len(s.Requests(nexustest.Match{Route: nexustest.RouteUpload, Path: "digest="})); single && got != 2 {
					t.Errorf("%d uploads", got)
				}
			}, o: nexustest.Options{Quirks: nexustest.Quirks{NoSinglePost: !single, DigestCode: code}, Faults: []nexustest.Fault{{On: put, Do: nexustest.FlipRequest(70_000)}}}})
		}
		rows = append(rows, row{name: fmt.Sprintf("3.8/blob of no bytes is refused, one POST %v", single), o: nexustest.Options{Quirks: nexustest.Quirks{NoSinglePost: !single, RefuseEmptyBlobs: true}},
			do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				_, err := blob(t, n, 0)
				refused(t, err, "push blob "+digest.FromBytes(nil).String()+" .*400")
				sent(t, s, n, 1)
			}})
	}
	for _, status := range []int{0, 400, 410} {
		rows = append(rows, row{name: fmt.Sprintf("3.3/session unknown is %d", status), o: nexustest.Options{Quirks: nexustest.Quirks{NoSinglePost: true, SessionStatus: status}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			s.AddFault(nexustest.Fault{On: nexustest.Match{Route: nexustest.RouteUpload, Method: "PUT", Times: 1}, Do: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.URL.Path = r.URL.Path[:strings.LastIndexByte(r.URL.Path, '/')+1] + "00000000-0000-0000-0000-000000000000"
					next.ServeHTTP(w, r)
				})
			}})
			sent(t, s, n, 1000)
		}})
	}
	rows = append(rows,
		row{name: "3.3, 3.5/404 without words", o: nexustest.Options{Quirks: nexustest.Quirks{BareNotFound: true}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			if err := newImage(t, v2s2).push(t, n.Docker("docker"), "a", "v1"); err != nil {
				t.Error(err)
			}
			if _, err := n.Docker("docker").Resolve(t.Context(), "a", "none"); !strings.Contains(fmt.Sprint(err), "not found") {
				t.Error(err)
			}
		}},
		row{name: "3.5/missing blobs are not named", o: nexustest.Options{Quirks: nexustest.Quirks{BlobUnknownBare: true}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			im := newImage(t, v2s2)
			err := n.Docker("docker").PushManifest(t.Context(), "a", "v1", im.mediaType, im.raw)
			if ub, ok := errors.AsType[*registry.UnknownBlobError](err); !ok || len(ub.Digests) != 0 {
				t.Error(err)
			}
		}},
		row{name: "3.5/artifacts are refused", o: nexustest.Options{Quirks: nexustest.Quirks{RefuseArtifacts: true}}, do: func(t *testing.T, _ *nexustest.Server, n *nexus.Nexus) {
			r := n.Docker("docker")
			im := newImage(t, ociManifest)
			im.raw = []byte(strings.Replace(string(im.raw), ocispec.MediaTypeImageConfig, "application/vnd.example.model", 1))
			refused(t, im.push(t, r, "a", "v1"), "the server does not take .*oci.image.manifest")
			if err := newImage(t, ociManifest).push(t, r, "a", "v1"); err != nil {
				t.Error(err)
			}
		}},
		row{name: "3.5/Referrers are served", o: nexustest.Options{Quirks: nexustest.Quirks{Referrers: true}}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
			if err := newImage(t, ociManifest).push(t, n.Docker("docker"), "a", "v1"); err != nil || s.Count("", "/referrers/") != 0 {
				t.Errorf("%v, %d questions", err, s.Count("", "/referrers/"))
			}
		}})
	contract(t, rows)
}

// A chart is stored whatever success the server calls it.
func TestContractHelmStatus7(t *testing.T) {
	for _, status := range []int{0, 201, 204} {
		contract(t, []row{{name: fmt.Sprintf("7/PUT is %d", status), o: nexustest.Options{Repositories: []nexustest.Repository{{Name: "helm", Format: "helm"}}, Quirks: nexustest.Quirks{HelmPutStatus: status}},
			do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				chart := helmtest.Chart(t, "a", "1.0.0", nil)
				if how, err := put(t, n, "helm", "a-1.0.0.tgz", chart, false); err != nil || how != registry.Sent {
					t.Errorf("%q, %v", how, err)
				}
				if got, err := s.Read("helm", "a-1.0.0.tgz"); err != nil || !cmp.Equal(got, chart) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}}})
	}
}

// Lists of a docker repository as each generation pages them, by way of the registry: with
// no Link, with one that lacks the prefix, with one that has it on a connector too.
func TestContractLists36(t *testing.T) {
	contract(t, []row{{name: "3.6/lists", o: nexustest.Options{Repositories: ported, ContextPath: "/nexus"}, do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
		r, _ := via(t, n, nexus.ViaConnector)
		for _, reg := range []*registry.Registry{n.Docker("ported"), r} {
			for range reg.Tags(t.Context()) {
				t.Error("an empty repository lists something")
			}
		}
		im := newImage(t, v2s2)
		im.pushBlobs(t, r, "a")
		want := map[string]bool{}
		for i := range 120 {
			repo, tag := "a", fmt.Sprintf("v%03d", i)
			if i >= 105 {
				repo, tag = fmt.Sprintf("team/b%03d", i), "v1"
			}
			want[repo+":"+tag] = true
			if err := r.PushManifest(t.Context(), repo, tag, im.mediaType, im.raw); err != nil {
				t.Fatal(err)
			}
		}
		s.ClearLog()
		for name, reg := range map[string]*registry.Registry{"main port": n.Docker("ported"), "connector": r} {
			got := map[string]bool{}
			for tag, err := range reg.Tags(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if got[tag.Repository+":"+tag.Tag] {
					t.Errorf("%s: %s:%s twice", name, tag.Repository, tag.Tag)
				}
				got[tag.Repository+":"+tag.Tag] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
		}
		if want := 2 * (1 + 2 + 15); len(s.Log()) > want { // a page of images, two of tags of a, one of each other
			t.Errorf("%d requests, want %d", len(s.Log()), want)
		}
		for _, e := range s.Log() {
			if e.Status != http.StatusOK {
				t.Errorf("%s %s: %d", e.Connector, e.Path, e.Status)
			}
		}
	}}})
}

// A file that the server took and does not show is neither there nor absent.
func TestContractTakenAndGone(t *testing.T) {
	for path, heads := range map[string]int{"f": 1 + 1, "f.rpm": 1 + httpx.DefaultAttempts} {
		contract(t, []row{{name: "4.2, 5.1/404 after the upload of " + path, o: nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Method: "HEAD"}, Do: nexustest.Status(404, "/"+path)}}},
			do: func(t *testing.T, s *nexustest.Server, n *nexus.Nexus) {
				_, err := put(t, n, "raw", path, content(10), false)
				matches(t, err, "put raw/"+path+": the server took it and does not show it, asked [16] times: .*404.*push again")
				if errors.Is(err, errdef.ErrNotFound) || report.Classify(err) != report.ClassIncomplete || s.Count("HEAD", "") != heads || writes(s) != 1 {
					t.Errorf("class %d, %d HEADs, %d uploads: %v", report.Classify(err), s.Count("HEAD", ""), writes(s), err)
				}
			}}})
	}
}
