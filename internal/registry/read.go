package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
)

// maxResolve bounds a manifest that is read only to learn its digest.
const maxResolve = 4 << 20

const contentDigest = "Docker-Content-Digest"

// accept names every manifest type: a registry that misses one answers with a
// converted manifest or with 404.
var accept = http.Header{"Accept": {
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.oci.artifact.manifest.v1+json",
}}

// Resolve asks what a tag or digest is. It reads the manifest itself where HEAD
// does not work or does not tell. The error is errdef.ErrNotFound only on 404.
func (r *Registry) Resolve(ctx context.Context, repo, ref string) (ocispec.Descriptor, error) {
	u, err := r.manifestURL(repo, ref)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	// Nexus 3.96.0 and .1 answer HEAD of a manifest with 500; GET works, so HEAD is not repeated.
	head := httpx.FinalStatus(ctx, http.StatusInternalServerError)
	resp, err := r.do(head, http.MethodHead, u, accept, pull(repo))
	if err == nil {
		err = CheckStatus(resp, http.StatusOK)
	}
	switch {
	case err == nil:
		_ = resp.Body.Close()
		d := ocispec.Descriptor{MediaType: mediaType(resp), Digest: named(resp), Size: resp.ContentLength}
		if d.Digest != "" && d.Size >= 0 && d.MediaType != "" && (d.Digest.String() == ref || !isDigest(ref)) {
			return d, nil
		}
	case absent(err), !worthGet(err):
		return ocispec.Descriptor{}, r.failed("resolve", repo, ref, err)
	}
	_, d, err := r.Manifest(ctx, repo, ref, maxResolve)
	return d, err
}

// Manifest reads a manifest of at most limit bytes. The descriptor is made from
// the bytes; when ref is a digest they are those of the digest, and otherwise the
// error is a *digestio.MismatchError.
func (r *Registry) Manifest(ctx context.Context, repo, ref string, limit int64) ([]byte, ocispec.Descriptor, error) {
	raw, d, err := r.manifest(ctx, repo, ref, limit)
	if err != nil {
		return nil, ocispec.Descriptor{}, r.failed("read manifest", repo, ref, err)
	}
	return raw, d, nil
}

func (r *Registry) manifest(ctx context.Context, repo, ref string, limit int64) ([]byte, ocispec.Descriptor, error) {
	var d ocispec.Descriptor
	u, err := r.manifestURL(repo, ref)
	if err != nil {
		return nil, d, err
	}
	resp, err := r.do(ctx, http.MethodGet, u, accept, pull(repo))
	if err != nil {
		return nil, d, err
	}
	if err := CheckStatus(resp, http.StatusOK); err != nil {
		return nil, d, err
	}
	raw, err := ReadBody(resp, limit)
	if err != nil {
		return nil, d, err
	}
	d = ocispec.Descriptor{MediaType: mediaType(resp), Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	var body struct{ MediaType string }
	if json.Unmarshal(raw, &body) == nil && body.MediaType != "" {
		d.MediaType = body.MediaType
	}
	if want, err := digest.Parse(ref); err == nil {
		d.Digest = want.Algorithm().FromBytes(raw)
		if d.Digest != want {
			return nil, d, &digestio.MismatchError{
				Want: ocispec.Descriptor{Digest: want, Size: d.Size}, Got: d.Digest, GotBytes: d.Size}
		}
	}
	return raw, d, nil
}

// StatBlob asks for the size of a blob, -1 if the registry does not tell. The
// error is errdef.ErrNotFound only on 404.
func (r *Registry) StatBlob(ctx context.Context, repo string, d digest.Digest) (int64, error) {
	size, _, err := r.stat(ctx, repo, d, pull(repo))
	if err == nil {
		err = r.vouched(ctx, repo, d, pull(repo))
	}
	if err != nil {
		return 0, r.failed("look for", repo, d.String(), err)
	}
	return size, nil
}

// vouched asks the witness, once, for a blob that is here: without it this way leads to
// another registry.
func (r *Registry) vouched(ctx context.Context, repo string, d digest.Digest, scope string) error {
	if r.witness == nil || r.seen.Load() {
		return nil
	}
	_, _, err := r.witness.stat(ctx, repo, d, scope)
	if absent(err) {
		if _, err := r.witness.Speaks(ctx); err == nil {
			return refuse("%s has blob %s, and %s, which is to be the same registry, does not: the port leads elsewhere", r.base.Host, d, httpx.RedactURL(r.witness.base))
		}
	}
	if ctx.Err() == nil {
		r.seen.Store(true)
	}
	return nil
}

// stat also returns the digest that the registry names, if any.
func (r *Registry) stat(ctx context.Context, repo string, d digest.Digest, scope string) (int64, digest.Digest, error) {
	if err := d.Validate(); err != nil {
		return 0, "", fmt.Errorf("blob %q: %w", d, err)
	}
	u, err := r.url(repo, "blobs", d.String())
	if err != nil {
		return 0, "", err
	}
	resp, err := r.do(ctx, http.MethodHead, u, nil, scope)
	if err == nil {
		err = CheckStatus(resp, http.StatusOK)
	}
	if err != nil && !absent(err) && worthGet(err) {
		// One byte tells as much as HEAD, without the download that a GET begins.
		resp, err = r.do(ctx, http.MethodGet, u, http.Header{"Range": {"bytes=0-0"}}, scope)
		if err == nil {
			err = CheckStatus(resp, http.StatusOK, http.StatusPartialContent)
		}
	}
	if err != nil {
		return 0, "", err
	}
	_ = resp.Body.Close()
	return length(resp), named(resp), nil
}

// OpenBlob opens a blob whose content is verified as it is read.
func (r *Registry) OpenBlob(ctx context.Context, repo string, d ocispec.Descriptor) (io.ReadCloser, error) {
	rc, err := r.open(ctx, repo, d)
	if err != nil {
		return nil, r.failed("read", repo, d.Digest.String(), err)
	}
	return rc, nil
}

func (r *Registry) open(ctx context.Context, repo string, d ocispec.Descriptor) (io.ReadCloser, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, err
	}
	u, err := r.url(repo, "blobs", d.Digest.String())
	if err != nil {
		return nil, err
	}
	resp, err := r.do(ctx, http.MethodGet, u, nil, pull(repo))
	if err != nil {
		return nil, err
	}
	if err := CheckStatus(resp, http.StatusOK); err != nil {
		return nil, err
	}
	if resp.ContentLength >= 0 && resp.ContentLength != d.Size {
		_ = resp.Body.Close()
		return nil, &digestio.MismatchError{Want: d, GotBytes: resp.ContentLength}
	}
	return struct {
		io.Reader
		io.Closer
	}{digestio.NewReader(resp.Body, d), resp.Body}, nil
}

// failed says what was asked of which repository; 404 becomes errdef.ErrNotFound.
func (r *Registry) failed(doing, repo, what string, err error) error {
	if absent(err) {
		err = &NotFoundError{err}
	}
	return fmt.Errorf("%s %s in %s: %w", doing, what, r.name(repo), err)
}

// worthGet says whether a GET may succeed where HEAD failed: servers and proxies
// exist that break HEAD alone. A refused login is refused for both.
func worthGet(err error) bool {
	se, ok := errors.AsType[*httpx.StatusError](err)
	return ok && se.Code != http.StatusUnauthorized && se.Code != http.StatusTooManyRequests && !as[*refusedError](err)
}

// named is the digest that an answer names; a malformed one counts as none.
func named(resp *http.Response) digest.Digest {
	d, err := digest.Parse(resp.Header.Get(contentDigest))
	if err != nil {
		return ""
	}
	return d
}

// length is the size of the whole content, also of a partial answer.
func length(resp *http.Response) int64 {
	if resp.StatusCode != http.StatusPartialContent {
		return resp.ContentLength
	}
	_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
	n, err := strconv.ParseInt(total, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func mediaType(resp *http.Response) string {
	m, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return m
}

func isDigest(ref string) bool { return strings.Contains(ref, ":") }
