package nexustest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"airbundle/internal/nexustest"
)

// begin opens an upload session and returns the answer.
func begin(t *testing.T, api string) answer {
	t.Helper()
	return do(t, "POST", api+"app/blobs/uploads/", "").want(t, 202)
}

// dockerAPI is the registry API of a repository on the main port.
func dockerAPI(s *nexustest.Server, repo string) string { return s.RepositoryURL(repo) + "/v2/" }

var dockerQuirks = []quirk{
	{"NoSinglePost", nexustest.Options{}, func(q *nexustest.Quirks) { q.NoSinglePost = true }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "POST", dockerAPI(s, "docker")+"app/blobs/uploads/?digest="+digestOf([]byte("x")), "x")
	}, "201", "202"},
	{"Mount", nexustest.Options{}, func(q *nexustest.Quirks) { q.Mount = true }, func(t *testing.T, s *nexustest.Server) string {
		digest := putBlob(t, dockerAPI(s, "docker"), "a", "blob")
		return code(t, "POST", dockerAPI(s, "docker")+"b/blobs/uploads/?mount="+digest+"&from=a", "")
	}, "202", "201"},
	{"BareUploads", nexustest.Options{}, func(q *nexustest.Quirks) { q.BareUploads = true }, func(t *testing.T, s *nexustest.Server) string {
		h := begin(t, dockerAPI(s, "docker")).header
		done := do(t, "POST", dockerAPI(s, "docker")+"a/blobs/uploads/?digest="+digestOf([]byte("x")), "x").want(t, 201).header
		return fmt.Sprint(h.Get("Docker-Upload-UUID") != "", h.Get("Range"), done.Get("Docker-Content-Digest") != "")
	}, "true0-0true", "falsefalse"},
	{"LocationPrefix", nexustest.Options{}, func(q *nexustest.Quirks) { q.LocationPrefix = true }, func(t *testing.T, s *nexustest.Server) string {
		loc, _, _ := strings.Cut(begin(t, dockerAPI(s, "docker")).header.Get("Location"), "app/")
		return loc
	}, "/v2/", "/repository/docker/v2/"},
	{"PathLocation", community, func(q *nexustest.Quirks) { q.PathLocation = true }, func(t *testing.T, s *nexustest.Server) string {
		loc, _, _ := strings.Cut(begin(t, s.URL+"/v2/docker-path/").header.Get("Location"), "app/")
		return loc
	}, "/v2/docker-path/", "/v2/"},
	{"EmptyPing", nexustest.Options{}, func(q *nexustest.Quirks) { q.EmptyPing = true }, func(t *testing.T, s *nexustest.Server) string {
		return do(t, "GET", dockerAPI(s, "docker"), "").want(t, 200).body
	}, "{}", ""},
	{"StrictRange", nexustest.Options{}, func(q *nexustest.Quirks) { q.StrictRange = true }, func(t *testing.T, s *nexustest.Server) string {
		session := strings.Replace(begin(t, dockerAPI(s, "docker")).header.Get("Location"), "/v2/", dockerAPI(s, "docker"), 1)
		return code(t, "PATCH", session, "x", "Content-Range", "5-5") + code(t, "PATCH", session, "x")
	}, "202202", "416202"},
	{"DigestCode", nexustest.Options{}, func(q *nexustest.Quirks) { q.DigestCode = "BLOB_UPLOAD_INVALID" }, func(t *testing.T, s *nexustest.Server) string {
		got, _ := dockerCode(t, do(t, "POST", dockerAPI(s, "docker")+"a/blobs/uploads/?digest="+digestOf([]byte("x")), "y").want(t, 400))
		return got
	}, "DIGEST_INVALID", "BLOB_UPLOAD_INVALID"},
	{"SessionStatus", nexustest.Options{}, func(q *nexustest.Quirks) { q.SessionStatus = 400 }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "PATCH", dockerAPI(s, "docker")+"a/blobs/uploads/0", "y")
	}, "404", "400"},
	{"BareNotFound", nexustest.Options{}, func(q *nexustest.Quirks) { q.BareNotFound = true }, func(t *testing.T, s *nexustest.Server) string {
		kinds := map[string]int{}
		for _, path := range []string{"a/manifests/1", "a/blobs/" + digestOf(nil), "a/tags/list"} {
			kinds[do(t, "GET", dockerAPI(s, "docker")+path, "").want(t, 404).header.Get("Content-Type")]++
		}
		return fmt.Sprint(kinds)
	}, "map[application/json:3]", "map[text/html;charset=utf-8:3]"},
	{"DeleteBlobs", nexustest.Options{}, func(q *nexustest.Quirks) { q.DeleteBlobs = true }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "DELETE", dockerAPI(s, "docker")+"a/blobs/"+putBlob(t, dockerAPI(s, "docker"), "a", "blob"), "")
	}, "405", "202"},
	{"RefuseEmptyBlobs", nexustest.Options{}, func(q *nexustest.Quirks) { q.RefuseEmptyBlobs = true }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "POST", dockerAPI(s, "docker")+"a/blobs/uploads/?digest="+digestOf(nil), "")
	}, "201", "400"},
	{"LaterWords", nexustest.Options{}, func(q *nexustest.Quirks) { q.LaterWords = true }, func(t *testing.T, s *nexustest.Server) string {
		api := dockerAPI(s, "docker-once")
		digest := putBlob(t, api, "a", "blob")
		_, detail := dockerCode(t, do(t, "POST", api+"b/blobs/uploads/?digest="+digest, "blob").want(t, 400))
		return strings.Replace(detail, digest, "DIGEST", 1)
	}, "Repository does not allow updating assets: docker-once", "docker-once/v2/-/blobs/DIGEST cannot be updated"},
	{"DenyStatus", nexustest.Options{}, func(q *nexustest.Quirks) { q.DenyStatus = 403 }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "POST", dockerAPI(s, "docker-deny")+"a/blobs/uploads/", "")
	}, "400", "403"},
	{"GroupStatus", nexustest.Options{}, func(q *nexustest.Quirks) { q.GroupStatus = 405 }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "POST", dockerAPI(s, "docker-group")+"a/blobs/uploads/", "")
	}, "403", "405"},
}

// putManifest uploads the blobs "c" and "l" and puts a manifest.
func putManifest(t *testing.T, s *nexustest.Server, body, mediaType string) answer {
	t.Helper()
	api := dockerAPI(s, "docker")
	putBlob(t, api, "app", "c")
	putBlob(t, api, "app", "l")
	return do(t, "PUT", api+"app/manifests/1", body, "Content-Type", mediaType)
}

var manifestQuirks = []quirk{
	{"BlobUnknownStatus", nexustest.Options{}, func(q *nexustest.Quirks) { q.BlobUnknownStatus = 404 }, func(t *testing.T, s *nexustest.Server) string {
		return fmt.Sprint(putManifest(t, s, imageManifest("no", "where"), v2s2).code)
	}, "400", "404"},
	{"BlobUnknownBare", nexustest.Options{}, func(q *nexustest.Quirks) { q.BlobUnknownBare = true }, func(t *testing.T, s *nexustest.Server) string {
		got := putManifest(t, s, imageManifest("no", "where"), v2s2).want(t, 400)
		return fmt.Sprint(strings.Count(got.body, "BLOB_UNKNOWN"), strings.Count(got.body, "sha256:"))
	}, "2 2", "1 0"},
	{"Referrers", nexustest.Options{}, func(q *nexustest.Quirks) { q.Referrers = true }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "GET", dockerAPI(s, "docker")+"app/referrers/"+digestOf(nil), "")
	}, "404", "200"},
	{"RefuseOCI", nexustest.Options{}, func(q *nexustest.Quirks) { q.RefuseOCI = true }, func(t *testing.T, s *nexustest.Server) string {
		return fmt.Sprint(putManifest(t, s, `{"schemaVersion":2,"layers":[]}`, ociImage).code,
			putManifest(t, s, `{"schemaVersion":2,"manifests":[]}`, ociIndex).code, putManifest(t, s, imageManifest("c", "l"), v2s2).code)
	}, "201 201 201", "400 400 201"},
	{"RefuseArtifacts", nexustest.Options{}, func(q *nexustest.Quirks) { q.RefuseArtifacts = true }, func(t *testing.T, s *nexustest.Server) string {
		chart := strings.Replace(imageManifest("c", "l"), v2config, "application/vnd.cncf.helm.config.v1+json", 1)
		return fmt.Sprint(putManifest(t, s, chart, v2s2).code, putManifest(t, s, imageManifest("c", "l"), v2s2).code)
	}, "201 201", "400 201"},
	{"IndexNPE", nexustest.Options{}, func(q *nexustest.Quirks) { q.IndexNPE = true }, func(t *testing.T, s *nexustest.Server) string {
		child := imageManifest("c", "l")
		do(t, "PUT", dockerAPI(s, "docker")+"app/manifests/"+digestOf([]byte(child)), child).want(t, 400) // no blobs yet
		putManifest(t, s, child, v2s2).want(t, 201)
		raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": v2list, "manifests": []descriptor{
			{"application/vnd.example+json", len(child), digestOf([]byte(child))}}})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(putManifest(t, s, string(raw), v2list).code, putManifest(t, s, index(v2s2, child), v2list).code)
	}, "201 201", "500 201"},
}
