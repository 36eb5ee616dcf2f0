package registrytest_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/registrytest"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestPushAndPullWithAStranger(t *testing.T) {
	for label, o := range map[string]registrytest.Options{
		"memory":       {},
		"directory":    {Dir: t.TempDir()},
		"with a login": {Username: "admin", Password: "admin123"},
	} {
		t.Run(label, func(t *testing.T) {
			reg := registrytest.Start(t, o)
			img, err := random.Image(2000, 3)
			if err != nil {
				t.Fatal(err)
			}
			ref, err := name.ParseReference(reg.Host + "/team/app:1")
			if err != nil {
				t.Fatal(err)
			}
			opts := []remote.Option{remote.WithContext(t.Context())}
			if o.Username != "" {
				opts = append(opts, remote.WithAuth(&authn.Basic{Username: o.Username, Password: o.Password}))
			}
			if err := remote.Write(ref, img, opts...); err != nil {
				t.Fatal(err)
			}
			got, err := remote.Image(ref, opts...)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Image(got); err != nil {
				t.Fatal(err)
			}
			if reg.BytesIn() < 6000 || reg.Count(http.MethodPut, "/manifests/") != 1 {
				t.Errorf("recorded %d bytes, %d manifests", reg.BytesIn(), reg.Count(http.MethodPut, "/manifests/"))
			}
			if o.Dir != "" {
				checkFile(t, reg, img)
			}
		})
	}
}

func checkFile(t *testing.T, reg *registrytest.Registry, img v1.Image) {
	t.Helper()
	h, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(reg.BlobFile(digest.Digest(h.String())))
	if err != nil {
		t.Fatal(err)
	}
	if got := digest.FromBytes(raw).String(); got != h.String() {
		t.Errorf("stored manifest hashes to %s, want %s", got, h)
	}
}

func TestLoginIsAsked(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Username: "u", Password: "p"})
	if code, body := get(t, reg.URL.String()+"/v2/"); code != 401 || !strings.Contains(body, "UNAUTHORIZED") {
		t.Errorf("without a login: %d %s", code, body)
	}
	withUser := strings.Replace(reg.URL.String(), "http://", "http://u:p@", 1)
	if code, _ := get(t, withUser+"/v2/"); code != 200 {
		t.Errorf("with the login: %d", code)
	}
	withWrong := strings.Replace(reg.URL.String(), "http://", "http://u:x@", 1)
	if code, _ := get(t, withWrong+"/v2/"); code != 401 {
		t.Errorf("with a wrong password: %d", code)
	}
}

func TestPrefixAndTLS(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Prefix: "/repository/docker-hosted/"})
	if !strings.HasSuffix(reg.URL.String(), "/repository/docker-hosted") {
		t.Errorf("URL is %s", reg.URL)
	}
	if code, _ := get(t, reg.URL.String()+"/v2/"); code != 200 {
		t.Errorf("below the prefix: %d", code)
	}
	if code, _ := get(t, "http://"+reg.Host+"/v2/"); code != 404 {
		t.Errorf("without the prefix: %d", code)
	}
	secure := registrytest.Start(t, registrytest.Options{TLS: true})
	resp, err := secure.Server.Client().Get(secure.URL.String() + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || secure.URL.Scheme != "https" {
		t.Errorf("%s: %d", secure.URL, resp.StatusCode)
	}
}

func TestWrapAndRecord(t *testing.T) {
	cut := false
	reg := registrytest.Start(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if cut {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}})
	base := reg.URL.String()
	_, body := get(t, base+"/v2/")
	get(t, base+"/v2/a/manifests/none?x=1")
	cut = true
	if code, msg := get(t, base+"/v2/"); code != 0 || !strings.Contains(msg, "EOF") {
		t.Errorf("cut: %d %s", code, msg)
	}
	want := []registrytest.Request{
		{Method: "GET", Path: "/v2/", Status: 200, Out: int64(len(body))},
		{Method: "GET", Path: "/v2/a/manifests/none", Query: "x=1", Status: 404},
		{Method: "GET", Path: "/v2/"},
	}
	got := reg.Requests()
	got[1].Out = 0    // the length of an error's text is the registry's affair
	if len(got) > 3 { // net/http repeats an idempotent request on a reused connection
		got = got[:3]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	reg.Forget()
	if n := len(reg.Requests()); n != 0 {
		t.Errorf("%d requests after Forget", n)
	}
}
