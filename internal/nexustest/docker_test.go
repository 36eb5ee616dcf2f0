package nexustest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/nexustest"
)

const (
	v2s2      = "application/vnd.docker.distribution.manifest.v2+json"
	v2list    = "application/vnd.docker.distribution.manifest.list.v2+json"
	v2config  = "application/vnd.docker.container.image.v1+json"
	v2layer   = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	ociImage  = "application/vnd.oci.image.manifest.v1+json"
	ociIndex  = "application/vnd.oci.image.index.v1+json"
	dockerErr = "BLOB_UPLOAD_INVALID"
)

// startDocker starts a server with the docker repository "docker" and returns
// its main-port API URL and its connector's.
func startDocker(t *testing.T, opts nexustest.Options, repo nexustest.Repository) (s *nexustest.Server, main, connector string) {
	t.Helper()
	repo.Name, repo.Format, repo.Port = "docker", "docker", nexustest.AnyPort
	opts.Repositories = append(opts.Repositories, repo)
	s = nexustest.Start(t, opts)
	return s, s.RepositoryURL("docker") + "/v2/", s.DockerURL("docker") + "/v2/"
}

// putBlob uploads in a single request and returns the digest.
func putBlob(t *testing.T, api, image, data string) string {
	t.Helper()
	digest := digestOf([]byte(data))
	do(t, "POST", api+image+"/blobs/uploads/?digest="+digest, data, "Content-Type", "application/octet-stream").want(t, 201)
	return digest
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Size      int    `json:"size"`
	Digest    string `json:"digest"`
}

// imageManifest returns a docker manifest over a config and one layer.
func imageManifest(config, layer string) string {
	raw, _ := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": v2s2,
		"config": descriptor{v2config, len(config), digestOf([]byte(config))},
		"layers": []descriptor{{v2layer, len(layer), digestOf([]byte(layer))}}})
	return string(raw)
}

// index returns a manifest list over manifests.
func index(childType string, manifests ...string) string {
	var children []descriptor
	for _, m := range manifests {
		children = append(children, descriptor{childType, len(m), digestOf([]byte(m))})
	}
	raw, _ := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": v2list, "manifests": children})
	return string(raw)
}

// putImage uploads an image's blobs and its manifest under a tag.
func putImage(t *testing.T, api, image, tag string) (digest string) {
	t.Helper()
	putBlob(t, api, image, "config of "+image)
	putBlob(t, api, image, "layer of "+image)
	m := imageManifest("config of "+image, "layer of "+image)
	do(t, "PUT", api+image+"/manifests/"+tag, m, "Content-Type", v2s2).want(t, 201)
	return digestOf([]byte(m))
}

func dockerCode(t *testing.T, a answer) (code, detail string) {
	t.Helper()
	e := decode[struct {
		Errors []struct {
			Code   string
			Detail any
		}
	}](t, a.body)
	if len(e.Errors) == 0 {
		t.Fatalf("no registry error in %d %q", a.code, a.body)
	}
	return e.Errors[0].Code, fmt.Sprint(e.Errors[0].Detail)
}

func TestUploadSession(t *testing.T) {
	for _, surface := range []string{"main", "connector"} {
		s, main, connector := startDocker(t, nexustest.Options{}, nexustest.Repository{})
		api := map[string]string{"main": main, "connector": connector}[surface]
		begun := do(t, "POST", api+"team/app/blobs/uploads/", "").want(t, 202)
		loc := begun.header.Get("Location")
		if want := "/v2/team/app/blobs/uploads/" + begun.header.Get("Docker-Upload-UUID"); loc != want {
			t.Fatalf("%s: Location %q, want %q", surface, loc, want)
		}
		if surface == "main" { // the prefix is missing in Location: as it stands it leads nowhere
			do(t, "PATCH", s.URL+loc, "x").want(t, 405)
		}
		session := api + strings.TrimPrefix(loc, "/v2/")
		first := do(t, "PATCH", session, "hello ", "Content-Type", "application/octet-stream").want(t, 202)
		if first.header.Get("Range") != "0-5" {
			t.Errorf("Range %q", first.header.Get("Range"))
		}
		do(t, "GET", session, "").want(t, 204)
		digest := digestOf([]byte("hello world"))
		done := do(t, "PUT", session+"?digest="+digest, "world").want(t, 201)
		if done.header.Get("Docker-Content-Digest") != digest || done.header.Get("Location") != "/v2/team/app/blobs/"+digest {
			t.Errorf("headers %v", done.header)
		}
		got := do(t, "GET", api+"other/image/blobs/"+digest, "").want(t, 200)
		if got.body != "hello world" || got.header.Get("Docker-Content-Digest") != digest {
			t.Errorf("blob through another image: %q %v", got.body, got.header)
		}
		part := do(t, "GET", api+"x/blobs/"+digest, "", "Range", "bytes=6-").want(t, 206)
		if part.body != "world" {
			t.Errorf("range: %q", part.body)
		}
		for _, method := range []string{"PATCH", "PUT"} {
			got := do(t, method, session+"?digest="+digest, "x").want(t, 404)
			if code, _ := dockerCode(t, got); code != "BLOB_UPLOAD_UNKNOWN" {
				t.Errorf("%s of a finished session: %s", method, code)
			}
		}
	}
}

func TestUploadRefusals(t *testing.T) {
	s, api, _ := startDocker(t, nexustest.Options{}, nexustest.Repository{})
	other := digestOf([]byte("other"))
	code, _ := dockerCode(t, do(t, "POST", api+"a/blobs/uploads/?digest="+other, "data").want(t, 400))
	if code != "DIGEST_INVALID" {
		t.Errorf("single request with a wrong digest: %s", code)
	}
	loc := do(t, "POST", api+"a/blobs/uploads/", "").want(t, 202).header.Get("Location")
	session := api + strings.TrimPrefix(loc, "/v2/")
	code, _ = dockerCode(t, do(t, "PUT", session+"?digest="+other, "data").want(t, 400))
	if code != "DIGEST_INVALID" {
		t.Errorf("session with a wrong digest: %s", code)
	}
	do(t, "HEAD", api+"a/blobs/"+other, "").want(t, 404)
	do(t, "DELETE", api+"a/blobs/"+other, "").want(t, 405)
	if got := s.Assets("docker"); len(got) != 0 {
		t.Errorf("something was stored: %+v", got)
	}
}

func TestUploadSessionMethods(t *testing.T) {
	_, api, connector := startDocker(t, nexustest.Options{Quirks: nexustest.Quirks{DeleteBlobs: true}}, nexustest.Repository{})
	do(t, "GET", api+"a/blobs/uploads/", "").want(t, 405)
	loc := do(t, "POST", api+"a/blobs/uploads", "").want(t, 202).header.Get("Location")
	session := api + strings.TrimPrefix(loc, "/v2/")
	do(t, "POST", session, "").want(t, 405)
	do(t, "DELETE", session, "").want(t, 204)
	do(t, "GET", session, "").want(t, 404)

	digest := putBlob(t, api, "a", "")
	if got := do(t, "GET", api+"a/blobs/"+digest, "").want(t, 200); got.header.Get("Content-Length") != "0" {
		t.Errorf("empty blob: %v", got.header)
	}
	do(t, "DELETE", api+"a/blobs/"+digest, "").want(t, 202)
	do(t, "DELETE", api+"a/blobs/"+digest, "").want(t, 404)
	do(t, "PATCH", api+"a/blobs/"+digest, "").want(t, 405)
	do(t, "PATCH", api+"a/manifests/1", "").want(t, 405)
	do(t, "POST", connector+"_catalog", "").want(t, 405)
	do(t, "GET", connector+"strange", "").want(t, 404)
}

func TestParallelUploadsOfOneBlob(t *testing.T) {
	for profile, want := range map[nexustest.Profile]string{
		nexustest.Orient340: "Repository does not allow updating assets: docker",
		nexustest.H2371:     "docker/v2/-/blobs/DIGEST cannot be updated",
		nexustest.CE396:     "docker/v2/-/blobs/DIGEST cannot be updated",
	} {
		s, api, _ := startDocker(t, nexustest.Options{Profile: profile}, nexustest.Repository{WritePolicy: "ALLOW_ONCE"})
		digest := digestOf([]byte("blob"))
		var sessions []string
		for _, image := range []string{"a", "b"} {
			loc := do(t, "POST", api+image+"/blobs/uploads/", "").want(t, 202).header.Get("Location")
			sessions = append(sessions, api+strings.TrimPrefix(loc, "/v2/"))
		}
		do(t, "PUT", sessions[0]+"?digest="+digest, "blob").want(t, 201)
		code, detail := dockerCode(t, do(t, "PUT", sessions[1]+"?digest="+digest, "blob").want(t, 400))
		if want = strings.Replace(want, "DIGEST", digest, 1); code != dockerErr || detail != want {
			t.Errorf("%s: %s %q, want %q", profile, code, detail, want)
		}
		do(t, "HEAD", api+"b/blobs/"+digest, "").want(t, 200)
		if s.Stats().DuplicateBlobs != 1 {
			t.Errorf("%s: %d duplicate blobs", profile, s.Stats().DuplicateBlobs)
		}
	}
}

func TestManifests(t *testing.T) {
	s, api, _ := startDocker(t, nexustest.Options{}, nexustest.Repository{})
	m := imageManifest("config", "layer")
	digest := digestOf([]byte(m))
	missing := do(t, "PUT", api+"app/manifests/1.0", m, "Content-Type", v2s2).want(t, 400)
	want := fmt.Sprintf(`{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry","detail":%q},`+
		`{"code":"BLOB_UNKNOWN","message":"blob unknown to registry","detail":%q}]}`, digestOf([]byte("config")), digestOf([]byte("layer")))
	if missing.body != want {
		t.Errorf("missing blobs: %s", cmp.Diff(want, missing.body))
	}
	putBlob(t, api, "elsewhere", "config")
	layer := putBlob(t, api, "app", "layer")
	got := do(t, "PUT", api+"app/manifests/1.0", m, "Content-Type", v2s2).want(t, 201)
	if got.header.Get("Docker-Content-Digest") != digest || got.header.Get("Location") != "/v2/app/manifests/"+digest {
		t.Errorf("headers %v", got.header)
	}
	for _, ref := range []string{"1.0", digest} {
		got := do(t, "GET", api+"app/manifests/"+ref, "").want(t, 200)
		if got.body != m || got.header.Get("Content-Type") != v2s2 || got.header.Get("Docker-Content-Digest") != digest {
			t.Errorf("%s: %q %v", ref, got.body, got.header)
		}
	}
	if got := do(t, "HEAD", api+"app/blobs/"+layer, ""); got.header.Get("Content-Type") != v2layer {
		t.Errorf("layer is a %q", got.header.Get("Content-Type"))
	}
	list := index(v2s2, m)
	code, detail := dockerCode(t, do(t, "PUT", api+"other/manifests/1.0", list, "Content-Type", v2list).want(t, 400))
	if code != "BLOB_UNKNOWN" || detail != digest {
		t.Errorf("child of another image name: %s %s", code, detail)
	}
	do(t, "PUT", api+"app/manifests/list", list, "Content-Type", v2list).want(t, 201)
	if diff := cmp.Diff(map[string]string{"1.0": digest, "list": digestOf([]byte(list))}, s.Tags("docker", "app")); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	for body, ref := range map[string]string{"not json": "x", `{"schemaVersion":1}`: "x", m: digestOf([]byte("other"))} {
		do(t, "PUT", api+"app/manifests/"+ref, body, "Content-Type", v2s2).want(t, 400)
	}
	do(t, "GET", api+"app/manifests/none", "").want(t, 404)
}

func TestManifestDeletion(t *testing.T) {
	s, api, _ := startDocker(t, nexustest.Options{}, nexustest.Repository{})
	digest := putImage(t, api, "app", "1")
	putImage(t, api, "app", "2")
	do(t, "DELETE", api+"app/manifests/1", "").want(t, 202)
	if diff := cmp.Diff(map[string]string{"2": digest}, s.Tags("docker", "app")); diff != "" {
		t.Errorf("after deleting a tag (-want +got):\n%s", diff)
	}
	do(t, "DELETE", api+"app/manifests/"+digest, "").want(t, 202)
	do(t, "GET", api+"app/manifests/2", "").want(t, 404)
	do(t, "DELETE", api+"app/manifests/2", "").want(t, 404)
}

// TestDockerWritePolicies checks which manifest may be put again.
func TestDockerWritePolicies(t *testing.T) {
	tests := []struct {
		profile                                    nexustest.Profile
		repo                                       nexustest.Repository
		sameTag, secondTag, tagAfterDigest, latest int
	}{
		{nexustest.Orient340, nexustest.Repository{}, 201, 201, 201, 201},
		{nexustest.Orient340, nexustest.Repository{WritePolicy: "ALLOW_ONCE"}, 400, 400, 400, 400},
		{nexustest.Orient340, nexustest.Repository{WritePolicy: "ALLOW_ONCE", LatestPolicy: true}, 400, 400, 400, 400},
		{nexustest.H2371, nexustest.Repository{WritePolicy: "ALLOW_ONCE"}, 400, 201, 201, 400},
		{nexustest.H2371, nexustest.Repository{WritePolicy: "ALLOW_ONCE", LatestPolicy: true}, 400, 201, 201, 201},
		{nexustest.CE396, nexustest.Repository{WritePolicy: "ALLOW_ONCE"}, 400, 201, 201, 400},
	}
	for _, tt := range tests {
		_, api, _ := startDocker(t, nexustest.Options{Profile: tt.profile}, tt.repo)
		for _, image := range []string{"app", "new", "latest"} {
			putBlob(t, api, image, "config of "+image)
			putBlob(t, api, image, "layer of "+image)
		}
		put := func(image, ref string) int {
			m := imageManifest("config of "+image, "layer of "+image)
			if ref == "digest" {
				ref = digestOf([]byte(m))
			}
			return do(t, "PUT", api+image+"/manifests/"+ref, m, "Content-Type", v2s2).code
		}
		if first := put("app", "1") + put("new", "digest") + put("latest", "latest"); first != 3*201 {
			t.Fatalf("%+v: first puts refused", tt)
		}
		got := [4]int{put("app", "1"), put("app", "2"), put("new", "1"), put("latest", "latest")}
		if want := [4]int{tt.sameTag, tt.secondTag, tt.tagAfterDigest, tt.latest}; got != want {
			t.Errorf("%s %+v: got %v, want %v", tt.profile, tt.repo, got, want)
		}
	}
	_, api, _ := startDocker(t, nexustest.Options{}, nexustest.Repository{WritePolicy: "DENY"})
	do(t, "POST", api+"a/blobs/uploads/", "").want(t, 400)
}

func TestLostBlobHeals(t *testing.T) {
	s, api, _ := startDocker(t, nexustest.Options{}, nexustest.Repository{WritePolicy: "ALLOW_ONCE"})
	putBlob(t, api, "app", "config")
	layer := putBlob(t, api, "app", "layer")
	if !s.LoseBlob("docker", layer) {
		t.Fatal("no blob to lose")
	}
	do(t, "HEAD", api+"app/blobs/"+layer, "").want(t, 200)
	do(t, "GET", api+"app/blobs/"+layer, "").want(t, 500)
	m := imageManifest("config", "layer")
	if code, detail := dockerCode(t, do(t, "PUT", api+"app/manifests/1", m).want(t, 400)); code != "BLOB_UNKNOWN" || detail != layer {
		t.Errorf("manifest over a lost blob: %s %s", code, detail)
	}
	putBlob(t, api, "app", "layer")
	do(t, "PUT", api+"app/manifests/1", m).want(t, 201)
}
