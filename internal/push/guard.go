package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
)

// A halted error ends everything that was not begun, or was under way, because of one
// answer that holds for all.
type halted struct {
	why string
	err error
}

// The answer is told each time: it may have met what has no record of its own.
func (e *halted) Error() string {
	said := fmt.Sprintf("not tried, because %s: %v", e.why, e.err)
	if a := next(e.err); a != "" {
		return said + "; " + a
	}
	return said
}

// Advice implements report.Adviser.
func (e *halted) Advice() string {
	_, known := report.Explain(e.err)
	return cmp.Or(next(e.err), known)
}

// Unwrap returns the answer.
func (e *halted) Unwrap() error { return e.err }

// A FrozenError says that the target takes no writes and has not begun to again.
type FrozenError struct {
	Waited time.Duration
	Err    error
}

func (e *FrozenError) Error() string {
	return fmt.Sprintf("the server is read-only and still is after %s (frozen by its administrator, by a backup, or by OrientDB for want of free space): %v; %s",
		e.Waited.Round(time.Second), e.Err, e.Advice())
}

// Advice implements report.Adviser.
func (e *FrozenError) Advice() string { return "make it writable, then push again" }

// Unwrap returns the server's answer.
func (e *FrozenError) Unwrap() error { return e.Err }

// ExitCode is that of a refusal by the server.
func (e *FrozenError) ExitCode() int { return int(report.ClassRefused) }

// haltedBy returns why an answer ends the whole push; nil when it does not.
func haltedBy(err error) *halted {
	if _, frozen := errors.AsType[*FrozenError](err); frozen {
		return &halted{"the server is read-only", err}
	}
	se, ok := errors.AsType[*httpx.StatusError](err)
	switch {
	case !ok:
		return nil
	case se.Says("license agreement"):
		return &halted{"the license agreement of the server is not accepted", err}
	case se.Code == http.StatusUnauthorized || se.LoginBlocked():
		return &halted{"the login was refused", err} // further tries would lock the account
	case se.Full():
		return &halted{"the server has no space left", err}
	case se.PaymentRequired():
		return &halted{"the server is above its usage caps and takes nothing new", err}
	}
	return nil
}

// next is what to do about an answer that has ended the push.
func next(err error) string {
	se, ok := errors.AsType[*httpx.StatusError](err)
	switch {
	case !ok || se.Says("license agreement"):
		return ""
	case se.Code == http.StatusUnauthorized:
		return "is there a login, and is it right?"
	case se.LoginBlocked():
		return "too many bad logins: the account is blocked until nobody has tried it for 15 minutes"
	}
	return ""
}

// causes are the errors that say why: where there is a reason, what was not tried because
// of it goes without saying.
func causes(errs []error) []error {
	own := slices.DeleteFunc(slices.Clone(errs), isHalted)
	if len(own) == 0 {
		return errs[:min(len(errs), 1)]
	}
	slices.SortStableFunc(own, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return own
}

func isHalted(err error) bool {
	_, ok := errors.AsType[*halted](err)
	return ok
}

// A guard sees every answer of the target. One that holds for all, such as a refused
// login, ends the run at once, not only when the artifact that met it is settled; a server
// that is frozen is waited for, by all writes together.
type guard struct {
	stop     context.CancelCauseFunc
	writable func(context.Context) error // nil: nothing but another try tells
	budget   time.Duration               // of all waits of the run
	poll     time.Duration

	mu     sync.Mutex // held while one waits: no write begins meanwhile
	waits  int        // that have ended
	waited time.Duration
}

// frozenPolls is how often a frozen server is asked in all.
const frozenPolls = 30

func newGuard(stop context.CancelCauseFunc, to Target, budget time.Duration) *guard {
	return &guard{stop: stop, writable: to.Writable, budget: budget, poll: budget / frozenPolls}
}

// saw ends the run if err holds for all.
func (g *guard) saw(err error) error {
	if h := haltedBy(err); h != nil && !isHalted(err) {
		g.stop(h)
	}
	return err
}

// write does something that a frozen server refuses, as often as it thaws in time.
func (g *guard) write(ctx context.Context, do func() error) error {
	for {
		g.mu.Lock()
		seen := g.waits
		g.mu.Unlock()
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := do()
		if se, ok := errors.AsType[*httpx.StatusError](err); !ok || !se.ReadOnly() {
			return g.saw(err)
		}
		if err := g.thaw(ctx, seen, err); err != nil {
			return g.saw(err)
		}
	}
}

// thaw waits until the server says that it is writable. The waits of a run add up to the
// budget, because a server may say so and refuse all the same.
func (g *guard) thaw(ctx context.Context, seen int, refusal error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waits > seen {
		return nil // another write has waited since
	}
	for g.waited+g.poll <= g.budget {
		if err := httpx.Sleep(ctx, g.poll); err != nil {
			return err
		}
		g.waited += g.poll
		if g.writable == nil || g.writable(ctx) == nil {
			g.waits++
			return nil
		}
	}
	return &FrozenError{g.waited, refusal}
}

// around puts the guard before a target.
func (g *guard) around(to Target) Target {
	images := to.Images
	to.Images = func(repository string) Images { return &guardedImages{images(repository), g} }
	if to.Assets != nil {
		to.Assets = &guardedAssets{to.Assets, g}
	}
	return to
}

type guardedImages struct {
	Images
	g *guard
}

func (i *guardedImages) StatBlob(ctx context.Context, repo string, d digest.Digest) (int64, error) {
	size, err := i.Images.StatBlob(ctx, repo, d)
	return size, i.g.saw(err)
}

func (i *guardedImages) PushBlob(ctx context.Context, repo string, d ocispec.Descriptor, from []string, open Opener) (sent int64, how string, err error) {
	err = i.g.write(ctx, func() error {
		n, done, err := i.Images.PushBlob(ctx, repo, d, from, open)
		sent, how = sent+n, done
		return err
	})
	return sent, how, err
}

func (i *guardedImages) UploadBlob(ctx context.Context, repo string, d ocispec.Descriptor, open Opener) (sent int64, err error) {
	err = i.g.write(ctx, func() error {
		n, err := i.Images.UploadBlob(ctx, repo, d, open)
		sent += n
		return err
	})
	return sent, err
}

func (i *guardedImages) Resolve(ctx context.Context, repo, ref string) (ocispec.Descriptor, error) {
	d, err := i.Images.Resolve(ctx, repo, ref)
	return d, i.g.saw(err)
}

func (i *guardedImages) PushManifest(ctx context.Context, repo, ref, mediaType string, raw []byte) error {
	return i.g.write(ctx, func() error { return i.Images.PushManifest(ctx, repo, ref, mediaType, raw) })
}

type guardedAssets struct {
	Assets
	g *guard
}

func (a *guardedAssets) Put(ctx context.Context, repo, path string, d ocispec.Descriptor, overwrite bool, open Opener) (sent int64, how string, err error) {
	err = a.g.write(ctx, func() error {
		n, done, err := a.Assets.Put(ctx, repo, path, d, overwrite, open)
		sent, how = sent+n, done
		return err
	})
	return sent, how, err
}

func (a *guardedAssets) Present(ctx context.Context, repo, path string, d ocispec.Descriptor, open Opener) (bool, error) {
	equal, err := a.Assets.Present(ctx, repo, path, d, open)
	return equal, a.g.saw(err)
}

func (a *guardedAssets) Open(ctx context.Context, repo, path string) (io.ReadCloser, int64, error) {
	rc, size, err := a.Assets.Open(ctx, repo, path)
	return rc, size, a.g.saw(err)
}

// RepodataDepth implements yumDepth as far as the target does.
func (a *guardedAssets) RepodataDepth(ctx context.Context, repo string) (depth int, known bool, err error) {
	teller, ok := a.Assets.(yumDepth)
	if !ok {
		return 0, false, nil
	}
	depth, known, err = teller.RepodataDepth(ctx, repo)
	return depth, known, a.g.saw(err)
}
