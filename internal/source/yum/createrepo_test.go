package yum

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

// createrepo puts packages into a directory and has createrepo_c describe them as of a
// time.
func createrepo(t *testing.T, checksum string, at int, packages map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range packages {
		put(t, filepath.Join(dir, "Packages", name), data)
	}
	cmd := exec.CommandContext(t.Context(), rpmtest.Tool(t, "createrepo_c"), "-q", "-s", checksum,
		"--revision", fmt.Sprint(at), "--set-timestamp-to-revision", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("createrepo_c: %v\n%s", err, out)
	}
	return dir
}

func served(t *testing.T, dir string) string {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	return server.URL
}

func repomdAge(raw []byte) (int64, error) {
	md, err := repodata.ParseRepomd(bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	return md.Age(), nil
}

// A real repository on real servers, from the mirror list to the signer of each package:
// one mirror is dead, one behind, one lies about its primary, one is a web page, and two
// are good.
func TestRealRepository(t *testing.T) {
	ours, stranger := rpmtest.Key(t), rpmtest.OtherKey(t)
	packages := map[string][]byte{}
	signers := map[string]string{}
	for _, p := range []struct {
		name string
		key  *rpmtest.Signer
	}{{"ours", ours}, {"strange", stranger}, {"bare", nil}} {
		s := rpmtest.Spec{Name: p.name, Version: "1.0^git~1", Key: p.key, Files: []rpmtest.File{{Path: "/opt/" + p.name, Body: strings.Repeat(p.name, 1000)}}}
		packages[s.FileName()] = rpmtest.Build(t, s)
		if p.key != nil {
			signers["Packages/"+s.FileName()] = p.key.ID
		}
	}
	for _, kind := range []string{"sha256", "sha512", "sha1"} {
		dir := createrepo(t, kind, 1_700_000_000, packages)
		sign(t, dir, ours)
		behind := createrepo(t, kind, 1_600_000_000, map[string][]byte{})
		sign(t, behind, ours)
		liar := t.TempDir()
		if err := os.CopyFS(liar, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		primaries, _ := filepath.Glob(filepath.Join(liar, "repodata", "*primary.xml*"))
		for _, p := range primaries {
			put(t, p, []byte("<html>we are down</html>"))
		}
		page := &site{handle: func(w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprint(w, "<!DOCTYPE html><html>welcome</html>")
			return true
		}}
		good := []string{served(t, dir), served(t, dir)}
		o := options(t)
		put(t, filepath.Join(o.Dir, "key.asc"), []byte(ours.Armor))
		repo := mirrorList(t, o, refused(), served(t, behind), served(t, liar), page.start(t).url, good[0], good[1])
		repo.GPGKeys, repo.RepoGPGCheck = []string{"key.asc"}, true
		r, err := New(o).Open(t.Context(), repo, "x86_64", repomdAge)
		if err != nil {
			t.Fatal(err)
		}
		md, err := repodata.ParseRepomd(bytes.NewReader(r.Repomd))
		if err != nil {
			t.Fatal(err)
		}
		data, _ := md.Find("primary")
		rc, err := r.File(t.Context(), data.Location, data.Checksum.Type+":"+data.Checksum.Value, data.Size)
		if err != nil {
			t.Fatal(err)
		}
		list, err := repodata.ParsePrimary(rc)
		rc.Close()
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Packages) != 3 || len(r.Skipped) != 4 {
			t.Fatalf("%s: %d packages, skipped %q", kind, len(list.Packages), r.Skipped)
		}
		for _, p := range list.Packages {
			want := packages[filepath.Base(p.Location)]
			if got, err := r.Pin(t.Context(), "", p.Location, p.Checksum, p.Size); got != digest.FromBytes(want) {
				t.Errorf("%s, %s: pinned %s, %v", kind, p.Location, got, err)
			}
			urls := r.URLs("", p.Location)
			if len(urls) != 2 || urls[1] != good[1]+"/Packages/"+strings.ReplaceAll(filepath.Base(p.Location), "^", "%5E") {
				t.Errorf("%s: URLs %q", p.Location, urls)
			}
			id, err := r.Signer(t.Context(), "", p.Location, p.HeaderStart)
			switch by := signers[p.Location]; by {
			case stranger.ID:
				if report.Classify(err) != report.ClassTrust || !strings.Contains(err.Error(), by) {
					t.Errorf("%s: class %d, %v", p.Location, report.Classify(err), err)
				}
			default:
				if id != by || err != nil {
					t.Errorf("%s: signed by %q, %v, want %q", p.Location, id, err, by)
				}
			}
		}
	}
}

// sign signs repomd.xml of a repository on disk.
func sign(t *testing.T, dir string, key *rpmtest.Signer) {
	t.Helper()
	at := filepath.Join(dir, "repodata", "repomd.xml")
	raw, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := key.Sign(raw)
	if err != nil {
		t.Fatal(err)
	}
	put(t, at+".asc", sig)
}

// The same by way of a metalink that names the repository, and a file: URL.
func TestRealRepositoryByMetalink(t *testing.T) {
	dir := createrepo(t, "sha256", 1_700_000_000, map[string][]byte{"a.rpm": rpmtest.Build(t, rpmtest.Spec{Name: "a"})})
	newer := createrepo(t, "sha256", 1_800_000_000, nil)
	raw, err := os.ReadFile(filepath.Join(dir, "repodata", "repomd.xml"))
	if err != nil {
		t.Fatal(err)
	}
	o := options(t)
	put(t, filepath.Join(o.Dir, "metalink"), metalinkOf([]string{served(t, newer), "file://" + dir, served(t, dir)}, hashOf("sha256", raw)))
	r, err := New(o).Open(t.Context(), lockfile.Repo{ID: "base", Metalink: "file:metalink"}, "aarch64", repomdAge)
	if err != nil || !bytes.Equal(r.Repomd, raw) || len(r.Skipped) != 1 || len(r.URLs("", "x")) != 2 {
		t.Errorf("%v, %+v", err, r)
	}
}
