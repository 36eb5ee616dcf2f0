package nexus

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is what the server keeps; the content is known by its SHA-256
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/report"
)

// An Opener opens the content to send; a retry opens it anew.
type Opener = func(context.Context) (io.ReadCloser, error)

// A ConflictError says that other content is at the path and was not overwritten.
type ConflictError struct {
	Repo, Path string
	Want       digest.Digest
	Got        string // a checksum, or the size where that tells already
	WriteOnce  bool   // the server refused to replace it
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s/%s holds other content: %s, not %s; %s", e.Repo, e.Path, e.Got, e.Want, e.Advice())
}

// Advice implements report.Adviser.
func (e *ConflictError) Advice() string {
	if e.WriteOnce {
		return "to replace it, set the repository's deployment policy to allow redeploy"
	}
	return "to replace it, use --overwrite"
}

// ExitCode is that of a refusal by the server.
func (e *ConflictError) ExitCode() int { return int(report.ClassRefused) }

// Put makes the content of d present at a path. Equal content that is there
// already is left alone; other content is a *ConflictError unless overwrite. It
// tells how (registry.Present or registry.Sent) and how many bytes of bodies were
// sent.
func (n *Nexus) Put(ctx context.Context, repo, path string, d ocispec.Descriptor, overwrite bool, open Opener) (sent int64, how string, err error) {
	p := &put{n: n, repo: repo, path: path, desc: d, open: open}
	sent, how, err = p.run(ctx, overwrite)
	if err != nil {
		return sent, "", n.failed("put", repo, path, err)
	}
	return sent, how, nil
}

// Present says whether equal content is at a path; other content is a
// *ConflictError. Nothing is written.
func (n *Nexus) Present(ctx context.Context, repo, path string, d ocispec.Descriptor, open Opener) (bool, error) {
	p := &put{n: n, repo: repo, path: path, desc: d, open: open}
	got, err := p.compare(ctx)
	if err == nil && got.state == different {
		err = p.conflict(got)
	}
	if err != nil {
		return false, n.failed("compare", repo, path, err)
	}
	return got.state == equal, nil
}

// A put is one file on its way.
type put struct {
	n          *Nexus
	repo, path string
	desc       ocispec.Descriptor
	open       Opener

	sum     hash.Hash // SHA-1 of what the current attempt sends
	how     string
	damaged bool // the server received other bytes than were sent
}

// damagedTries is how often content is sent that arrives as other content: a network that
// changes every fourth request lets one of 256 through to an error.
const damagedTries = 4

func (p *put) run(ctx context.Context, overwrite bool) (int64, string, error) {
	got, err := p.compare(ctx)
	switch {
	case err != nil:
		return 0, "", err
	case got.state == equal:
		return 0, registry.Present, nil
	case got.state == different && !overwrite:
		return 0, "", p.conflict(got)
	}
	t := &registry.Transfer{Desc: p.desc, Open: p.summed, Retry: p.n.retry, Arrived: p.arrived}
	sent, err := p.send(ctx, t)
	for try := 2; p.damaged && try <= damagedTries; try++ {
		p.damaged = false
		if werr := httpx.Sleep(ctx, p.n.wait(try-1)); werr != nil {
			return sent, p.how, werr
		}
		var again int64
		again, err = p.send(ctx, t)
		sent += again
	}
	if _, ok := errors.AsType[*digestio.MismatchError](err); ok && got.state == absent && !p.damaged {
		err = p.leftover(ctx, err)
	}
	return sent, p.how, err
}

// leftover says so when the server keeps what came of content that turned out to be
// damaged. It is shorter than the content, whose last byte is held back until all of it
// is verified, and is not deleted: nothing here deletes.
func (p *put) leftover(ctx context.Context, err error) error {
	if a, herr := p.n.head(ctx, p.repo, p.path); herr == nil {
		return report.Advise(fmt.Errorf("%w; the server keeps the %d bytes that had come", err, a.Size), "replace them with --overwrite, or delete them")
	}
	return err
}

func (p *put) send(ctx context.Context, t *registry.Transfer) (int64, error) {
	p.how = registry.Sent
	return t.Run(ctx, p.once)
}

// summed opens the content so that its SHA-1 is made as it goes.
func (p *put) summed(ctx context.Context) (io.ReadCloser, error) {
	rc, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	p.sum = sha1.New() //nolint:gosec // as above
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(rc, p.sum), rc}, nil
}

func (p *put) arrived(ctx context.Context) (bool, error) {
	got, err := p.compare(ctx)
	return got.state == equal, err
}

func (p *put) once(ctx context.Context, b *registry.Body) error {
	u, err := p.n.content(p.repo, p.path)
	if err != nil {
		return err
	}
	req, err := b.Request(ctx, http.MethodPut, u.String(), p.desc)
	if err != nil {
		return err
	}
	resp, err := p.n.login.DoBody(p.n.client, req)
	if err == nil {
		// Raw answers 201, yum 200, neither is documented.
		err = registry.CheckStatus(resp, http.StatusCreated, http.StatusOK, http.StatusNoContent, http.StatusAccepted)
	}
	if registry.WriteOnce(err) {
		return p.refused(ctx, err)
	}
	if err != nil {
		p.damaged = judgedInvalid(err)
		return err
	}
	if err := errors.Join(resp.Body.Close(), b.Close()); err != nil {
		return err
	}
	return p.confirm(ctx, hex.EncodeToString(p.sum.Sum(nil)))
}

// judgedInvalid recognises the answer of a server that has looked into what it received and
// found it broken. What is sent was verified, so that is the network's doing, or the server
// knows no such content.
func judgedInvalid(err error) bool {
	se, ok := errors.AsType[*httpx.StatusError](err)
	return ok && se.Code == http.StatusBadRequest &&
		slices.ContainsFunc([]string{"invalid chart", "invalid rpm", "early eof"}, se.Says)
}

// refused finds out what is there that may not be written again. Equal content is
// what was wanted.
func (p *put) refused(ctx context.Context, refusal error) error {
	got, err := p.compare(ctx)
	switch {
	case err != nil:
		return err
	case got.state == equal:
		p.how = registry.Present
		return nil
	case got.state == different:
		err := p.conflict(got)
		err.WriteOnce = true
		return err
	}
	return refusal
}

// confirm asks for the proof that what was sent is what is there: size and SHA-1
// by HEAD, and where the server names no SHA-1, the content itself.
func (p *put) confirm(ctx context.Context, sent string) error {
	a, err := p.look(ctx)
	if err != nil {
		return err
	}
	mm := &digestio.MismatchError{Want: p.desc, GotBytes: a.Size}
	switch sum := a.Checksums["sha1"]; {
	case a.Size >= 0 && a.Size != p.desc.Size:
	case sum == sent:
		return nil
	default:
		if mm.Got, mm.GotBytes, err = p.download(ctx); err != nil {
			return fmt.Errorf("read back what was sent: %w", err)
		}
		if mm.Got == p.desc.Digest {
			return nil
		}
	}
	p.damaged = true
	return fmt.Errorf("the server does not hold what was sent: %w", mm)
}

// look describes what was just sent. Early versions remember for a while that there was no
// such RPM when we asked before (NEXUS-15795): that is not the end of it.
func (p *put) look(ctx context.Context) (Asset, error) {
	for attempt := 1; ; attempt++ {
		a, err := p.n.head(ctx, p.repo, p.path)
		switch {
		case err == nil:
			return a, nil
		case httpx.StatusCode(err) != http.StatusNotFound:
			return a, fmt.Errorf("look for what was sent: %w", err)
		case attempt >= httpx.DefaultAttempts || !strings.HasSuffix(p.path, ".rpm"):
			return a, &unshownError{attempt, err}
		}
		if err := httpx.Sleep(ctx, p.n.wait(attempt)); err != nil {
			return a, err
		}
	}
}

// wait is how long is waited after an attempt, which counts from 1.
func (n *Nexus) wait(attempt int) time.Duration {
	if n.retry.Backoff != nil {
		return n.retry.Backoff(attempt)
	}
	return httpx.Backoff(attempt)
}

// An unshownError is a 404 to who asks for what the server has just taken. It is not the
// absence that a 404 is elsewhere.
type unshownError struct {
	asked int
	err   error
}

func (e *unshownError) Error() string {
	return fmt.Sprintf("the server took it and does not show it, asked %d times: %v; push again", e.asked, e.err)
}

func (e *unshownError) Unwrap() error { return e.err }

// ExitCode is that of what another push may complete.
func (e *unshownError) ExitCode() int { return int(report.ClassIncomplete) }

func (p *put) conflict(got holding) *ConflictError {
	return &ConflictError{Repo: p.repo, Path: p.path, Want: p.desc.Digest, Got: got.is}
}
