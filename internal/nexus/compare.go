package nexus

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is what the server keeps; the content is known by its SHA-256
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
)

// What is at a path, seen from the content that is to go there.
const (
	absent = iota
	equal
	different
)

// smallContent is the size up to which reading content, our own or what the server holds,
// is cheaper for both sides than a query of the search index, which also has the narrowest
// bound of requests in flight.
const smallContent = 1 << 20

// A holding is what the server holds.
type holding struct {
	state int
	is    string // what different content is
}

// compare finds out by the cheapest sound way whether the content is there: its
// size; a SHA-256 that the server keeps; the SHA-1 that it names, against that of
// our own bytes; and where it names none, by download.
func (p *put) compare(ctx context.Context) (holding, error) {
	if err := p.desc.Digest.Validate(); err != nil {
		return holding{}, fmt.Errorf("descriptor %q: %w", p.desc.Digest, err)
	}
	a, err := p.n.head(ctx, p.repo, p.path)
	if _, nowhere := errors.AsType[*NoRepositoryError](err); !nowhere && httpx.StatusCode(err) == http.StatusNotFound {
		return holding{state: absent}, nil
	}
	if err != nil {
		return holding{}, err
	}
	if a.Size >= 0 && a.Size != p.desc.Size {
		return holding{different, fmt.Sprintf("%d bytes", a.Size)}, nil
	}
	if a.Checksums["sha1"] != "" {
		return p.bySums(ctx, a)
	}
	return p.byIndex(ctx, a)
}

// bySums is for servers that name the SHA-1 (3.71 and later); they keep the
// SHA-256 too, and asking for that saves reading our own content.
func (p *put) bySums(ctx context.Context, a Asset) (holding, error) {
	if p.desc.Size > smallContent {
		algorithm, want := p.desc.Digest.Algorithm().String(), p.desc.Digest.Encoded()
		sums, err := p.n.search(ctx, p.repo, p.path, algorithm, want, a)
		if err != nil {
			return holding{}, err
		}
		if sums[algorithm] == want {
			return holding{state: equal}, nil
		}
	}
	own, err := p.ownSHA1(ctx)
	if err != nil {
		return holding{}, err
	}
	return judge("sha1:"+own, "sha1:"+a.Checksums["sha1"]), nil
}

// byIndex is for the OrientDB generation: HEAD names no checksum, but the index
// finds content by it.
func (p *put) byIndex(ctx context.Context, a Asset) (holding, error) {
	if p.desc.Size > smallContent && !p.n.noSearch.Load() && !a.Modified.IsZero() {
		own, err := p.ownSHA1(ctx)
		if err != nil {
			return holding{}, err
		}
		sums, err := p.n.search(ctx, p.repo, p.path, "sha1", own, a)
		if err != nil {
			return holding{}, err
		}
		if sums["sha1"] == own {
			return holding{state: equal}, nil
		}
	}
	got, _, err := p.download(ctx)
	if err != nil {
		return holding{}, fmt.Errorf("read what is there: %w", err)
	}
	return judge(p.desc.Digest.String(), got.String()), nil
}

func judge(want, got string) holding {
	if want == got {
		return holding{state: equal}
	}
	return holding{different, got}
}

// ownSHA1 reads and verifies our own content.
func (p *put) ownSHA1(ctx context.Context) (string, error) {
	rc, err := p.open(ctx)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", p.desc.Digest, err)
	}
	h := sha1.New() //nolint:gosec // as above
	_, err = io.Copy(h, digestio.NewReader(rc, p.desc))
	if err = errors.Join(err, rc.Close()); err != nil {
		return "", fmt.Errorf("read %s: %w", p.desc.Digest, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// download reads what the server gives back and hashes it, to one byte more than
// it should have.
func (p *put) download(ctx context.Context) (digest.Digest, int64, error) {
	rc, _, err := p.n.Open(ctx, p.repo, p.path)
	if err != nil {
		return "", 0, err
	}
	defer rc.Close()
	h := p.desc.Digest.Algorithm().Digester()
	n, err := io.Copy(h.Hash(), io.LimitReader(rc, p.desc.Size+1))
	if err != nil {
		return "", n, err
	}
	return h.Digest(), n, nil
}
