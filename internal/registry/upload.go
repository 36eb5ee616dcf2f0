package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
)

// PushBlob makes the blob d present in repo: it asks whether it is there, then
// tries to mount it from each of the repositories in from, then uploads what open
// gives. It tells how (Present, Mounted, Sent) and how many bytes of bodies were
// sent. It returns nil only when the registry names the digest of d, or gives
// its content back.
//
// Pushing one digest into one repository twice at the same time does no harm, but
// costs; callers avoid it.
func (r *Registry) PushBlob(ctx context.Context, repo string, d ocispec.Descriptor, from []string,
	open func(context.Context) (io.ReadCloser, error),
) (sent int64, how string, err error) {
	u := &upload{r: r, repo: repo, desc: d}
	defer func() {
		if err == nil {
			err = r.vouched(ctx, repo, d.Digest, push(repo))
		}
		if err != nil {
			err = fmt.Errorf("push blob %s to %s: %w", d.Digest, r.name(repo), advise(err))
		}
	}()
	there, err := u.there(ctx)
	if err != nil {
		return 0, "", err
	}
	if there {
		return 0, Present, nil
	}
	mounted, err := u.mount(ctx, from)
	if err != nil {
		return 0, "", err
	}
	if mounted {
		return 0, Mounted, nil
	}
	sent, how, err = u.run(ctx, open, u.there)
	if err == nil && u.torn {
		err = u.mended(ctx)
	}
	return sent, how, err
}

// mended asks again for a blob of which the registry had a torn copy: some take an upload,
// name its digest, and keep the file that they have.
func (u *upload) mended(ctx context.Context) error {
	size, _, err := u.r.stat(ctx, u.repo, u.desc.Digest, push(u.repo))
	if err != nil {
		return err
	}
	if size >= 0 && size != u.desc.Size {
		return &tornError{&digestio.MismatchError{Want: u.desc, GotBytes: size}}
	}
	return nil
}

// UploadBlob sends the blob whatever the registry says of it: for the registry
// that claims a blob, and then does not know it when a manifest refers to it.
func (r *Registry) UploadBlob(ctx context.Context, repo string, d ocispec.Descriptor,
	open func(context.Context) (io.ReadCloser, error),
) (sent int64, err error) {
	u := &upload{r: r, repo: repo, desc: d}
	sent, _, err = u.run(ctx, open, nil)
	if err != nil {
		return sent, fmt.Errorf("upload blob %s to %s: %w", d.Digest, r.name(repo), advise(err))
	}
	return sent, nil
}

// An upload is one blob on its way into one repository.
type upload struct {
	r       *Registry
	repo    string
	desc    ocispec.Descriptor
	session *url.URL // opened and not used yet
	how     string
	torn    bool // the registry has it under its digest, with another size
}

// there asks whether the registry has the blob: 200 under its digest, and neither
// the digest nor the size that it names is another one.
func (u *upload) there(ctx context.Context) (bool, error) {
	size, named, err := u.r.stat(ctx, u.repo, u.desc.Digest, push(u.repo))
	if absent(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if size >= 0 && size != u.desc.Size {
		u.torn = true
		return false, nil
	}
	return named == u.desc.Digest || named == "" && size >= 0, nil
}

// mount tries to take the blob from other repositories. A registry that will not
// opens an upload session instead, which is kept.
func (u *upload) mount(ctx context.Context, from []string) (bool, error) {
	if u.r.singlePost.Load() {
		return false, nil
	}
	for _, other := range from {
		target, err := u.r.url(u.repo, "blobs", "uploads/")
		if err != nil {
			return false, err
		}
		target.RawQuery = url.Values{"mount": {u.desc.Digest.String()}, "from": {other}}.Encode()
		resp, err := u.r.do(ctx, http.MethodPost, target, nil, push(u.repo), pull(other))
		if err == nil {
			err = CheckStatus(resp, http.StatusCreated, http.StatusAccepted)
		}
		if err != nil {
			if fatal(ctx, err) {
				return false, err
			}
			continue // no mount is no reason not to upload
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusCreated {
			return true, u.confirm(ctx, resp)
		}
		if u.session == nil {
			if u.session, err = u.location(resp); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// fatal says that an upload would fail for the same reason.
func fatal(ctx context.Context, err error) bool {
	return ctx.Err() != nil || httpx.StatusCode(err) == http.StatusUnauthorized ||
		errors.Is(err, ErrReadOnly) || as[*refusedError](err)
}

func (u *upload) run(ctx context.Context, open func(context.Context) (io.ReadCloser, error),
	arrived func(context.Context) (bool, error),
) (int64, string, error) {
	u.how = Sent
	t := &Transfer{Desc: u.desc, Open: open, Retry: u.r.retry, Arrived: arrived}
	sent, err := t.Run(ctx, u.once)
	if err != nil {
		return sent, "", err
	}
	return sent, u.how, nil
}

// once makes one attempt with a fresh body and, but for a first one that a
// refused mount has opened, in a fresh session.
func (u *upload) once(ctx context.Context, b *Body) error {
	resp, err := u.send(ctx, b)
	if WriteOnce(err) {
		// Somebody else has it written meanwhile, or it was there all the time.
		if there, herr := u.there(ctx); herr != nil {
			return herr
		} else if there {
			u.how = Present
			return nil
		}
	}
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	return u.confirm(ctx, resp)
}

func (u *upload) send(ctx context.Context, b *Body) (*http.Response, error) {
	session := u.session
	u.session = nil
	if session == nil && u.r.singlePost.Load() {
		return u.post(ctx, b)
	}
	if session == nil {
		var err error
		if session, err = u.begin(ctx); err != nil {
			return nil, err
		}
	}
	// The query holds the registry's state and is passed on untouched.
	session.RawQuery = strings.TrimPrefix(session.RawQuery+"&digest="+url.QueryEscape(u.desc.Digest.String()), "&")
	return u.stream(ctx, b, http.MethodPut, session, http.StatusCreated, http.StatusNoContent)
}

// begin opens an upload session. One whose answer is lost is never used, so that asking
// again costs no attempt of the upload itself.
func (u *upload) begin(ctx context.Context) (*url.URL, error) {
	target, err := u.r.url(u.repo, "blobs", "uploads/")
	if err != nil {
		return nil, err
	}
	resp, err := u.r.do(httpx.Repeatable(ctx), http.MethodPost, target, nil, push(u.repo))
	if err != nil {
		return nil, err
	}
	if err := CheckStatus(resp, http.StatusAccepted); err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	return u.location(resp)
}

// post uploads in a single request. A registry that wants a session says 202; it
// gets one in the next attempt, and for all blobs after it.
func (u *upload) post(ctx context.Context, b *Body) (*http.Response, error) {
	target, err := u.r.url(u.repo, "blobs", "uploads/")
	if err != nil {
		return nil, err
	}
	target.RawQuery = url.Values{"digest": {u.desc.Digest.String()}}.Encode()
	resp, err := u.stream(ctx, b, http.MethodPost, target, http.StatusCreated, http.StatusAccepted)
	if err != nil || resp.StatusCode == http.StatusCreated {
		return resp, err
	}
	_ = resp.Body.Close()
	u.r.singlePost.Store(false)
	if u.session, err = u.location(resp); err != nil {
		return nil, err
	}
	return nil, &againError{errors.New("the registry does not take a blob in a single POST")}
}

func (u *upload) stream(ctx context.Context, b *Body, method string, target *url.URL, want ...int) (*http.Response, error) {
	req, err := b.Request(ctx, method, target.String(), u.desc)
	if err != nil {
		return nil, err
	}
	resp, err := u.r.login.DoBody(u.r.client, req, push(u.repo))
	if err != nil {
		return nil, err
	}
	return resp, CheckStatus(resp, want...)
}

// confirm asks for the proof of an upload: the digest in the answer, else the
// digest that HEAD names, else the content itself.
func (u *upload) confirm(ctx context.Context, resp *http.Response) error {
	got := named(resp)
	if got == u.desc.Digest {
		return nil
	}
	if got == "" {
		size, named, err := u.r.stat(ctx, u.repo, u.desc.Digest, push(u.repo))
		if err != nil {
			return fmt.Errorf("look for what was uploaded: %w", err)
		}
		if named == u.desc.Digest && (size < 0 || size == u.desc.Size) {
			return nil
		}
	}
	rc, err := u.r.open(ctx, u.repo, u.desc)
	if err != nil {
		return fmt.Errorf("read back what was uploaded: %w", err)
	}
	_, err = io.Copy(io.Discard, rc)
	if cerr := rc.Close(); err == nil {
		err = cerr
	}
	if mm, ok := errors.AsType[*digestio.MismatchError](err); ok {
		return mm
	}
	if err != nil {
		return fmt.Errorf("read back what was uploaded: %w", err)
	}
	return nil
}
