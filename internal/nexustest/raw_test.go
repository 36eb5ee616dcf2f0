package nexustest_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/nexustest"
)

// startRaw starts a server with the raw repository "raw".
func startRaw(t *testing.T, opts nexustest.Options) (*nexustest.Server, string) {
	t.Helper()
	opts.Repositories = append(opts.Repositories, nexustest.Repository{Name: "raw", Format: "raw"})
	s := nexustest.Start(t, opts)
	return s, s.RepositoryURL("raw") + "/"
}

func TestRawMethods(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{})
	do(t, "PUT", base+"dir/a.bin", "one", "Content-Type", "application/octet-stream").want(t, 201)
	do(t, "PUT", base+"dir/a.bin", "second").want(t, 201)
	got := do(t, "GET", base+"dir/a.bin", "").want(t, 200)
	if got.body != "second" || got.header.Get("Content-Disposition") != "attachment" || got.header.Get("Last-Modified") == "" {
		t.Errorf("GET: %q, headers %v", got.body, got.header)
	}
	head := do(t, "HEAD", base+"dir/a.bin", "").want(t, 200)
	if head.header.Get("Content-Length") != "6" || head.header.Get("Content-Disposition") != "" {
		t.Errorf("HEAD: headers %v", head.header)
	}
	do(t, "GET", base+"dir/", "").want(t, 404)
	do(t, "PUT", base+"dir/index.html", "<html>").want(t, 201)
	if got := do(t, "GET", base+"dir/", "").want(t, 200); got.body != "<html>" {
		t.Errorf("directory: %q", got.body)
	}
	if got := do(t, "POST", base+"dir/a.bin", "").want(t, 405); got.header.Get("Allow") != "GET,HEAD,PUT,DELETE" {
		t.Errorf("Allow: %q", got.header.Get("Allow"))
	}
	do(t, "DELETE", base+"dir/a.bin", "").want(t, 204)
	do(t, "DELETE", base+"dir/a.bin", "").want(t, 404)
	if diff := cmp.Diff([]string{"dir/index.html"}, s.Paths("raw")); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

func TestRawEntityTags(t *testing.T) {
	sum := sha1.Sum([]byte("hello"))
	for profile, want := range map[nexustest.Profile]string{
		nexustest.Orient340: "", nexustest.H2371: `"` + hex.EncodeToString(sum[:]) + `"`, nexustest.CE396: `"` + hex.EncodeToString(sum[:]) + `"`,
	} {
		_, base := startRaw(t, nexustest.Options{Profile: profile})
		do(t, "PUT", base+"a", "hello").want(t, 201)
		if got := do(t, "HEAD", base+"a", "").header.Get("ETag"); got != want {
			t.Errorf("%s: ETag %q, want %q", profile, got, want)
		}
	}
}

func TestRawConditions(t *testing.T) {
	const (
		tag          = `"87acec17cd9dcd20a716cc2cf67417b71c8a7016"`
		past, future = "Mon, 02 Jan 2006 15:04:05 GMT", "Tue, 02 Jan 2080 15:04:05 GMT"
	)
	_, base := startRaw(t, nexustest.Options{Profile: nexustest.H2371})
	do(t, "PUT", base+"f", "0123456789").want(t, 201)
	tests := []struct {
		name, method string
		header       []string
		code         int
		body, rng    string
	}{
		{"whole", "GET", nil, 200, "0123456789", ""},
		{"range", "GET", []string{"Range", "bytes=2-4"}, 206, "234", "bytes 2-4/10"},
		{"open range", "GET", []string{"Range", "bytes=7-"}, 206, "789", "bytes 7-9/10"},
		{"beyond", "GET", []string{"Range", "bytes=8-99"}, 206, "89", "bytes 8-9/10"},
		{"suffix", "GET", []string{"Range", "bytes=-3"}, 206, "789", "bytes 7-9/10"},
		{"unsatisfiable", "GET", []string{"Range", "bytes=10-"}, 416, "", "bytes */10"},
		{"reversed", "GET", []string{"Range", "bytes=5-2"}, 200, "0123456789", ""},
		{"several", "GET", []string{"Range", "bytes=0-1,3-4"}, 501, "*", ""},
		{"if-range tag", "GET", []string{"Range", "bytes=0-1", "If-Range", tag}, 206, "01", "bytes 0-1/10"},
		{"if-range other", "GET", []string{"Range", "bytes=0-1", "If-Range", `"x"`}, 200, "0123456789", ""},
		{"if-range old date", "GET", []string{"Range", "bytes=0-1", "If-Range", past}, 200, "0123456789", ""},
		{"none match", "GET", []string{"If-None-Match", tag}, 304, "", ""},
		{"none match other", "GET", []string{"If-None-Match", `"x"`}, 200, "0123456789", ""},
		{"modified since", "GET", []string{"If-Modified-Since", past}, 200, "0123456789", ""},
		{"not modified since", "GET", []string{"If-Modified-Since", future}, 304, "", ""},
		{"match", "GET", []string{"If-Match", `"x"`}, 412, "*", ""},
		{"unmodified", "GET", []string{"If-Unmodified-Since", past}, 412, "*", ""},
		{"put match", "PUT", []string{"If-Match", `"x"`}, 412, "*", ""},
		{"put none match any", "PUT", []string{"If-None-Match", "*"}, 201, "", ""},
		{"delete match", "DELETE", []string{"If-Match", `"x"`}, 412, "*", ""},
	}
	bodies := map[string]string{"PUT": "0123456789"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, tt.method, base+"f", bodies[tt.method], tt.header...).want(t, tt.code)
			if tt.body != "*" && got.body != tt.body {
				t.Errorf("body %q, want %q", got.body, tt.body)
			}
			if got.header.Get("Content-Range") != tt.rng {
				t.Errorf("Content-Range %q, want %q", got.header.Get("Content-Range"), tt.rng)
			}
		})
	}
}

func TestRawIfRangeDate(t *testing.T) {
	_, base := startRaw(t, nexustest.Options{})
	do(t, "PUT", base+"f", "0123456789").want(t, 201)
	date := do(t, "HEAD", base+"f", "").header.Get("Last-Modified")
	got := do(t, "GET", base+"f", "", "Range", "bytes=8-", "If-Range", date).want(t, 206)
	if got.body != "89" {
		t.Errorf("body %q", got.body)
	}
}

func TestRawPaths(t *testing.T) {
	tests := []struct{ sent, stored string }{
		{"a%20b", "a b"}, {"a+b", "a+b"}, {"a%3Bb", "a;b"}, {"a;b/c", "a/c"}, {"a%5Cb", "a/b"}, {"%23%3F%25", "#?%"},
		{"caf%C3%A9", "café"}, {"a%2Fb", "a/b"}, {"dir/", "dir/"}, {"a:b[c]", "a:b[c]"},
	}
	for _, tt := range tests {
		t.Run(tt.sent, func(t *testing.T) {
			s, base := startRaw(t, nexustest.Options{})
			do(t, "PUT", base+tt.sent, "x").want(t, 201)
			if diff := cmp.Diff([]string{tt.stored}, s.Paths("raw")); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			if got := do(t, "GET", base+tt.sent, "").want(t, 200); got.body != "x" {
				t.Errorf("body %q", got.body)
			}
		})
	}
}

func TestRawFormTypeStoresNothing(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{})
	do(t, "PUT", base+"f", "some=content", "Content-Type", "application/x-www-form-urlencoded").want(t, 201)
	if got := s.Assets("raw"); len(got) != 1 || got[0].Size != 0 {
		t.Errorf("assets %+v, want one empty file", got)
	}
}

func TestRawStrictContentType(t *testing.T) {
	gzip, rpm := "\x1f\x8b\x08rest", "\xed\xab\xee\xdb\x03\x00"
	tests := []struct {
		name, body string
		code       int
	}{
		{"a.tgz", gzip, 201}, {"a.tar.gz", gzip, 201}, {"a.rpm", rpm, 201}, {"a.zip", "PK\x03\x04..", 201},
		{"a.unknown", "anything", 201}, {"no-extension", gzip, 201}, {"a.txt", "plain", 201}, {"a.json", "{}", 201},
		{"a.bin.png", "\x00\x01\x02", 201}, {"a.tgz", "plain text", 400}, {"a.rpm", gzip, 400}, {"a.png", rpm, 400}, {"a.txt", gzip, 400},
	}
	s := nexustest.Start(t, nexustest.Options{Repositories: []nexustest.Repository{{Name: "strict", Format: "raw", Strict: true}}})
	for i, tt := range tests {
		do(t, "PUT", fmt.Sprintf("%s/%d/%s", s.RepositoryURL("strict"), i, tt.name), tt.body, "Content-Type", "image/png").want(t, tt.code)
	}
}

func TestRawWritePolicies(t *testing.T) {
	for _, profile := range []nexustest.Profile{nexustest.Orient340, nexustest.H2371, nexustest.CE396} {
		s := nexustest.Start(t, nexustest.Options{Profile: profile,
			Repositories: []nexustest.Repository{{Name: "once", Format: "raw", WritePolicy: "ALLOW_ONCE"}}})
		u := s.RepositoryURL("once") + "/f"
		do(t, "PUT", u, "same").want(t, 201)
		if got := do(t, "PUT", u, "same"); got.code != 400 && got.code != 409 {
			t.Errorf("%s: equal bytes again: %d, want a refusal", profile, got.code)
		}
		if data, _ := s.Read("once", "f"); string(data) != "same" {
			t.Errorf("%s: holds %q", profile, data)
		}
	}
}

func TestRawGroup(t *testing.T) {
	s := nexustest.Start(t, nexustest.Options{Repositories: []nexustest.Repository{
		{Name: "one", Format: "raw"}, {Name: "two", Format: "raw"},
		{Name: "all", Format: "raw", Type: "group", Members: []string{"one", "two"}},
	}})
	do(t, "PUT", s.RepositoryURL("two")+"/f", "second").want(t, 201)
	if got := do(t, "GET", s.RepositoryURL("all")+"/f", "").want(t, 200); got.body != "second" {
		t.Errorf("body %q", got.body)
	}
	do(t, "PUT", s.RepositoryURL("one")+"/f", "first").want(t, 201)
	if got := do(t, "GET", s.RepositoryURL("all")+"/f", "").want(t, 200); got.body != "first" {
		t.Errorf("body %q", got.body)
	}
	do(t, "PUT", s.RepositoryURL("all")+"/f", "x").want(t, 405)
}

func TestRawChecksumsKept(t *testing.T) {
	for profile, want := range map[nexustest.Profile]string{
		nexustest.Orient340: "md5 sha1", nexustest.H2371: "md5 sha1 sha256 sha512", nexustest.CE396: "md5 sha1 sha256 sha512",
	} {
		s, base := startRaw(t, nexustest.Options{Profile: profile})
		do(t, "PUT", base+"dir/f", "x").want(t, 201)
		got := do(t, "GET", s.URL+"/service/rest/v1/assets?repository=raw", "").want(t, 200)
		page := decode[struct {
			Items []struct {
				Path     string
				Checksum map[string]string
			}
		}](t, got.body)
		var names []string
		for name := range strings.FieldsSeq("md5 sha1 sha256 sha512") {
			if page.Items[0].Checksum[name] != "" {
				names = append(names, name)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s keeps %q, want %q", profile, got, want)
		}
		if got, slash := page.Items[0].Path, profile != nexustest.Orient340; strings.HasPrefix(got, "/") != slash {
			t.Errorf("%s: path %q", profile, got)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{MaxBodyBytes: 10})
	do(t, "PUT", base+"f", "0123456789").want(t, 201)
	got := do(t, "PUT", base+"g", "0123456789a").want(t, 413)
	if !strings.Contains(got.body, "nginx") || !strings.HasPrefix(got.header.Get("Server"), "nginx") {
		t.Errorf("413 of %q: %q", got.header.Get("Server"), got.body)
	}
	chunked := "PUT /repository/raw/h HTTP/1.1\nHost: h\n" + basic + "Transfer-Encoding: chunked\n\nc\n0123456789ab\n0\n\n"
	if head, _ := wire(t, s.URL, chunked); !strings.HasPrefix(head[0], "HTTP/1.1 413 ") {
		t.Errorf("chunked: %q", head[0])
	}
}
