package serve_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/serve"
	"airbundle/internal/target"
)

// answer is what the tables below compare.
type answer struct {
	Status int
	Code   string // of the OCI error
}

func ociAnswer(t *testing.T, resp *http.Response, body []byte) answer {
	t.Helper()
	a := answer{Status: resp.StatusCode}
	if resp.StatusCode < 400 {
		return a
	}
	var e struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(body, &e); err != nil || len(e.Errors) != 1 || e.Errors[0].Message == "" {
		t.Errorf("error body %q is not in OCI form (%v)", body, err)
		return a
	}
	a.Code = e.Errors[0].Code
	return a
}

func TestRegistryAnswers(t *testing.T) {
	f := newFixture(t)
	two := f.twoPlatforms("registry.k8s.io/kube-apiserver:v1", 1)
	one := f.onePlatform("quay.io/coreos/flannel:v0.13.0", 10)
	ts := f.start(serve.Options{})
	layer := string(f.table.Blobs[0].Digest) // shared layer of two
	nowhere := "sha256:" + strings.Repeat("0", 64)

	for _, tt := range []struct {
		method, path string
		want         answer
	}{
		{"GET", "/v2/", answer{200, ""}},
		{"GET", "/v2", answer{200, ""}},
		{"GET", "/v2/kube-apiserver/manifests/v1", answer{200, ""}},
		{"GET", "/v2/kube-apiserver/manifests/" + string(two.Digest), answer{200, ""}},
		{"GET", "/v2/kube-apiserver/manifests/" + string(two.Platforms[1].Digest), answer{200, ""}},
		{"GET", "/v2/kube-apiserver/manifests/v2", answer{404, "MANIFEST_UNKNOWN"}},
		{"GET", "/v2/kube-apiserver/manifests/" + nowhere, answer{404, "MANIFEST_UNKNOWN"}},
		{"GET", "/v2/kube-apiserver/manifests/sha256:zz", answer{404, "MANIFEST_UNKNOWN"}},
		{"GET", "/v2/kube-apiserver/manifests/", answer{404, "MANIFEST_UNKNOWN"}},
		{"GET", "/v2/kube-apiserver/blobs/" + layer, answer{200, ""}},
		{"GET", "/v2/kube-apiserver/blobs/" + nowhere, answer{404, "BLOB_UNKNOWN"}},
		// Only what the repository's own images consist of, and manifests only as manifests.
		{"GET", "/v2/coreos/flannel/blobs/" + layer, answer{404, "BLOB_UNKNOWN"}},
		{"GET", "/v2/coreos/flannel/manifests/" + string(two.Digest), answer{404, "MANIFEST_UNKNOWN"}},
		{"GET", "/v2/kube-apiserver/blobs/" + string(two.Digest), answer{404, "BLOB_UNKNOWN"}},
		{"GET", "/v2/coreos/flannel/manifests/" + string(one.Digest), answer{200, ""}},
		{"GET", "/v2/nobody/manifests/v1", answer{404, "NAME_UNKNOWN"}},
		{"GET", "/v2/nobody/tags/list", answer{404, "NAME_UNKNOWN"}},
		{"GET", "/v2/coreos/manifests/v0.13.0", answer{404, "NAME_UNKNOWN"}},
		{"GET", "/v2//manifests/v1", answer{404, "NAME_UNKNOWN"}},
		{"GET", "/v2/kube-apiserver", answer{404, "NAME_UNKNOWN"}},
		{"GET", "/v2/kube-apiserver/tags/other", answer{404, "NAME_UNKNOWN"}},
		{"GET", "/v2/kube-apiserver/../kube-apiserver/manifests/v1", answer{404, "NAME_UNKNOWN"}},
		{"GET", "/v2/_catalog?n=x", answer{400, "PAGINATION_NUMBER_INVALID"}},
		{"GET", "/v2/_catalog?n=-1", answer{400, "PAGINATION_NUMBER_INVALID"}},
		{"GET", "/v2/kube-apiserver/referrers/" + nowhere, answer{200, ""}},
		{"GET", "/v2/kube-apiserver/referrers/latest", answer{400, "DIGEST_INVALID"}},
		{"POST", "/v2/kube-apiserver/blobs/uploads/", answer{405, "UNSUPPORTED"}},
		{"PATCH", "/v2/kube-apiserver/blobs/uploads/1", answer{405, "UNSUPPORTED"}},
		{"PUT", "/v2/kube-apiserver/manifests/v1", answer{405, "UNSUPPORTED"}},
		{"DELETE", "/v2/kube-apiserver/manifests/v1", answer{405, "UNSUPPORTED"}},
		{"BREW", "/v2/", answer{405, "UNSUPPORTED"}},
	} {
		for _, prefix := range []string{"", "/repository/docker-hosted"} {
			resp, body, err := do(t, ts, tt.method, prefix+tt.path)
			if err != nil {
				t.Fatal(err)
			}
			if got := ociAnswer(t, resp, body); got != tt.want {
				t.Errorf("%s %s = %v, want %v", tt.method, prefix+tt.path, got, tt.want)
			}
			if got := resp.Header.Get("Docker-Distribution-Api-Version"); got != "registry/2.0" {
				t.Errorf("%s %s: api version %q", tt.method, prefix+tt.path, got)
			}
			if allow := resp.Header.Get("Allow"); (resp.StatusCode == 405) != (allow == "GET, HEAD") {
				t.Errorf("%s %s: status %d with Allow %q", tt.method, prefix+tt.path, resp.StatusCode, allow)
			}
			if tt.method != "GET" {
				continue
			}
			head, headBody, err := do(t, ts, "HEAD", prefix+tt.path)
			if err != nil || head.StatusCode != resp.StatusCode || len(headBody) != 0 || head.ContentLength != int64(len(body)) {
				t.Errorf("HEAD %s = %d, length %d, %d bytes of body, %v; GET has %d and %d bytes",
					prefix+tt.path, head.StatusCode, head.ContentLength, len(headBody), err, resp.StatusCode, len(body))
			}
		}
	}
}

func TestManifestHeaders(t *testing.T) {
	f := newFixture(t)
	two := f.twoPlatforms("registry.k8s.io/pause:3.2", 1)
	ts := f.start(serve.Options{})

	resp, body := get(t, ts, "/v2/pause/manifests/3.2")
	got := map[string]string{}
	for _, name := range []string{"Content-Type", "Docker-Content-Digest", "Etag", "X-Content-Type-Options", "Last-Modified"} {
		got[name] = resp.Header.Get(name)
	}
	want := map[string]string{
		"Content-Type":           "application/vnd.docker.distribution.manifest.list.v2+json",
		"Docker-Content-Digest":  string(two.Digest),
		"Etag":                   `"` + string(two.Digest) + `"`,
		"X-Content-Type-Options": "nosniff",
		"Last-Modified":          "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if raw, _ := f.store.get(two.Digest); string(raw) != string(body) {
		t.Error("the manifest's bytes are not the carried ones")
	}
	resp, body = get(t, ts, "/v2/pause/manifests/3.2", "If-None-Match", `"`+string(two.Digest)+`"`)
	if resp.StatusCode != http.StatusNotModified || len(body) != 0 {
		t.Errorf("If-None-Match: status %d, %d bytes", resp.StatusCode, len(body))
	}
}

func TestPaging(t *testing.T) {
	f := newFixture(t)
	f.onePlatform("docker.io/library/busybox:1", 1)
	f.onePlatform("docker.io/library/busybox:1.36", 2)
	f.onePlatform("docker.io/library/busybox:glibc", 3)
	f.onePlatform("docker.io/library/alpine:3", 4)
	noTag := f.onePlatform("quay.io/a/b@", 5)
	ts := f.start(serve.Options{})

	type page struct {
		Name         string
		Tags         []string
		Repositories []string
	}
	for _, tt := range []struct {
		path, link string
		want       page
	}{
		{"/v2/_catalog", "", page{Repositories: []string{"a/b", "library/alpine", "library/busybox"}}},
		{"/v2/_catalog?n=2", `</v2/_catalog?last=library%2Falpine&n=2>; rel="next"`, page{Repositories: []string{"a/b", "library/alpine"}}},
		{"/v2/_catalog?last=library%2Falpine&n=2", "", page{Repositories: []string{"library/busybox"}}},
		{"/v2/_catalog?last=b", "", page{Repositories: []string{"library/alpine", "library/busybox"}}},
		{"/v2/_catalog?last=zzz", "", page{Repositories: []string{}}},
		{"/v2/_catalog?n=0", "", page{Repositories: []string{}}},
		{"/v2/_catalog?n=3", "", page{Repositories: []string{"a/b", "library/alpine", "library/busybox"}}},
		{"/v2/library/busybox/tags/list", "", page{Name: "library/busybox", Tags: []string{"1", "1.36", "glibc"}}},
		{"/repository/docker-hosted/v2/library/busybox/tags/list?n=1", `</repository/docker-hosted/v2/library/busybox/tags/list?last=1&n=1>; rel="next"`, page{Name: "library/busybox", Tags: []string{"1"}}},
		{"/v2/library/busybox/tags/list?n=5&last=1", "", page{Name: "library/busybox", Tags: []string{"1.36", "glibc"}}},
		{"/v2/a/b/tags/list", "", page{Name: "a/b", Tags: []string{}}},
	} {
		resp, body := get(t, ts, tt.path)
		var got page
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%s: %v", tt.path, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.path, diff)
		}
		if got := resp.Header.Get("Link"); got != tt.link {
			t.Errorf("%s: Link %s, want %s", tt.path, got, tt.link)
		}
	}
	if resp, _ := get(t, ts, "/v2/a/b/manifests/"+string(noTag.Digest)); resp.StatusCode != 200 {
		t.Errorf("image without tag by digest: %d", resp.StatusCode)
	}
}

// TestNamesThatLookLikeEndpoints has repositories with parts called as the API's own words.
func TestNamesThatLookLikeEndpoints(t *testing.T) {
	f := newFixture(t)
	image := f.onePlatform("example.com/manifests/blobs/tags:list", 1)
	ts := f.start(serve.Options{})
	for _, path := range []string{
		"/v2/manifests/blobs/tags/manifests/list",
		"/v2/manifests/blobs/tags/manifests/" + string(image.Digest),
		"/v2/manifests/blobs/tags/tags/list",
	} {
		if resp, _ := get(t, ts, path); resp.StatusCode != 200 {
			t.Errorf("%s = %d", path, resp.StatusCode)
		}
	}
}

// TestOriginalNames asks as a containerd mirror does, under a policy that renames.
func TestOriginalNames(t *testing.T) {
	f := newFixture(t)
	a := f.onePlatform("docker.io/library/app:1", 1)
	b := f.onePlatform("quay.io/library/app:1", 2)
	c := f.onePlatform("quay.io/library/other:1", 3, "renamed/other:stable")
	naming, err := target.ParseNaming("prefix:mirror")
	if err != nil {
		t.Fatal(err)
	}
	ts := f.start(serve.Options{Target: target.Map{Naming: naming}})
	for _, tt := range []struct {
		path, want string
	}{
		{"/v2/mirror/docker.io/library/app/manifests/1", string(a.Digest)},
		{"/v2/library/app/manifests/1?ns=docker.io", string(a.Digest)},
		{"/v2/library/app/manifests/1?ns=quay.io", string(b.Digest)},
		{"/v2/library/app/manifests/1?ns=ghcr.io", ""},
		{"/v2/library/app/manifests/1", ""},
		{"/v2/renamed/other/manifests/stable", string(c.Digest)},
		{"/v2/renamed/other/manifests/stable?ns=quay.io", string(c.Digest)},
		{"/v2/library/other/manifests/1?ns=quay.io", string(c.Digest)},
		{"/v2/library/other/manifests/stable?ns=quay.io", ""},
		{"/v2/renamed/other/manifests/1", ""},
	} {
		resp, _ := get(t, ts, tt.path)
		if got := resp.Header.Get("Docker-Content-Digest"); got != tt.want || (resp.StatusCode == 200) != (tt.want != "") {
			t.Errorf("%s = %d %q, want %q", tt.path, resp.StatusCode, got, tt.want)
		}
	}
}
