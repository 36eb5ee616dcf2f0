package registry

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"airbundle/internal/fuzztest"
	"airbundle/internal/httpx"
)

func locate(t testing.TB, base, location string, oneHost bool) (string, error) {
	t.Helper()
	b, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u := &upload{r: New(Options{Base: b, OneHost: oneHost}), repo: "team/app"}
	at, err := u.r.url(u.repo, "blobs", "uploads/")
	if err != nil {
		t.Fatal(err)
	}
	to, err := u.location(&http.Response{Request: &http.Request{URL: at}, Header: http.Header{"Location": {location}}})
	if err != nil {
		return "", err
	}
	if !httpx.SameOrigin(to, b) || to.User != nil || !strings.HasPrefix(to.Path, u.r.base.Path+"/") {
		t.Errorf("%q leads to %s", location, to)
	}
	return to.String(), nil
}

func TestLocation(t *testing.T) {
	const (
		plain  = "http://r.local:5000"
		nexus  = "https://nexus.local/ctx/repository/docker"
		upload = "/v2/team/app/blobs/uploads/"
	)
	for _, tt := range []struct {
		base, location string
		want, other    string // with and without OneHost; "": refused
	}{
		{plain, upload + "1", plain + upload + "1", "same"},
		{plain, plain + upload + "1?_state=a%2Fb", plain + upload + "1?_state=a%2Fb", "same"},
		{plain, "/other/place", plain + "/other/place", "same"},
		{plain, "1", plain + upload + "1", "same"},
		{plain, "https://r.local:5000" + upload + "1", plain + upload + "1", ""},
		{plain, "http://10.0.0.1:8081/nexus" + upload + "1?x=y", plain + upload + "1?x=y", ""},
		{plain, "http://u:p@r.local:5000" + upload + "1", plain + upload + "1", ""},
		{plain, "http://10.0.0.1/v2/team/other/blobs/uploads/1", "", ""},
		{plain, "http://10.0.0.1/", "", ""},
		{plain, "http://10.0.0.1" + upload, "", ""},
		{plain, "http://10.0.0.1" + upload + "..", "", ""},
		{plain, "http://10.0.0.1" + upload + "a/../../x", "", ""},
		{plain, "", "", ""},
		{plain, "http://[::1", "", ""},
		{nexus, upload + "1", nexus + upload + "1", "same"},
		{nexus, "/ctx/repository/docker" + upload + "1", nexus + upload + "1", "same"},
		{nexus, "/repository/docker" + upload + "1", nexus + upload + "1", "same"}, // the context path is the proxy's
		{nexus, "http://10.0.0.1:8081/repository/docker" + upload + "1", nexus + upload + "1", ""},
		{nexus, "//evil.local" + upload + "1", nexus + upload + "1", ""},
		{nexus, "/service/rest/v1/x", "", ""},
	} {
		if tt.other == "same" {
			tt.other = tt.want
		}
		for oneHost, want := range map[bool]string{true: tt.want, false: tt.other} {
			if got, err := locate(t, tt.base, tt.location, oneHost); got != want || (err == nil) != (want != "") {
				t.Errorf("%s, %q, %v: %q, %v; want %q", tt.base, tt.location, oneHost, got, err, want)
			}
		}
	}
}

func FuzzLocation(f *testing.F) {
	for _, s := range []string{"/v2/team/app/blobs/uploads/1?x=y", "http://10.0.0.1/v2/team/app/blobs/uploads/..", "//e/v2/team/app/blobs/uploads/%2e%2e", "https://nexus.local/ctx/repository/docker/v2/../../x", "a\x00b"} {
		f.Add(s)
	}
	fuzztest.Run(f, func(t *testing.T, s string) {
		for _, base := range []string{"http://r.local:5000", "https://nexus.local/ctx/repository/docker"} {
			_, _ = locate(t, base, s, true)
			_, _ = locate(t, base, s, false)
		}
	})
}
