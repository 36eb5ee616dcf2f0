package probe

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/fuzztest"
	"airbundle/internal/nexustest"
	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

func TestHeaderLines(t *testing.T) {
	long := strings.Repeat("x", 2*maxHeader)
	got := headerLines(http.Header{
		"Set-Cookie": {"NXSESSIONID=1", "other=2"}, "X-Auth-Token": {"s3cr3t"}, "Authorization": {"Basic abc"},
		"Www-Authenticate": {`BASIC realm="Sonatype Nexus Repository Manager"`}, "X-Forwarded-For": {"10.0.0.7"},
		"Location": {"http://u:p@10.0.0.7/v2/a?_state=abc&digest=sha256:12"}, "X-Long": {long}, "X-Bell": {"a\x07b\r\nc"},
		"X-Echo": {"was Basic YWRtaW46YWRtaW4xMjM="},
	})
	want := []string{
		"Authorization: REDACTED", "Location: http://10.0.0.7/v2/a?_state=REDACTED&digest=sha256:12", "Set-Cookie: REDACTED", "Set-Cookie: REDACTED",
		`Www-Authenticate: BASIC realm="Sonatype Nexus Repository Manager"`, "X-Auth-Token: REDACTED", "X-Bell: ab  c", "X-Echo: was REDACTED",
		"X-Forwarded-For: 10.0.0.7", "X-Long: " + long[:maxHeader] + "…",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestExcerpt(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte("<metadata packages=\"1\">"))
	w.Close()
	long := strings.Repeat("y", maxExcerpt-20)
	for _, c := range []struct{ name, body, want string }{
		{"empty", "", ""},
		{"json", `{ "token" : "abc", "name":"n" }`, `{ "token" : "REDACTED", "name":"n" }`},
		{"docker token", "use DockerToken.12-ab now", "use REDACTED now"},
		{"binary", "ab\x00c", "(4 bytes that are no text)"},
		{"packed", packed.String(), `<metadata packages="1">`},
		{"terminal", "a\x1b[31mred\tend \r\nb", "a[31mred end\nb"},
		{"secret across the cut", long + `{"password":"` + strings.Repeat("s", 5*maxExcerpt), (long + `{"password":"REDACTED`)[:maxExcerpt] + "\n(cut here)"},
	} {
		if got := excerpt([]byte(c.body), nil); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestVersionOf(t *testing.T) {
	for in, want := range map[string][2]string{
		"Nexus/3.40.1-01 (OSS)": {"3.40.1-01", "OSS"}, "Nexus/3.90.2-06 (COMMUNITY)": {"3.90.2-06", "COMMUNITY"},
		"Nexus/3.16.2-01": {"3.16.2-01", ""}, "nginx/1.24.0": {}, "": {},
	} {
		if v, e := versionOf(in); v != want[0] || e != want[1] {
			t.Errorf("%q: got %q, %q", in, v, e)
		}
	}
}

func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"/v2/a/blobs/uploads/?mount=sha256:12&from=b": "/v2/a/blobs/uploads/?mount=sha256:12&from=b",
		"/x?continuationToken=abc&repository=r":       "/x?continuationToken=REDACTED&repository=r",
		"/x?abc":                                      "/x?abc=REDACTED",
		"https://user:pw@h/x#y":                       "https://h/x",
		"http://[::1":                                 "(malformed URL)",
		"/a\x1bb":                                     "(malformed URL)",
		"/" + strings.Repeat("p", maxHeader):          "/" + strings.Repeat("p", maxHeader-1) + "…",
	} {
		if got := shown(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestErrorCodes(t *testing.T) {
	for in, want := range map[string]string{
		`{"errors":[{"code":"BLOB_UNKNOWN"},{"code":"BLOB_UNKNOWN"},{"code":"DENIED"}]}`: "BLOB_UNKNOWN DENIED",
		`{"errors":[]}`: "", `<html>`: "", ``: "", `{"errors":[{"code":"a\u001bb"}]}`: "ab",
		`{"errors":[` + strings.TrimSuffix(strings.Repeat(`{"code":"A"},`, 99), ",") + `]}`: "A",
	} {
		if got := errorCodes([]byte(in)); got != want {
			t.Errorf("%.60s: got %q, want %q", in, got, want)
		}
	}
}

func TestResolve(t *testing.T) {
	base, err := url.Parse("http://h:8081/nexus")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{base: base}
	const prefix = "/nexus/repository/probe/v2/"
	for location, want := range map[string]string{
		"/v2/a/blobs/uploads/1":                            prefix + "a/blobs/uploads/1",
		"/nexus/v2/a/blobs/uploads/1":                      prefix + "a/blobs/uploads/1",
		"/nexus/repository/probe/v2/a/blobs/uploads/1?s=x": prefix + "a/blobs/uploads/1?s=x",
		"http://10.0.0.7:8082/v2/a/blobs/uploads/1":        prefix + "a/blobs/uploads/1",
		"1":          prefix + "a/blobs/uploads/1",
		"":           "",
		"/elsewhere": "",
		"/nexus/repository/other/v2/a/blobs/uploads/1": "",
		"/v2/../../other/v2/a":                         "",
		"/v2/%2e%2e/%2e%2e/other/v2/a":                 "",
		"/v2/a%5C..%5Cb":                               "",
		"/v2/a;b":                                      "",
		"http://[::1":                                  "",
		"/nexus/repository/probe/v2/../../other/v2/uploads": "",
	} {
		got, err := w.resolve("probe", prefix+"a/blobs/uploads/", location)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", location, got, err, want)
		}
	}
}

// FuzzLocation: wherever an answer leads, the next request stays in the scratch
// repository, and nothing that a terminal obeys reaches the transcript.
func FuzzLocation(f *testing.F) {
	for _, seed := range []string{"/v2/a/blobs/uploads/1", "http://u:p@h/v2/a?_state=x", "/v2/%2e%2e/x", "//h/v2/a", "?a", "/v2/a\x1b[2J", "/nexus/repository/probe/v2/a/b?x=1#y"} {
		f.Add(seed)
	}
	base, err := url.Parse("http://h:8081/nexus")
	if err != nil {
		f.Fatal(err)
	}
	w := &wire{base: base, client: nil}
	fuzztest.Run(f, func(t *testing.T, location string) {
		const prefix = "/nexus/repository/probe/v2/"
		line := headerValue("Location", location)
		if !clean(line) || len(line) > maxHeader+8 {
			t.Errorf("shown as %q", line)
		}
		path, err := w.resolve("probe", prefix+"a/blobs/uploads/", location)
		if err != nil {
			return
		}
		req, err := w.request(t.Context(), call{method: http.MethodPut, path: path})
		if err != nil {
			return
		}
		if !strings.HasPrefix(req.URL.Path, "/nexus/repository/probe/") || req.URL.Host != "h:8081" || req.URL.User != nil {
			t.Errorf("%q leads to %s", location, req.URL)
		}
		for segment := range strings.SplitSeq(req.URL.Path, "/") {
			if segment == ".." || strings.Contains(segment, `\`) {
				t.Errorf("%q leads to %s", location, req.URL)
			}
		}
	})
}

// FuzzExcerpt: whatever a server says is shown in bounds, in printable characters, and
// without what is named a secret.
func FuzzExcerpt(f *testing.F) {
	for _, seed := range []string{`{"token":"abc"}`, "\x1f\x8b", "<html>\x1b[2J", `{"errors":[{"code":"BLOB_UNKNOWN"}]}`, "\xff\xfe", strings.Repeat(`"password":"x`, 900)} {
		f.Add([]byte(seed))
	}
	fuzztest.Run(f, func(t *testing.T, body []byte) {
		text := excerpt(body, nil)
		if !clean(strings.ReplaceAll(text, "\n", "")) || len(text) > maxExcerpt+40 {
			t.Errorf("shown as %q", text)
		}
		if codes := errorCodes(body); !clean(codes) {
			t.Errorf("codes %q", codes)
		}
		secret := excerpt(fmt.Appendf(nil, `{"token" : %q}`, "canary-"+strings.Map(func(r rune) rune {
			if r == '"' || r == '\\' || r < ' ' || r > '~' {
				return -1
			}
			return r
		}, string(body))), nil)
		if strings.Contains(secret, "canary") {
			t.Errorf("the secret is shown: %q", secret)
		}
	})
}

func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 })
}

// TestPackages: rpm takes what is meant to be good, and our own reader refuses what is
// meant to be corrupt.
func TestPackages(t *testing.T) {
	for _, compressor := range []string{"gzip", "zstd"} {
		data, err := buildRPM(mark+"-"+compressor, "run", compressor, rpmtest.Built)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rpm.Read(bytes.NewReader(data)); err != nil {
			t.Errorf("%s: %v", compressor, err)
		}
		again, err := buildRPM(mark+"-"+compressor, "other", compressor, rpmtest.Built)
		if err != nil || bytes.Equal(data, again) {
			t.Errorf("%s: two runs have the same bytes (%v)", compressor, err)
		}
		corrupt, err := corruptRPM(data)
		if err != nil || !bytes.HasPrefix(data, corrupt) || !bytes.HasPrefix(corrupt, []byte{0xed, 0xab, 0xee, 0xdb}) {
			t.Fatalf("%s: %d of %d bytes, %v", compressor, len(corrupt), len(data), err)
		}
		if _, err := rpm.Read(bytes.NewReader(corrupt)); err == nil {
			t.Errorf("%s: the corrupt one can be read", compressor)
		}
	}
	for _, bad := range [][]byte{nil, make([]byte, 100), make([]byte, 112)} {
		if _, err := corruptRPM(bad); err == nil {
			t.Errorf("%d bytes are no package", len(bad))
		}
	}
}

func TestZeros(t *testing.T) {
	d := &dockerRun{run: &run{id: "r"}}
	const size = 5<<20 + 3
	data, err := io.ReadAll(d.zeros(size))
	if err != nil || len(data) != size || !bytes.HasPrefix(data, []byte("seeder probe, run r, blob 1\n\x00\x00")) {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	if got, err := digestOf(t.Context(), d.zeros(size)); err != nil || got != digest.FromBytes(data) {
		t.Errorf("got %s, %v", got, err)
	}
}

// TestLargeBody: the large upload is not held in memory. The double stores it on disk.
func TestLargeBody(t *testing.T) {
	s := server(t, nexustest.Options{Quirks: nexustest.Quirks{DeleteBlobs: true}})
	o := options(t, s, "probe-docker")
	o.Large = 64 << 20
	tr := mustRun(t, o)
	if f := finding(t, tr, 7, fmt.Sprintf("%d bytes answers 201", o.Large)); f.Switch != "NoSinglePost=false" {
		t.Errorf("%+v", f)
	}
	if e := s.Requests(nexustest.Match{Method: "POST", Path: "digest="}); len(e) != 2 || e[1].BytesIn != o.Large || e[1].Header.Get("Expect") != "100-continue" {
		t.Errorf("requests: %+v", e)
	}
}
