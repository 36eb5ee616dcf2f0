package nexustest_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airbundle/internal/nexustest"
)

// postForm uploads a form as the administrator: "name=value" is a field,
// "name@data" a file.
func postForm(t *testing.T, s *nexustest.Server, repo string, parts ...string) answer {
	t.Helper()
	return postFormAs(t, nexustest.Username, nexustest.Password, s, repo, parts...)
}

func postFormAs(t *testing.T, user, password string, s *nexustest.Server, repo string, parts ...string) answer {
	t.Helper()
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for _, part := range parts {
		i := strings.IndexAny(part, "=@")
		var err error
		if part[i] == '=' {
			err = w.WriteField(part[:i], part[i+1:])
		} else {
			out, ferr := w.CreateFormFile(part[:i], "local name")
			if err = ferr; err == nil {
				_, err = out.Write([]byte(part[i+1:]))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return doAs(t, user, password, "POST", s.URL+"/service/rest/v1/components?repository="+repo, buf.String(), "Content-Type", w.FormDataContentType())
}

// formServer has a repository for each case of a form.
func formServer(t *testing.T, profile nexustest.Profile) *nexustest.Server {
	t.Helper()
	return nexustest.Start(t, nexustest.Options{Profile: profile, Repositories: []nexustest.Repository{
		{Name: "raw", Format: "raw", WritePolicy: "ALLOW_ONCE"}, {Name: "strict", Format: "raw", Strict: true},
		{Name: "yum", Format: "yum"}, {Name: "deep", Format: "yum", Depth: 1}, {Name: "helm", Format: "helm"},
		{Name: "docker", Format: "docker"}, {Name: "off", Format: "raw", Offline: true},
		{Name: "group", Format: "raw", Type: "group", Members: []string{"raw"}},
		{Name: "proxy", Format: "raw", Type: "proxy", RemoteURL: "https://example.org"},
	}})
}

func TestForms(t *testing.T) {
	for _, profile := range allProfiles {
		s := formServer(t, profile)
		postForm(t, s, "raw", "raw.directory=/dir/sub", "raw.asset1@one", "raw.asset1.filename=a", "raw.asset2@two", "raw.asset2.filename=b/c").want(t, 204)
		postForm(t, s, "yum", "yum.asset@"+string(makeRPM(t, anRPM)), "yum.asset.filename=a.rpm").want(t, 204)
		postForm(t, s, "deep", "yum.directory=x86_64", "yum.asset@"+string(makeRPM(t, anRPM)), "yum.asset.filename=a.rpm").want(t, 204)
		postForm(t, s, "helm", "helm.asset@"+makeChart(t, "web", "1.2.3")).want(t, 204)
		for repo, want := range map[string]string{"raw": "dir/sub/a dir/sub/b/c", "yum": "a.rpm", "deep": "x86_64/a.rpm", "helm": "web-1.2.3.tgz"} {
			if got := strings.Join(s.Paths(repo), " "); got != want {
				t.Errorf("%s: %s holds %q, want %q", profile, repo, got, want)
			}
		}
		if got := do(t, "GET", s.RepositoryURL("raw")+"/dir/sub/b/c", "").want(t, 200); got.body != "two" {
			t.Errorf("%s: second file %q", profile, got.body)
		}
		if sums := s.Assets("raw")[0].Checksums; len(sums) != 4 {
			t.Errorf("%s: checksums %v", profile, sums)
		}
		awaitPackages(t, s.RepositoryURL("yum"), "a.rpm")
		eventually(t, "the chart is listed", func() bool { return len(chartVersions(t, s.RepositoryURL("helm"), "web")) == 1 })
	}
}

func TestFormRefusals(t *testing.T) {
	file, name := "raw.asset1@x", "raw.asset1.filename=f"
	tests := []struct {
		repo  string
		parts []string
		code  int
		text  string
	}{
		{"raw", []string{"raw.directory=/d"}, 400, "No assets found in upload"},
		{"raw", []string{file, name}, 400, "Missing required component field 'Directory'"},
		{"raw", []string{"raw.directory=/d", file}, 400, "Missing required asset field 'Filename' on '1'"},
		{"raw", []string{"raw.directory=/d", file, name, "raw.color=red"}, 400, "Unknown component field 'color'"},
		{"raw", []string{"raw.directory=/d", file, name, "raw.asset2@y", "raw.asset2.filename=f"}, 400, "The assets 1 and 2 have identical coordinates"},
		{"raw", []string{"raw.directory=/d", name}, 400, "Missing payload"},
		{"strict", []string{"raw.directory=/d", file, "raw.asset1.filename=f.png"}, 400, "Detected content type [text/plain], but expected [image/png]"},
		{"group", []string{"raw.directory=/d", file, name}, 400, "Uploading components to a 'group' type repository is unsupported, must be 'hosted'"},
		{"proxy", []string{"raw.directory=/d", file, name}, 400, "Uploading components to a 'proxy' type repository is unsupported, must be 'hosted'"},
		{"off", []string{"raw.directory=/d", file, name}, 400, "Repository offline"},
		{"docker", []string{"docker.asset@x"}, 400, "unsupported"},
		{"deep", []string{"yum.asset@x", "yum.asset.filename=a.rpm"}, 400, "repodata depth"},
		{"helm", []string{"helm.asset@x"}, 400, "Invalid chart"},
		{"none", []string{"raw.directory=/d", file, name}, 404, ""},
		{"", []string{"raw.directory=/d", file, name}, 422, "repository"},
	}
	s := formServer(t, nexustest.Orient340)
	for _, tt := range tests {
		got := postForm(t, s, tt.repo, tt.parts...)
		if got.code != tt.code || !strings.Contains(got.body, tt.text) {
			t.Errorf("%s %v: %d %s, want %d with %q", tt.repo, tt.parts, got.code, got.body, tt.code, tt.text)
		}
	}
	got := do(t, "POST", s.URL+"/service/rest/v1/components?repository=raw", "{}", asJSON...).want(t, 400)
	if got.body != `"Expected multipart Content-Type"` {
		t.Errorf("no form: %s", got.body)
	}
	do(t, "POST", s.URL+"/service/rest/v1/components?repository=raw", "cut", "Content-Type", "multipart/form-data; boundary=b").want(t, 400)
	do(t, "DELETE", s.URL+"/service/rest/v1/components?repository=raw", "").want(t, 405)
	if stored := s.Paths("raw"); len(stored) != 0 {
		t.Errorf("refused forms left %v", stored)
	}
}

// TestFormsAreWhole checks that a form with one refused file stores none, in the
// words of each generation.
func TestFormsAreWhole(t *testing.T) {
	for profile, want := range map[nexustest.Profile]string{
		nexustest.Orient340: `400 Repository does not allow updating assets: raw`,
		nexustest.H2371:     `400 raw/d/f cannot be updated`,
		nexustest.CE396:     `409 ValidationErrorXO{id='*', message='raw/d/f -  cannot be updated as asset already exists and redeploy is not allowed'}`,
	} {
		s := formServer(t, profile)
		postForm(t, s, "raw", "raw.directory=d", "raw.asset1@x", "raw.asset1.filename=f").want(t, 204)
		got := postForm(t, s, "raw", "raw.directory=d", "raw.asset1@new", "raw.asset1.filename=g", "raw.asset2@x", "raw.asset2.filename=f")
		text := got.body
		if strings.HasPrefix(text, "[") {
			text = decode[[]struct{ Message string }](t, text)[0].Message
		}
		if have := fmt.Sprint(got.code, " ", text); have != want {
			t.Errorf("%s: %s, want %s", profile, have, want)
		}
		if stored := s.Paths("raw"); len(stored) != 1 {
			t.Errorf("%s: stored %v", profile, stored)
		}
	}
}

func TestFormLimits(t *testing.T) {
	s := nexustest.Start(t, nexustest.Options{Profile: nexustest.CE396, MaxBodyBytes: 1000, Quirks: nexustest.Quirks{ComponentCap: 1},
		Repositories: []nexustest.Repository{{Name: "raw", Format: "raw"}}})
	postForm(t, s, "raw", "raw.directory=d", "raw.asset1@"+strings.Repeat("x", 2000), "raw.asset1.filename=f").want(t, 413)
	postForm(t, s, "raw", "raw.directory=d", "raw.asset1@x", "raw.asset1.filename=f").want(t, 204)
	if got := postForm(t, s, "raw", "raw.directory=d", "raw.asset1@x", "raw.asset1.filename=g").want(t, 403); !strings.HasPrefix(got.body, "PAYMENT REQUIRED") {
		t.Errorf("above the cap: %q", got.body)
	}
	s.Freeze(true)
	postForm(t, s, "raw", "raw.directory=d", "raw.asset1@x", "raw.asset1.filename=f").want(t, 503)
}

func TestUploadSpecs(t *testing.T) {
	s := nexustest.Start(t, nexustest.Options{})
	api := s.URL + "/service/rest/v1/formats/"
	type spec struct {
		Format                       string
		MultipleUpload               bool
		ComponentFields, AssetFields []struct {
			Name     string
			Optional bool
		}
	}
	if all := decode[[]spec](t, do(t, "GET", api+"upload-specs", "").want(t, 200).body); len(all) != 3 {
		t.Errorf("specs %+v", all)
	}
	raw := decode[spec](t, do(t, "GET", api+"upload-specs/raw", "").want(t, 200).body)
	if !raw.MultipleUpload || raw.ComponentFields[0].Name != "directory" || raw.ComponentFields[0].Optional || raw.AssetFields[0].Name != "filename" {
		t.Errorf("spec of raw %+v", raw)
	}
	do(t, "GET", api+"upload-specs/docker", "").want(t, 404)
	do(t, "GET", api+"other", "").want(t, 404)
}

// TestRequestCapOfADay checks that the count begins anew with the day.
func TestRequestCapOfADay(t *testing.T) {
	var hours atomic.Int64
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	_, base := startRaw(t, nexustest.Options{Profile: nexustest.CE396, Quirks: nexustest.Quirks{RequestCap: 1},
		Now: func() time.Time { return start.Add(time.Duration(hours.Load()) * time.Hour) }})
	do(t, "PUT", base+"f", "x").want(t, 201)
	do(t, "PUT", base+"g", "x").want(t, 403)
	hours.Store(13)
	do(t, "PUT", base+"g", "x").want(t, 201)
}
