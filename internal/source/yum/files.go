package yum

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/atomicfile"
	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
)

// Caps of what is downloaded. Sizes that metadata names are not trusted beyond them.
const (
	maxFile    = 4 << 30
	maxPackage = 16 << 30
	// signatureHead is asked for where metadata does not say how long lead and signature
	// header are.
	signatureHead = 256 << 10
	maxHead       = 65 << 20
)

// File returns a file that repomd.xml names: location is its path below a mirror, checksum
// "sha256:…", "sha512:…" or "sha1:…", size its length in bytes (0: not said). The content
// is verified before it is returned. It comes from the cache when it is there, else from
// the first mirror that has it; mirrors that were asked in vain before that are skipped
// from then on. When no mirror has it nothing is skipped, and the error names each mirror
// and its reason.
func (r *Repository) File(ctx context.Context, location, checksum string, size int64) (io.ReadCloser, error) {
	sum, err := parseChecksum(checksum)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", r.name, location, err)
	}
	if f, ok := r.s.cache.verified(sum); ok {
		return f, nil
	}
	for _, c := range []cache{r.s.cache, {log: r.s.o.Log}} { // the latter keeps nothing
		var f *os.File
		if f, err = r.fetch(ctx, c, location, sum, size); err == nil {
			return f, nil
		}
		if _, local := errors.AsType[*localError](err); !local || c.dir == "" {
			break
		}
		c.log.Warn("cache not written", "cause", err.Error())
	}
	return nil, err
}

// fetch downloads a file to where a cache wants it. The file may be open only: one that
// no cache keeps has no name any more.
func (r *Repository) fetch(ctx context.Context, c cache, location string, sum rpm.Checksum, size int64) (*os.File, error) {
	path, done, err := c.place(sum)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", r.name, location, err)
	}
	defer done()
	err = r.fromMirrors(ctx, location, func(ctx context.Context, url string) error {
		var failed error
		out := &localWriter{}
		err := atomicfile.Write(path, 0o644, func(w io.Writer) error {
			out.w = w
			failed = r.s.download(ctx, url, out, sum, size, maxFile)
			return failed
		})
		if err != nil && (failed == nil || out.err != nil) {
			return &localError{err}
		}
		return failed
	})
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", r.name, location, err)
	}
	return f, nil
}

// A localError is not the mirror's fault, so another mirror is no help.
type localError struct{ error }

func (e *localError) Unwrap() error { return e.error }

// fromMirrors tries get with the URL of location at one mirror after the other.
func (r *Repository) fromMirrors(ctx context.Context, location string, get func(ctx context.Context, url string) error) error {
	r.mu.Lock()
	mirrors := r.mirrors
	r.mu.Unlock()
	urls := make([]string, len(mirrors))
	for i, m := range mirrors {
		urls[i] = join(m.url, location)
	}
	reasons, err := first(ctx, r.name+": "+location, urls, get)
	if err == nil {
		r.drop(mirrors, reasons)
	}
	return err
}

// first tries get with one URL after the other, and returns why those before the one that
// did were in vain. Where there is another URL to try, a server is not asked as often.
func first(ctx context.Context, what string, urls []string, get func(ctx context.Context, url string) error) ([]error, error) {
	var reasons []error
	for i, url := range urls {
		patience := ctx
		if i < len(urls)-1 {
			patience = httpx.WithAttempts(ctx, attempts)
		}
		err := get(patience, url)
		if err == nil {
			return reasons, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		if _, local := errors.AsType[*localError](err); local {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		reasons = append(reasons, err)
	}
	return nil, allFailed(what, reasons)
}

// drop skips the first mirrors, one for each reason, because the next one has what they do
// not have.
func (r *Repository) drop(mirrors []mirror, reasons []error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, why := range reasons {
		m := mirrors[i]
		var kept []mirror
		for _, other := range r.mirrors {
			if other != m {
				kept = append(kept, other)
			}
		}
		if len(kept) == len(r.mirrors) || len(kept) == 0 {
			continue // another call was here before
		}
		r.mirrors = kept
		line := m.shown() + ": " + why.Error()
		r.Skipped, r.useless = append(r.Skipped, line), append(r.useless, line)
		r.s.o.Log.Warn("mirror skipped", "repository", r.name, "mirror", line)
	}
}

// download writes what url leads to to w and reports whether it was what it should be.
func (s *Source) download(ctx context.Context, url string, w io.Writer, sum rpm.Checksum, size, limit int64) error {
	if size > limit {
		return report.WithClass(report.ClassContent, fmt.Errorf("%s: %d bytes are more than the %d allowed", httpx.Redact(url), size, limit))
	}
	c, err := s.opener.Open(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close()
	want := ocispec.Descriptor{Digest: sum.Digest(), Size: size}
	if size > 0 && c.Size >= 0 && c.Size != size {
		return fmt.Errorf("GET %s: %w", httpx.Redact(url), &digestio.MismatchError{Want: want, GotBytes: c.Size})
	}
	if size > 0 {
		limit = size
	}
	h, begin := sum.New(), &beginning{}
	n, err := io.Copy(io.MultiWriter(w, h, begin), io.LimitReader(c, limit+1))
	if err != nil {
		return fmt.Errorf("GET %s: %w", httpx.Redact(url), err)
	}
	if size == 0 {
		want.Size = min(n, limit)
	}
	got := hex.EncodeToString(h.Sum(nil))
	if n == want.Size && got == sum.Value {
		return nil
	}
	if page(begin.data) {
		return report.WithClass(report.ClassContent, fmt.Errorf("GET %s: a page of HTML in the place of %s", httpx.Redact(url), sum.Digest()))
	}
	return fmt.Errorf("GET %s: %w", httpx.Redact(url), &digestio.MismatchError{Want: want, Got: rpm.Checksum{Type: sum.Type, Value: got}.Digest(), GotBytes: n})
}

// A beginning keeps the first bytes that are written to it.
type beginning struct{ data []byte }

func (b *beginning) Write(p []byte) (int, error) {
	if room := 512 - len(b.data); room > 0 {
		b.data = append(b.data, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// URLs returns the URLs of a package, percent-encoded: one on every mirror that is not
// skipped, in their order. base is the package's own base URL (xml:base), where it has one;
// then, and when location is a URL itself, there are no mirrors. It returns none
// when that URL is not one that can be downloaded.
func (r *Repository) URLs(base, location string) []string {
	switch {
	case strings.Contains(location, "://"):
		return r.elsewhere(location)
	case base != "" && !strings.HasPrefix(base, "media:"): // of a set of discs, put on a server
		return r.elsewhere(join(base, location))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	urls := make([]string, len(r.mirrors))
	for i, m := range r.mirrors {
		urls[i] = join(m.url, location)
	}
	return urls
}

// elsewhere returns a URL that metadata names, if it may.
func (r *Repository) elsewhere(url string) []string {
	scheme, _, _ := strings.Cut(url, ":")
	if scheme == "http" || scheme == "https" || scheme == "file" && r.local {
		return []string{url}
	}
	return nil
}

// fromURLs tries get with one URL of a package after the other.
func (r *Repository) fromURLs(ctx context.Context, base, location string, get func(ctx context.Context, url string) error) error {
	what := r.name + ": package " + location
	urls := r.URLs(base, location)
	if len(urls) == 0 {
		return report.WithClass(report.ClassContent, fmt.Errorf("%s: the metadata names a place that is not http or https", what))
	}
	_, err := first(ctx, what, urls, get)
	return err
}

// Pin downloads a whole package, checks it against the checksum and size (0: not said) that
// metadata names, and returns its sha256: for metadata with other checksums. Nothing is
// kept.
func (r *Repository) Pin(ctx context.Context, base, location, checksum string, size int64) (digest.Digest, error) {
	sum, err := parseChecksum(checksum)
	if err != nil {
		return "", fmt.Errorf("%s: package %s: %w", r.name, location, err)
	}
	var pinned digest.Digest
	err = r.fromURLs(ctx, base, location, func(ctx context.Context, url string) error {
		all := digest.Canonical.Digester()
		err := r.s.download(ctx, url, all.Hash(), sum, size, maxPackage)
		pinned = all.Digest()
		return err
	})
	if err != nil {
		return "", err
	}
	return pinned, nil
}

// Signer reads the first headerStart bytes of a package (0: not said), which hold its
// signatures, and says which of Keys made the first that one of them made: the ID in Keys.
// It is empty for an unsigned package. A package signed by others is a
// *rpm.UnknownSignerError. Nothing is verified: a build does that.
func (r *Repository) Signer(ctx context.Context, base, location string, headerStart int64) (keyID string, err error) {
	head := headerStart
	if head <= 0 {
		head = signatureHead
	}
	head = min(head, maxHead)
	var ids []string
	err = r.fromURLs(ctx, base, location, func(ctx context.Context, url string) error {
		c, err := r.s.opener.OpenHead(ctx, url, head)
		if err != nil {
			return err
		}
		defer c.Close()
		part := io.LimitReader(c, head)
		if ids, err = rpm.SignatureKeyIDs(part); err != nil {
			return fmt.Errorf("%s: %w", httpx.Redact(url), err)
		}
		_, _ = io.CopyN(io.Discard, part, 8) // the padding, so that the connection can be used again
		return nil
	})
	if err != nil || len(ids) == 0 {
		return "", err
	}
	for _, id := range ids {
		if of, err := rpm.SelectKey(r.ring, id); err == nil {
			return fmt.Sprintf("%016x", of[0].PrimaryKey.KeyId), nil
		}
	}
	return "", fmt.Errorf("%s: package %s: %w", r.name, location, &rpm.UnknownSignerError{KeyIDs: ids})
}
