package interchange

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

func request() *lockfile.Request {
	return &lockfile.Request{
		Name: "r", Arches: []string{"x86_64"},
		Images: []lockfile.ImageWish{{Source: "busybox:1", Groups: []string{"g"}}, {Source: "quay.io/a:1@sha256:" + hexA}},
		Files:  []lockfile.FileWish{{Path: "f", URL: "https://h/f"}},
		Charts: []lockfile.ChartWish{{Name: "c", Version: "1.0.0", Repo: "https://charts"}},
		Repos:  []lockfile.Repo{{ID: "base", BaseURL: "https://h/base"}},
	}
}

func TestInto(t *testing.T) {
	rpm := PinnedRPM{Name: "a", EVR: "1-1", Arch: "noarch", BaseArch: "x86_64", RepoID: "base", Size: 1, Checksum: "sha256:" + hexA, Line: 9}
	other := func(change func(*PinnedRPM)) PinnedRPM { p := rpm; change(&p); return p }
	for _, c := range []struct {
		name string
		in   Imported
		want func(*lockfile.Request)
		err  string
		note string
	}{
		{name: "nothing", want: func(*lockfile.Request) {}},
		{name: "the same", in: Imported{Images: []lockfile.ImageWish{{Source: "docker.io/library/busybox:1", Publish: []string{"b:1"}}, {Source: "quay.io/a:1"}},
			Files: []lockfile.FileWish{{Path: "f", URL: "https://h/f"}}, Charts: []lockfile.ChartWish{{Name: "c", Version: "1.0.0", Repo: "https://charts/"}}},
			want: func(r *lockfile.Request) { r.Images[0].Publish = []string{"b:1"} }},
		{name: "new", in: Imported{Images: []lockfile.ImageWish{{Source: "x:2"}}, Files: []lockfile.FileWish{{Path: "g", URL: "https://h/g"}}},
			want: func(r *lockfile.Request) {
				r.Images = append(r.Images, lockfile.ImageWish{Source: "x:2"})
				r.Files = append(r.Files, lockfile.FileWish{Path: "g", URL: "https://h/g"})
			}},
		{name: "a pin for a tag", in: Imported{Images: []lockfile.ImageWish{{Source: "busybox:1@sha256:" + hexB}}},
			want: func(r *lockfile.Request) { r.Images[0].Source = "busybox:1@sha256:" + hexB }},
		{name: "two pins", in: Imported{Images: []lockfile.ImageWish{{Source: "quay.io/a:1@sha256:" + hexB, Line: 4}, {Source: "new:1"}}},
			err: "in:4: image quay.io/a:1 is pinned to sha256:" + hexB + " here and to sha256:" + hexA},
		{name: "two URLs", in: Imported{Files: []lockfile.FileWish{{Path: "f", URL: "https://other/f", Line: 3}}}, err: "in:3: file f comes from another URL"},
		{name: "two chart repositories", in: Imported{Charts: []lockfile.ChartWish{{Name: "c", Version: "1.0.0", Repo: "https://other", Line: 2}}}, err: "in:2: chart c 1.0.0 comes from another"},
		{name: "published twice", in: Imported{Images: []lockfile.ImageWish{{Source: "x:1", Publish: []string{"p:1"}}, {Source: "y:1", Publish: []string{"p:1"}}}}, err: "published name \"p:1\""},
		{name: "packages", in: Imported{RPMs: []PinnedRPM{rpm, rpm, other(func(p *PinnedRPM) { p.BaseArch = "aarch64" }), other(func(p *PinnedRPM) { p.Name = "b" })}},
			want: func(r *lockfile.Request) {
				r.Packages = []lockfile.PackageSet{{Into: "imported", Arches: []string{"x86_64"}, From: []string{"base"}, Install: []string{"a-1-1.noarch", "b-1-1.noarch"}, Note: "from in"}}
			}, note: "in: 1 packages for aarch64 are left out"},
		{name: "unknown repository", in: Imported{RPMs: []PinnedRPM{other(func(p *PinnedRPM) { p.RepoID = "extras" })}}, err: "in:9: package a-1-1.noarch is from the repository \"extras\""},
		{name: "two checksums", in: Imported{RPMs: []PinnedRPM{rpm, other(func(p *PinnedRPM) { p.Checksum = "sha256:" + hexB })}}, err: "another checksum or size than at line 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.File = "in"
			got, want := request(), request()
			err := c.in.Into(got)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || report.Classify(err) != report.ClassUsage {
					t.Errorf("error %v, want %q", err, c.err)
				}
			} else if err != nil {
				t.Fatal(err)
			} else {
				c.want(want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if c.note != "" && !slices.ContainsFunc(c.in.Notes, func(n string) bool { return strings.HasPrefix(n, c.note) }) {
				t.Errorf("notes %q, want %q", c.in.Notes, c.note)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	in := Imported{File: "in", RPMs: []PinnedRPM{
		{Name: "a", EVR: "1-1", Arch: "noarch", BaseArch: "x86_64", Size: 1, Checksum: "sha256:" + hexA, Line: 1},
		{Name: "b", EVR: "1-1", Arch: "noarch", BaseArch: "aarch64", Size: 1, Checksum: "sha256:" + hexA, Line: 2},
		{Name: "s", EVR: "1-1", Arch: "noarch", BaseArch: "x86_64", Size: 1, Checksum: "sha1:" + hexA[:40], Line: 3},
	}}
	lock := func(size int64, d string) *lockfile.Lock {
		return &lockfile.Lock{Arches: []string{"x86_64"}, RPMs: []lockfile.RPM{
			{Name: "a", EVR: "1-1", Arch: "noarch", BaseArch: "x86_64", Size: size, Digest: digest.Digest("sha256:" + d)},
			{Name: "s", EVR: "1-1", Arch: "noarch", BaseArch: "x86_64", Size: 1, Digest: digest.Digest("sha256:" + hexB)},
		}}
	}
	for _, c := range []struct {
		name string
		lock *lockfile.Lock
		want string
	}{
		{"equal", lock(1, hexA), ""},
		{"size", lock(2, hexA), "in:1: package a-1-1.noarch has 2 bytes in the lock, 1 here"},
		{"digest", lock(1, hexB), "in:1: package a-1-1.noarch is sha256:" + hexB + " in the lock"},
		{"absent", &lockfile.Lock{Arches: []string{"x86_64"}}, "in:1: package a-1-1.noarch is not in the lock\nin:3: package s-1-1.noarch"},
	} {
		err := in.Check(c.lock)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want) || report.Classify(err) != report.ClassContent):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
