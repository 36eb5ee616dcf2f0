package nexus_test

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/report"
)

// collect reads a list to its end.
func collect(all iter.Seq2[nexus.Listed, error]) (got []nexus.Listed, err error) {
	for l, err := range all {
		if err != nil {
			return got, err
		}
		got = append(got, l)
	}
	return got, nil
}

func paths(all []nexus.Listed) (names []string) {
	for _, l := range all {
		names = append(names, l.Path)
	}
	slices.Sort(names)
	return names
}

// Contract 6.1: pages of 10 or 100, tokens, both forms of paths, what of checksums there is.
func TestFiles61(t *testing.T) {
	for _, profile := range generations {
		for _, n := range []int{0, 1, 9, 10, 11, 20, 100, 101, 205} {
			s, nx := start(t, nexustest.Options{Profile: profile, ContextPath: "/nexus"})
			var want []string
			for i := range n {
				want = append(want, fmt.Sprintf("dir %d/é+;%d.tgz", i%3, i))
				if err := s.Put("raw", want[i], content(i+1)); err != nil {
					t.Fatal(err)
				}
			}
			s.ClearLog()
			got, err := collect(nx.Files(t.Context(), "raw"))
			slices.Sort(want)
			if diff := cmp.Diff(want, paths(got)); err != nil || diff != "" {
				t.Fatalf("%s, %d: %v\n%s", profile, n, err, diff)
			}
			size := map[nexustest.Profile]int{nexustest.CE396: 100}[profile]
			if size == 0 {
				size = 10
			}
			pages := max((n+size-1)/size, 1)
			requests := s.Requests(nexustest.Match{Path: "/v1/assets"})
			if len(requests) != pages || n > 0 && got[n-1].Page != pages {
				t.Errorf("%s, %d: %d requests, last on page %d; want %d", profile, n, len(requests), got[n-1].Page, pages)
			}
			for _, r := range requests {
				if !strings.Contains(r.Path, "repository=raw") || r.Header.Get("Authorization") == "" {
					t.Errorf("%s: asked %s with %v", profile, r.Path, r.Header)
				}
			}
			for _, l := range got {
				data := content(int(l.Size))
				sha256 := l.Checksums["sha256"]
				if ok := sha256 == digest.FromBytes(data).Encoded(); ok == (profile == nexustest.Orient340) || len(l.Checksums["sha1"]) != 40 || time.Since(l.Modified) > time.Minute {
					t.Errorf("%s: %+v", profile, l)
				}
			}
		}
	}
}

// Contract 3.7: a tag is a component, manifests by digest and blobs are not.
func TestTags37(t *testing.T) {
	for _, profile := range generations {
		s, n := start(t, nexustest.Options{Profile: profile})
		raw := pushImage(t, n.Docker("docker"), "team/app", "v1", "sha256", "v2")
		got, err := collect(n.Tags(t.Context(), "docker"))
		if diff := cmp.Diff([]string{"team/app:v1", "team/app:v2"}, paths(got)); err != nil || diff != "" {
			t.Fatalf("%s: %v\n%s", profile, err, diff)
		}
		if want := digest.FromBytes(raw).Encoded(); got[0].Checksums["sha256"] != want || got[0].Size != int64(len(raw)) {
			t.Errorf("%s: %+v, want %s", profile, got[0], want)
		}
		blobs, err := collect(n.Blobs(t.Context(), "docker"))
		want := []string{digest.FromBytes(content(150_000)).String(), digest.FromString(`{"architecture":"amd64","os":"linux"}`).String()}
		slices.Sort(want)
		if diff := cmp.Diff(want, paths(blobs)); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", profile, err, diff)
		}
		s.ClearLog()
		for range n.Blobs(t.Context(), "docker") {
			break // who has seen enough pays for no more
		}
		if asked := s.Count("GET", "/v1/assets"); asked != 1 {
			t.Errorf("%s: asked %d times", profile, asked)
		}
	}
}

// Contract 2.4, 6.1: what a list is refused with.
func TestListRefused24(t *testing.T) {
	for _, profile := range generations {
		for label, tt := range map[string]struct {
			do    nexustest.Action
			class report.Class
			want  string
		}{
			"401":          {nexustest.Unauthorized(), report.ClassRefused, "list raw: .*401"},
			"403":          {nexustest.Status(403, "Forbidden"), report.ClassRefused, "403.*needs the privilege browse on raw"},
			"422":          {nexustest.Status(422, ""), report.ClassRefused, "422"},
			"500":          {nexustest.Status(500, ""), report.ClassUnavailable, "500"},
			"bad login":    {nexustest.TooManyLogins(), report.ClassRefused, "429"},
			"portal":       {nexustest.StatusBody(200, "OK", "text/html", "<html>"), report.ClassRefused, "is it a Nexus"},
			"no items":     {nexustest.StatusBody(200, "OK", "application/json", "{}"), report.ClassRefused, "has no items"},
			"no name":      {nexustest.StatusBody(200, "OK", "application/json", `{"items":[{"path":"/"}]}`), report.ClassRefused, "without a name"},
			"other shape":  {nexustest.StatusBody(200, "OK", "application/json", `{"items":{}}`), report.ClassRefused, "not the expected JSON"},
			"unknown repo": {nexustest.Status(404, ""), report.ClassRefused, "list raw: Nexus has no repository raw"},
		} {
			_, n := start(t, nexustest.Options{Profile: profile, Faults: []nexustest.Fault{{On: nexustest.Match{Path: "/v1/assets"}, Do: tt.do}}})
			got, err := collect(n.Files(t.Context(), "raw"))
			matches(t, err, tt.want)
			if report.Classify(err) != tt.class || len(got) != 0 || errors.Is(err, errdef.ErrNotFound) {
				t.Errorf("%s, %s: class %d of %v, %d items", profile, label, report.Classify(err), err, len(got))
			}
		}
		_, n := start(t, nexustest.Options{Profile: profile})
		_, err := collect(n.Files(t.Context(), "nowhere"))
		if _, ok := errors.AsType[*nexus.NoRepositoryError](err); !ok {
			t.Errorf("%s: %v", profile, err)
		}
		_, err = collect(n.Tags(t.Context(), "a/../b"))
		matches(t, err, "is no repository name")
	}
}

// serveList is a server whose list does as answer says; the token of a request is handed in.
func serveList(t *testing.T, answer func(token string) (int, string)) (*nexus.Nexus, *int) {
	t.Helper()
	asked := new(int)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		q := r.URL.Query()
		if q.Get("repository") != "r" {
			t.Errorf("asked for %s", r.URL)
		}
		code, body := answer(q.Get("continuationToken"))
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(srv.Close)
	return nexus.New(options(t, srv.URL)), asked
}

func page(token string, names ...string) string {
	var items []string
	for _, n := range names {
		items = append(items, fmt.Sprintf(`{"path":%q}`, n))
	}
	if token == "" {
		token = "null"
	} else {
		token = `"` + token + `"`
	}
	return `{"items":[` + strings.Join(items, ",") + `],"continuationToken":` + token + `}`
}

// Contract 6.1: a bad token is 406. The list is begun again once; nothing is lost by it.
func TestTokens61(t *testing.T) {
	lost := 1
	n, asked := serveList(t, func(token string) (int, string) {
		switch {
		case token == "":
			return 200, page("2", "a", "/b")
		case lost > 0:
			lost--
			return 406, ""
		}
		return 200, page("", "c")
	})
	got, err := collect(n.Files(t.Context(), "r"))
	if diff := cmp.Diff([]string{"a", "a", "b", "b", "c"}, paths(got)); err != nil || diff != "" || *asked != 4 {
		t.Errorf("%d requests, %v\n%s", *asked, err, diff)
	}
	lost = 2
	_, err = collect(n.Files(t.Context(), "r"))
	matches(t, err, "406")
	n, asked = serveList(t, func(string) (int, string) { return 406, "" })
	_, err = collect(n.Files(t.Context(), "r"))
	if matches(t, err, "406"); *asked != 1 {
		t.Errorf("the first page was refused %d times", *asked)
	}
}

// A page may be empty and lead on; tokens that lead in a circle lead nowhere.
func TestTokensWithoutEnd(t *testing.T) {
	n, _ := serveList(t, func(token string) (int, string) {
		return 200, map[string]string{"": page("2"), "2": page("3", "a"), "3": page("", "b")}[token]
	})
	got, err := collect(n.Files(t.Context(), "r"))
	if diff := cmp.Diff([]string{"a", "b"}, paths(got)); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, circle := range []map[string]string{{"": "1", "1": "1"}, {"": "1", "1": "2", "2": "1"}} {
		n, asked := serveList(t, func(token string) (int, string) { return 200, page(circle[token], "a") })
		_, err := collect(n.Files(t.Context(), "r"))
		matches(t, err, "the list has no end")
		if *asked > 3 || report.Classify(err) != report.ClassUnavailable {
			t.Errorf("%d requests, class %d", *asked, report.Classify(err))
		}
	}
}

// Contract 6.1: members that a version does not have, or has in another form.
func TestAssetMembers61(t *testing.T) {
	const sha1, sha256 = "da39a3ee5e6b4b0d3255bfef95601890afd80709", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	at := time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC)
	for label, tt := range map[string]struct {
		record   string
		size     int64
		sums     map[string]string
		modified time.Time
	}{
		"3.16":               {`"checksum":{"sha1":"` + sha1 + `"}`, -1, map[string]string{"sha1": sha1}, time.Time{}},
		"3.40 size unknown":  {`"fileSize":0,"lastModified":"2024-05-01T10:00:00.000+0000"`, -1, map[string]string{}, at},
		"3.77":               {`"fileSize":5,"checksum":{"sha256":"` + strings.ToUpper(sha256) + `","md5":"x"},"lastModified":"2024-05-01T12:00:00.000+02:00"`, 5, map[string]string{"sha256": sha256}, at},
		"null":               {`"fileSize":null,"checksum":null,"lastModified":null`, -1, map[string]string{}, time.Time{}},
		"sums that are none": {`"checksum":{"sha1":"abc","sha256":"` + strings.Repeat("z", 64) + `"}`, -1, map[string]string{}, time.Time{}},
		"3.94":               {`"fileSize":7,"blobRef":"x","blobUpdated":null,"raw":{"a":[1]},"lastModified":"yesterday"`, 7, map[string]string{}, time.Time{}},
	} {
		n, _ := serveList(t, func(string) (int, string) { return 200, `{"items":[{"path":"/a/b",` + tt.record + `}]}` })
		got, err := collect(n.Files(t.Context(), "r"))
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %v, %v", label, got, err)
		}
		a := got[0]
		if diff := cmp.Diff(tt.sums, a.Checksums); a.Path != "a/b" || a.Size != tt.size || !a.Modified.Equal(tt.modified) || diff != "" {
			t.Errorf("%s: %+v\n%s", label, a, diff)
		}
	}
	n, _ := serveList(t, func(string) (int, string) {
		return 200, `{"items":[{"name":"a/b","version":"1","assets":[]},{"name":"a/b","version":"sha256:abc"}]}`
	})
	if got, err := collect(n.Tags(t.Context(), "r")); err != nil || len(got) != 1 || got[0].Path != "a/b:1" || got[0].Size != -1 {
		t.Errorf("%v, %v", got, err)
	}
	n, _ = serveList(t, func(string) (int, string) { return 200, `{"items":[{"name":"a/b"}]}` })
	_, err := collect(n.Tags(t.Context(), "r"))
	matches(t, err, "without a name")
}

func TestHead(t *testing.T) {
	for _, profile := range generations {
		s, n := start(t, nexustest.Options{Profile: profile})
		if err := s.Put("raw", "a", content(10)); err != nil {
			t.Fatal(err)
		}
		s.ClearLog()
		a, err := n.Head(t.Context(), "raw", "a")
		if hasSum := a.Checksums["sha1"] != ""; err != nil || a.Size != 10 || hasSum == (profile == nexustest.Orient340) || len(s.Log()) != 1 {
			t.Errorf("%s: %+v, %v, %d requests", profile, a, err, len(s.Log()))
		}
		if _, err := n.Head(t.Context(), "raw", "b"); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s: %v", profile, err)
		}
	}
}
