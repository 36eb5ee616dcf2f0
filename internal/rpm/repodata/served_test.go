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
