package faults

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/bundletest"
	"airbundle/internal/digestio"
	"airbundle/internal/helmtest"
	"airbundle/internal/httpx"
	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpmtest"
	"airbundle/internal/source/chart"
	"airbundle/internal/source/image"
	"airbundle/internal/source/web"
	"airbundle/internal/source/yum"
	"airbundle/manifest"
	"airbundle/test/faultproxy"
	"airbundle/test/origin"
)

// wishes asks for something of every kind of source: of a repository whose metadata is
// signed and of one where it is not, of files with a list of checksums and without.
const wishes = `apiVersion: airbundle/v1
kind: Request
name: storm
arches: [x86_64, aarch64]
images:
  - source: HOST/team/app:1.0
repos:
  - {id: base, baseurl: "http://HOST/base/$basearch", gpgkeys: ["http://HOST/KEY"], repo_gpgcheck: true}
  - {id: more, baseurl: "http://HOST/more/$basearch", gpgkeys: ["http://HOST/KEY"]}
packages:
  - {into: os, install: [app, extra]}
files:
  - {path: "a/{goarch}.tar", url: "http://HOST/files/{goarch}.tar", checksums: "http://HOST/files/SHA256SUMS"}
  - {path: b.tar, url: "http://HOST/files/b.tar"}
charts:
  - {name: web, version: 1.2.3, repo: "http://HOST/charts"}
`

// connected is the server of all that wishes asks for.
func connected(t *testing.T) string {
	t.Helper()
	images, content := origin.Start(t, bundletest.New(t), origin.Options{}), map[string][]byte{}
	content["/KEY"] = []byte(rpmtest.Key(t).Armor)
	addRepository(t, content, "/base", "app", "lib")
	addRepository(t, content, "/more", "extra", "")
	var sums strings.Builder
	for i, name := range []string{"amd64.tar", "arm64.tar", "b.tar"} {
		raw := bytes.Repeat([]byte{byte('a' + i), '\n'}, 40<<10)
		content["/files/"+name] = raw
		fmt.Fprintf(&sums, "%s  %s\n", digest.FromBytes(raw).Encoded(), name)
	}
	content["/files/SHA256SUMS"] = []byte(sums.String())
	web := helmtest.Chart(t, "web", "1.2.3", nil)
	content["/charts/web-1.2.3.tgz"] = web
	content["/charts/index.yaml"] = fmt.Appendf(nil, `apiVersion: v1
entries:
  web:
    - {apiVersion: v2, name: web, version: 1.2.3, digest: %s, urls: [web-1.2.3.tgz]}
`, digest.FromBytes(web).Encoded())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, ok := content[r.URL.Path]
		switch {
		case strings.HasPrefix(r.URL.Path, "/v2/"):
			registryLike(images, w, r)
		case ok:
			http.ServeContent(w, r, "", time.Unix(1e9, 0), bytes.NewReader(raw))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// registryLike names the digest of a manifest, as registries do.
func registryLike(images http.Handler, w http.ResponseWriter, r *http.Request) {
	a := httptest.NewRecorder()
	images.ServeHTTP(a, r)
	maps.Copy(w.Header(), a.Header())
	if a.Code == http.StatusOK && strings.Contains(r.URL.Path, "/manifests/") {
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(a.Body.Bytes()).String())
	}
	w.WriteHeader(a.Code)
	_, _ = w.Write(a.Body.Bytes()) // the client may have gone
}

// addRepository adds a repository with a package, for each arch, that may require another.
func addRepository(t *testing.T, content map[string][]byte, at, name, requires string) {
	t.Helper()
	for _, arch := range []string{"x86_64", "aarch64"} {
		specs := []rpmtest.Spec{{Name: name, Version: "1.0", Arch: arch, Key: rpmtest.Key(t)}}
		if requires != "" {
			specs[0].Requires = []string{requires}
			specs = append(specs, rpmtest.Spec{Name: requires, Version: "2.0", Arch: arch, Key: rpmtest.Key(t)})
		}
		var entries []createrepo.Entry
		for _, s := range specs {
			raw := rpmtest.Build(t, s)
			p, err := rpm.Read(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			content[at+"/"+arch+"/"+s.FileName()] = raw
			entries = append(entries, createrepo.Entry{Package: p, Location: s.FileName(), Digest: digest.FromBytes(raw), Size: int64(len(raw)), Time: 1})
		}
		set, err := createrepo.Write(entries, createrepo.Slices{})
		if err != nil {
			t.Fatal(err)
		}
		sig, err := rpmtest.Key(t).Sign(set.Repomd)
		if err != nil {
			t.Fatal(err)
		}
		set.Files[rpm.RepomdPath], set.Files[rpm.SignaturePath] = set.Repomd, sig
		for path, raw := range set.Files {
			content[at+"/"+arch+"/"+path] = raw
		}
	}
}

// resolve is what bundler lock does after it has read its flags, without a cache.
func resolve(t *testing.T, host string) (string, error) {
	t.Helper()
	req, err := lockfile.DecodeRequest("storm.yaml", []byte(strings.ReplaceAll(wishes, "HOST", host)))
	if err != nil {
		t.Fatal(err)
	}
	c := impatient(t, httpx.Options{PerHost: jobs})
	images := image.New(image.Options{Transport: c.Transport, PlainHTTP: []string{host}})
	files := web.New(c, "")
	res, err := lock.Resolve(t.Context(), req, lock.Sources{
		Images: lockImages{images}, Files: files, Charts: chart.New(chart.Options{Files: files, Registry: images}),
		Repositories: lockRepositories{yum.New(yum.Options{Client: c})},
	}, lock.Options{Jobs: jobs, File: "storm.yaml", Side: "storm.d"})
	if err != nil {
		return "", err
	}
	raw, err := res.Lock.Encode()
	for _, name := range slices.Sorted(maps.Keys(res.Files)) {
		raw = fmt.Appendf(raw, "--- %s\n%s", name, res.Files[name])
	}
	return string(raw), err
}

type lockImages struct{ *image.Source }

// Config implements lock.Images.
func (s lockImages) Config(ctx context.Context, source string, desc ocispec.Descriptor) ([]byte, error) {
	rc, err := s.Blob(ctx, source, desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return digestio.ReadAll(rc, desc, manifest.MaxImageJSON)
}

type lockRepositories struct{ *yum.Source }

// Open implements lock.Repositories.
func (s lockRepositories) Open(ctx context.Context, r lockfile.Repo, arch string, age func([]byte) (int64, error)) (*lock.Repository, error) {
	o, err := s.Source.Open(ctx, r, arch, age)
	if err != nil {
		return nil, err
	}
	return &lock.Repository{Repomd: o.Repomd, Keys: o.Keys, Metadata: o, Packages: o}, nil
}

// TestStormsAtALock: a lock that is made in a storm is that of a quiet network, byte for
// byte, or there is none and the error says what of, and where.
func TestStormsAtALock(t *testing.T) {
	server := connected(t)
	typos := []storm{{"bit down", faultproxy.BitDown, true}, {"letter down", faultproxy.LetterDown, true}}
	for _, st := range append(typos, storms...) {
		t.Run(st.name, func(t *testing.T) {
			t.Parallel()
			p := faultproxy.Start(t, server, 0)
			quiet, err := resolve(t, p.Host)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"os/aarch64", "lib-2.0", "extra-1.0", "web-1.2.3.tgz", "linux/arm64", "b.tar"} {
				if !strings.Contains(quiet, want) {
					t.Fatalf("no %s in the lock:\n%s", want, quiet)
				}
			}
			var sum tally
			for seed := range seeds(1, 40) {
				stormyLock(t, p, st, share, uint64(seed), quiet, &sum)
			}
			for seed := range seeds(2, 200) {
				if st.wrong { // so many strikes hide what a single one does
					stormyLock(t, p, st, few, uint64(seed), quiet, &sum)
				}
			}
			t.Logf("%s at a lock: %d of %d complete, %d ended honestly", st.name, sum.complete, sum.runs, sum.honest)
			if !st.wrong && sum.complete*100 < sum.runs*95 {
				t.Errorf("%d of %d complete, want 95%%", sum.complete, sum.runs)
			}
		})
	}
}

// few is the part of the requests that is struck where one strike is enough.
const few = 0.04

func stormyLock(t *testing.T, p *faultproxy.Proxy, st storm, part float64, seed uint64, quiet string, sum *tally) {
	t.Helper()
	p.Set(seed, faultproxy.Rule{Probability: part, Do: st.do})
	got, err := resolve(t, p.Host)
	struck := p.Struck()
	p.Set(seed)
	sum.runs++
	switch {
	case err == nil && got == quiet:
		sum.complete++
	case err == nil:
		t.Errorf("seed %d, %d strikes: a lie, the lock is another one:\n%s", seed, struck, firstDifference(quiet, got))
	default:
		sum.honest++
		t.Logf("seed %d, %d strikes: %.400v", seed, struck, err)
		// A package that no repository has any more, or a signature that is none, is how an
		// operator sees metadata that was changed on its way.
		if code := report.Classify(err); !slices.Contains([]report.Class{report.ClassContent, report.ClassTrust, report.ClassUnavailable, report.ClassRefused}, code) {
			t.Errorf("seed %d: class %d, %v", seed, code, err)
		}
		for line := range strings.Lines(err.Error()) {
			if !wishLine.MatchString(line) {
				t.Errorf("seed %d: no wish is named: %s", seed, line)
			}
		}
	}
}

var wishLine = regexp.MustCompile(`^storm\.yaml:[0-9]+: (image|repo|packages?|file|chart) `)

// firstDifference shows the first line in which two texts differ.
func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is\n%s\nnot\n%s", i+1, b[i], a[i])
		}
	}
	return fmt.Sprintf("%d lines, not %d", len(b), len(a))
}
