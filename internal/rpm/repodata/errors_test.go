package repodata_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpm/repodata"
)

// A moving repository is another one each time somebody opens repomd.xml.
type moving struct {
	sites []site
	begun int // how often repomd.xml was opened
}

func (m *moving) open(_ context.Context, path string) (io.ReadCloser, error) {
	if strings.HasSuffix(path, rpm.RepomdPath) {
		m.begun++
	}
	s := m.sites[min(m.begun, len(m.sites))-1]
	if data, ok := s[path]; ok {
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	return nil, errdef.ErrNotFound
}

// without returns the site without one file.
func (s site) without(path string) site {
	rest := maps.Clone(s)
	delete(rest, path)
	return rest
}

// with returns the site with another content of the primary list.
func (s site) with(primary string) site {
	rest := maps.Clone(s)
	rest["repodata/p.xml"] = []byte(primary)
	return rest
}

// TestReadPrimaryOfAMovingRepository: a list that is replaced while it is read is read once
// more, and no oftener.
func TestReadPrimaryOfAMovingRepository(t *testing.T) {
	whole := siteOf([]byte(smallPrimary))
	other := "<metadata></metadata>"
	for _, tt := range []struct {
		name  string
		sites []site
		begun int
		fails string // empty: the list is read
	}{
		{"still", []site{whole}, 1, ""},
		{"replaced once", []site{whole.with(other), whole}, 2, ""},
		{"gone once", []site{whole.without("repodata/p.xml"), whole}, 2, ""},
		{"always another", []site{whole.with(other), whole.with(other), whole}, 2, "it is not the file that repomd.xml names"},
		{"gone", []site{whole.without("repodata/p.xml")}, 2, "repodata/p.xml: repomd.xml names it, but it is not there"},
		{"replaced, then gone", []site{whole.with(other), whole.without("repodata/p.xml"), whole}, 2, "not there"},
		{"malformed", []site{siteOf([]byte("<html/>")), whole}, 1, `root element "html"`},
		{"repomd malformed", []site{{rpm.RepomdPath: []byte("<html/>")}, whole}, 1, `root element "html"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &moving{sites: tt.sites}
			got, err := repodata.ReadPrimary(t.Context(), m.open)
			if m.begun != tt.begun {
				t.Errorf("repomd.xml was opened %d times, want %d", m.begun, tt.begun)
			}
			if tt.fails == "" && (err != nil || len(got) != 1) {
				t.Errorf("ReadPrimary() = %v, %v", got, err)
			}
			if tt.fails != "" && (got != nil || err == nil || !strings.Contains(err.Error(), tt.fails) || report.Classify(err) != report.ClassUnavailable) {
				t.Errorf("ReadPrimary() = %v, class %d, %v", got, report.Classify(err), err)
			}
		})
	}
}

// TestServedOfAMovingRepository: a list that is gone is no reason to believe another
// directory's, for clients that read repomd.xml would not.
func TestServedOfAMovingRepository(t *testing.T) {
	below := site{"os/" + rpm.RepomdPath: siteOf(nil)[rpm.RepomdPath]}
	maps.Copy(below, siteOf([]byte(smallPrimary))) // and a whole one above
	m := &moving{sites: []site{below}}
	got, err := repodata.Served(t.Context(), m.open, "os")
	if got != nil || errors.Is(err, errdef.ErrNotFound) || report.Classify(err) != report.ClassUnavailable || !strings.Contains(err.Error(), "os/repodata/repomd.xml") {
		t.Errorf("Served() = %v, %v", got, err)
	}
	if m.begun != 2 {
		t.Errorf("repomd.xml was opened %d times", m.begun)
	}
}

// TestExitCodes: what a server sends is its fault, what breaks on the way is not.
func TestExitCodes(t *testing.T) {
	s := siteOf([]byte(smallPrimary))
	_, missing := repodata.Served(t.Context(), (&moving{sites: []site{{}}}).open, "a")
	if !errors.Is(missing, errdef.ErrNotFound) {
		t.Errorf("no metadata: %v", missing)
	}
	for path, data := range s {
		for _, cause := range []error{
			fmt.Errorf("GET: %w", io.ErrUnexpectedEOF), context.Canceled, syscall.EIO,
			report.WithClass(report.ClassRefused, errors.New("forbidden")),
		} {
			open := func(ctx context.Context, p string) (io.ReadCloser, error) {
				if p == path {
					return io.NopCloser(io.MultiReader(bytes.NewReader(data[:20]), iotest.ErrReader(cause))), nil
				}
				return s.open(ctx, p)
			}
			_, err := repodata.ReadPrimary(t.Context(), open)
			if _, malformed := errors.AsType[*repodata.MalformedError](err); malformed || report.Classify(err) != report.Classify(cause) {
				t.Errorf("%s, %v: class %d, want %d: %v", path, cause, report.Classify(err), report.Classify(cause), err)
			}
		}
	}
	for name, s := range map[string]site{
		"repomd":  {rpm.RepomdPath: []byte("<repomd>")},
		"primary": siteOf([]byte("<metadata>")),
	} {
		_, err := repodata.ReadPrimary(t.Context(), s.open)
		if m, ok := errors.AsType[*repodata.MalformedError](err); !ok || s[m.Path] == nil || report.Classify(err) != report.ClassUnavailable {
			t.Errorf("%s cut: class %d, %v", name, report.Classify(err), err)
		}
	}
}
