package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
)

// PushManifest puts raw under ref, a tag or its own digest. A tag is read back
// and compared: nothing in such a request tells the registry what the bytes
// should be, so a byte that changes on the way would go unseen. When the registry
// has other bytes it is put again, as often as an upload is, unless its answers show that
// this is no accident of the network.
//
// Errors to look for: *UnknownBlobError when something that raw refers to is not
// there, *ConflictError when the name is taken and may not be overwritten,
// *digestio.MismatchError when the registry keeps having something else.
func (r *Registry) PushManifest(ctx context.Context, repo, ref, mediaType string, raw []byte) error {
	p := &manifestPush{r: r, repo: repo, ref: ref, mediaType: mediaType, raw: raw}
	if err := p.run(ctx); err != nil {
		return fmt.Errorf("push manifest %s to %s: %w", ref, r.name(repo), p.advise(advise(err)))
	}
	return nil
}

type manifestPush struct {
	r                    *Registry
	repo, ref, mediaType string
	raw                  []byte
	want                 digest.Digest
}

// advise says what to do where a server does not take the OCI form. It is never
// converted: that would change the digest by which everybody knows the image.
func (p *manifestPush) advise(err error) error {
	a, ok := errors.AsType[*answer](err)
	switch {
	case !ok || !strings.HasPrefix(p.mediaType, "application/vnd.oci."):
		return err
	case a.has("MANIFEST_INVALID", "UNSUPPORTED"), a.Code == http.StatusUnsupportedMediaType:
		return refuse("%w", &advised{err, fmt.Sprintf("the server does not take %s; Nexus does officially from 3.71 on: use that, or a source of the image in Docker's own form", p.mediaType)})
	case a.Code == http.StatusInternalServerError && manifestIsIndex(p.mediaType):
		return refuse("%w", &advised{err, "Nexus before 3.71 may fail so at an index that lists more than plain images: use a newer one, or push without the rest, --arch"})
	}
	return err
}

func manifestIsIndex(mediaType string) bool { return strings.Contains(mediaType, "image.index") }

func (p *manifestPush) run(ctx context.Context) error {
	p.want = digest.FromBytes(p.raw)
	if isDigest(p.ref) {
		d, err := digest.Parse(p.ref)
		if err != nil {
			return err
		}
		if p.want = d.Algorithm().FromBytes(p.raw); p.want != d {
			return p.mismatch(d, p.want, int64(len(p.raw)))
		}
	}
	last, same := "", 0
	for attempt := 1; ; attempt++ {
		err := p.once(ctx)
		if !as[*damagedError](err) && !as[*garbledError](err) && !as[*digestio.MismatchError](err) {
			return err
		}
		if same++; err.Error() != last {
			last, same = err.Error(), 1
		}
		if attempt >= p.r.retry.attempts() || attempt >= garbledAttempts && as[*garbledError](err) || same >= sameAnswers(err) {
			return err
		}
		if attempt > 1 {
			if err := httpx.Sleep(ctx, p.r.retry.wait(attempt-1, 0)); err != nil {
				return err
			}
		}
	}
}

// sameAnswers is how often in a row the same answer has to come before it is taken for the
// server's last word. Other bytes of the same digest twice are no accident of the network.
// That a manifest is invalid some say in the same words whatever they received. That it has
// not the digest that it was given under, or names a blob that it does not name, is never so.
func sameAnswers(err error) int {
	if as[*digestio.MismatchError](err) {
		return 2
	}
	if a, ok := errors.AsType[*answer](err); ok && a.has("MANIFEST_INVALID") {
		return 3
	}
	return math.MaxInt
}

func (p *manifestPush) once(ctx context.Context) error {
	resp, err := p.put(ctx)
	if WriteOnce(err) {
		return p.compare(ctx, err)
	}
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if isDigest(p.ref) && named(resp) == p.want {
		return nil
	}
	return p.confirm(ctx)
}

func (p *manifestPush) put(ctx context.Context) (*http.Response, error) {
	u, err := p.r.manifestURL(p.repo, p.ref)
	if err != nil {
		return nil, err
	}
	resp, err := p.r.doBody(ctx, http.MethodPut, u, http.Header{"Content-Type": {p.mediaType}}, bytes.NewReader(p.raw), push(p.repo))
	if err != nil {
		return nil, err
	}
	err = CheckStatus(resp, http.StatusCreated, http.StatusOK, http.StatusAccepted)
	a, ok := errors.AsType[*answer](err)
	switch {
	case ok && a.has("BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"):
		if slices.ContainsFunc(a.digests(), p.strange) {
			return nil, &damagedError{a}
		}
		return nil, &UnknownBlobError{Digests: a.digests(), Err: a}
	case ok && a.has("MANIFEST_INVALID"):
		// Either it is, and the second answer will be the same, or a byte changed.
		return nil, &damagedError{a}
	}
	return resp, err
}

// strange says that a digest stands nowhere in the manifest: the server has read another.
func (p *manifestPush) strange(d digest.Digest) bool { return !bytes.Contains(p.raw, []byte(d)) }

// confirm reads the manifest back.
func (p *manifestPush) confirm(ctx context.Context) error {
	got, size, err := p.held(ctx)
	if err != nil {
		return fmt.Errorf("read back what was pushed: %w", err)
	}
	if got != p.want {
		return p.mismatch(p.want, got, size)
	}
	return nil
}

// compare finds out what is there that the registry refuses to overwrite.
func (p *manifestPush) compare(ctx context.Context, refusal error) error {
	got, _, err := p.held(ctx)
	if absent(err) {
		// Nexus 3.40 and its generation take a second name for a second write.
		return refuse("%w; nothing has the name %s yet: the registry lets a manifest be written once, whatever its names; "+
			"set the repository's deployment policy to allow redeploy", refusal, p.ref)
	}
	if err != nil {
		return fmt.Errorf("%w; and read what is there: %w", refusal, err)
	}
	if got != p.want {
		return &ConflictError{Repository: p.r.name(p.repo), Reference: p.ref, Want: p.want, Got: got}
	}
	return nil
}

// held hashes what the registry has under the reference, by the algorithm of want.
func (p *manifestPush) held(ctx context.Context) (digest.Digest, int64, error) {
	raw, _, err := p.r.manifest(ctx, p.repo, p.ref, max(maxResolve, int64(len(p.raw))))
	if mm, ok := errors.AsType[*digestio.MismatchError](err); ok {
		return mm.Got, mm.GotBytes, nil
	}
	if err != nil {
		return "", 0, err
	}
	return p.want.Algorithm().FromBytes(raw), int64(len(raw)), nil
}

func (p *manifestPush) mismatch(want, got digest.Digest, size int64) error {
	return &digestio.MismatchError{
		Want: ocispec.Descriptor{MediaType: p.mediaType, Digest: want, Size: int64(len(p.raw))},
		Got:  got, GotBytes: size,
	}
}
