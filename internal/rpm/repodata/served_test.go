package repodata_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

func TestServed(t *testing.T) {
	raw := rpmtest.Build(t, rpmtest.Spec{Name: "hello"})
	p, err := rpm.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ base, location, dir, want string }{
		{"os/x86_64", "hello.rpm", "os/x86_64", "os/x86_64/hello.rpm"},
		{"", "os/x86_64/hello.rpm", "os/x86_64", "os/x86_64/hello.rpm"},
		{"os", "x86_64/hello.rpm", "os/x86_64", "os/x86_64/hello.rpm"},
		{"", "hello.rpm", "", "hello.rpm"},
	} {
		set, err := createrepo.Write([]createrepo.Entry{{Package: p, Location: c.location, Digest: digest.FromBytes(raw), Size: int64(len(raw))}}, createrepo.Slices{})
		if err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{path.Join(c.base, rpm.RepomdPath): set.Repomd}
		for name, data := range set.Files {
			files[path.Join(c.base, name)] = data
		}
		got, err := repodata.Served(t.Context(), openFiles(files), c.dir)
		if err != nil || len(got) != 1 || got[c.want] != digest.FromBytes(raw) {
			t.Errorf("metadata in %q, asked for %q: %v, %v", c.base, c.dir, got, err)
		}
	}
}

func openFiles(files map[string][]byte) repodata.OpenFunc {
	return func(_ context.Context, name string) (io.ReadCloser, error) {
		if data, ok := files[name]; ok {
			return io.NopCloser(bytes.NewReader(data)), nil
		}
		return nil, errdef.ErrNotFound
	}
}

// Only what is not found leads further up: any other answer is an error.
func TestServedErrors(t *testing.T) {
	if _, err := repodata.Served(t.Context(), openFiles(nil), "a/b/c"); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("no metadata anywhere: %v", err)
	}
	broken := errors.New("503")
	asked := []string{}
	_, err := repodata.Served(t.Context(), func(_ context.Context, name string) (io.ReadCloser, error) {
		asked = append(asked, name)
		if strings.HasPrefix(name, "a/b/") {
			return nil, errdef.ErrNotFound
		}
		return nil, broken
	}, "a/b")
	if !errors.Is(err, broken) || len(asked) != 2 {
		t.Errorf("asked %q: %v", asked, err)
	}
}

// TestList: metadata that is still the same is not read again, other is, and what was
// replaced between repomd.xml and the list is read once more.
func TestList(t *testing.T) {
	write := func(names ...string) *createrepo.Set {
		var entries []createrepo.Entry
		for _, name := range names {
			raw := rpmtest.Build(t, rpmtest.Spec{Name: name})
			p, err := rpm.Read(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, createrepo.Entry{Package: p, Location: name + ".rpm", Digest: digest.FromBytes(raw), Size: int64(len(raw))})
		}
		set, err := createrepo.Write(entries, createrepo.Slices{})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	old, renewed := write("hello"), write("hello", "world")
	files := map[string][]byte{}
	serve := func(set *createrepo.Set) {
		clear(files)
		files["os/"+rpm.RepomdPath] = set.Repomd
		for name, data := range set.Files {
			files["os/"+name] = data
		}
	}
	var asked []string
	open := func(ctx context.Context, name string) (io.ReadCloser, error) {
		asked = append(asked, name)
		rc, err := openFiles(files)(ctx, name)
		if len(asked) == 1 && name == "os/"+rpm.RepomdPath && len(files) > 0 {
			serve(renewed) // just after the first file was opened
		}
		return rc, err
	}
	serve(old)
	first, err := repodata.List(t.Context(), open, "os", nil)
	if err != nil || len(first.Packages) != 2 || first.Base != "os" || first.Repomd != digest.FromBytes(renewed.Repomd) || len(asked) != 4 {
		t.Fatalf("%+v, %v after %q", first, err, asked)
	}
	asked = []string{"-"}
	peek, err := repodata.Peek(t.Context(), open, "os/x86_64")
	if err != nil || peek.Base != "os" || peek.Repomd != first.Repomd || peek.Revision != first.Revision || len(asked) != 3 {
		t.Errorf("peek: %+v, %v after %q", peek, err, asked)
	}
	asked = []string{"-"}
	again, err := repodata.List(t.Context(), open, "os", first)
	if err != nil || again != first || len(asked) != 2 {
		t.Errorf("the same: %+v, %v after %q", again, err, asked)
	}
	serve(old)
	other, err := repodata.List(t.Context(), open, "os", first)
	if err != nil || other == first || len(other.Packages) != 1 {
		t.Errorf("another: %+v, %v", other, err)
	}
	clear(files)
	if got, err := repodata.List(t.Context(), open, "os", first); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("gone: %+v, %v", got, err)
	}
}
