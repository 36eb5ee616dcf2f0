package yum

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/fuzztest"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpmtest"
)

func TestReadMirrorList(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		mirrors []string
		skipped []string
	}{
		"plain":    {"http://a.example/os/\nhttps://b.example/os\n", []string{"http://a.example/os/", "https://b.example/os"}, nil},
		"comments": {"\xef\xbb\xbf# a list\r\n\r\n \t http://a.example/ \r\n#http://b.example/\r\n", []string{"http://a.example/"}, nil},
		"twice":    {"http://a.example/\nhttp://a.example/", []string{"http://a.example/"}, nil},
		"arch":     {"http://a.example/$basearch/os\nhttp://b.example/${basearch}", []string{"http://a.example/aarch64/os", "http://b.example/aarch64"}, nil},
		"variable": {"http://a.example/$releasever/", nil, []string{"http://a.example/$releasever/: $releasever is not known here: only $basearch is, write the value of others out"}},
		"sentence": {"Invalid release/repo/arch combination", nil, []string{`"Invalid release/repo/arch combination": not a URL`}},
		"password": {"user CANARY@host/os", nil, []string{"(a line): not a URL"}},
		"userinfo": {"http://user:CANARY@host/os", nil, []string{"http://host/os: holds a user name"}},
		"query":    {"http://host/os?token=CANARY", []string{"http://host/os?token=CANARY"}, nil},
		"no host":  {"http:///os", nil, []string{"http:///os: names no host"}},
		"blank":    {"http://a.example/a b", nil, []string{"http://a.example/a%20b: a malformed URL"}},
		"local":    {"file:///etc/", nil, []string{"file:///etc/: a list from the network names a local file"}},
	} {
		l := &list{}
		if err := l.readMirrorList([]byte(c.text), "aarch64"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, m := range l.mirrors {
			got = append(got, m.url)
		}
		if diff := cmp.Diff(c.mirrors, got); diff != "" {
			t.Errorf("%s: mirrors (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(c.skipped, l.skipped); diff != "" {
			t.Errorf("%s: skipped (-want +got):\n%s", name, diff)
		}
	}
}

func TestMirrorListsThatAreNone(t *testing.T) {
	o := options(t)
	for name, c := range map[string]struct{ text, want string }{
		"empty":    {"\n \n", "empty"},
		"HTML":     {"<!doctype html><html>", "page of HTML"},
		"metalink": {fullMetalink, "name it under metalink"},
		"comments": {"# nothing\n", "no usable mirror"},
		"sentence": {"Bad arch - not in list: x86_64 aarch64\n", "Bad arch"},
		"long":     {strings.Repeat("http://a.example/"+strings.Repeat("x", 100)+"\n", maxList/100), "more than"},
		"many":     {strings.Repeat("nonsense\n", maxMirrors+1), "more than the 1000 mirrors"},
	} {
		lists := &site{files: map[string][]byte{"/repo/list": []byte(c.text)}}
		_, err := New(o).Open(t.Context(), lockfile.Repo{ID: "base", MirrorList: lists.start(t).url + "/list"}, "x86_64", ageOf)
		if report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: class %d, %.200v, want %q", name, report.Classify(err), err, c.want)
		}
	}
	lists := &site{files: map[string][]byte{"/repo/list": []byte("user:CANARY@host/os\n")}}
	_, err := New(o).Open(t.Context(), lockfile.Repo{ID: "base", MirrorList: lists.start(t).url + "/list"}, "x86_64", ageOf)
	if err == nil || strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), "only http and https") {
		t.Errorf("a password: %v", err)
	}
	_, err = New(o).Open(t.Context(), lockfile.Repo{ID: "base", MirrorList: refused() + "?token=CANARY"}, "x86_64", ageOf)
	if report.Classify(err) != report.ClassUnavailable || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
}

func TestLibrepoMirrorLists(t *testing.T) {
	dir := rpmtest.Testdata(t, "rpm", "repodata-samples", "librepo")
	for name, want := range map[string][]mirror{
		"mirrorlist":                {{"http://127.0.0.1:5000/yum/static/01/"}},
		"mirrorlists/mirrorlist_01": {{"http://foo.bar/fedora/linux/"}},
		"mirrorlists/mirrorlist_02": nil,
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		l := &list{}
		if err := l.readMirrorList(data, "x86_64"); err != nil || !cmp.Equal(l.mirrors, want, cmp.AllowUnexported(mirror{})) {
			t.Errorf("%s: %v, %v", name, l.mirrors, err)
		}
	}
}

func TestJoin(t *testing.T) {
	for _, c := range []struct{ base, path, want string }{
		{"http://a.example/os/", "Packages/a-1.rpm", "http://a.example/os/Packages/a-1.rpm"},
		{"http://a.example", "/a-1.rpm", "http://a.example/a-1.rpm"},
		{"http://a.example/os?token=x", "a.rpm", "http://a.example/os/a.rpm?token=x"},
		{"file:repo", "a.rpm", "file:repo/a.rpm"},
		{"file:///srv/repo/", "a.rpm", "file:///srv/repo/a.rpm"},
		{"http://a.example", "libstdc++-1~rc1^git.rpm", "http://a.example/libstdc++-1~rc1%5Egit.rpm"},
		{"http://a.example", "a b#c?d%41%zz\x00ä", "http://a.example/a%20b%23c%3Fd%41%25zz%00%C3%A4"},
	} {
		got := join(c.base, c.path)
		if got != c.want {
			t.Errorf("join(%q, %q) = %q, want %q", c.base, c.path, got, c.want)
		}
		if _, err := url.Parse(got); err != nil {
			t.Error(err)
		}
	}
}

// checkList says what holds of every list that was read.
func checkList(t *testing.T, l *list) {
	if len(l.mirrors) > maxMirrors || len(l.skipped) != len(l.reasons) {
		t.Errorf("%d mirrors, %d skipped, %d reasons", len(l.mirrors), len(l.skipped), len(l.reasons))
	}
	for _, m := range l.mirrors {
		u, err := url.Parse(join(m.url, "repodata/repomd.xml"))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			t.Errorf("mirror %q: %v", m.url, err)
		}
	}
}

func FuzzMirrorList(f *testing.F) {
	f.Add([]byte("# comment\nhttp://a.example/$basearch/\nftp://b.example/\n\nInvalid release\n"))
	f.Add([]byte("\xef\xbb\xbfhttps://a.example/?token=1\r\nhttp://u:p@h/"))
	f.Add([]byte("<html>"))
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		l := &list{}
		if l.readMirrorList(data, "x86_64") == nil {
			checkList(t, l)
		}
	})
}
