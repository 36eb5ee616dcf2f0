package probe

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/httpx"
	"airbundle/internal/rpm"
	"airbundle/internal/rpm/repodata"
)

// listing is what became of the wait for a package.
type listing struct {
	found    bool
	at       time.Time // of the look that found it
	looks    int
	checksum string   // type of the package's checksum
	primary  Exchange // that had it
	last     error    // of the latest look into the lists
}

// trouble is the latest error, as an addition to a sentence.
func (l *listing) trouble() string {
	if l.last == nil {
		return ""
	}
	return "; " + oneLine(l.last.Error())
}

// repomd gets repomd.xml without noting it.
func (y *yumRun) repomd(ctx context.Context) (*answer, error) {
	return y.send(ctx, call{method: http.MethodGet, path: y.content(y.place.repo, y.place.meta+rpm.RepomdPath)})
}

// await looks at repomd.xml again and again, and whenever it is another one, into the
// list that it names, until that has the file or the time is over. Only looks at
// something new are noted.
func (y *yumRun) await(ctx context.Context, q *Question, file string, before *answer) (*listing, error) {
	l := &listing{}
	seen := sum(before)
	end := y.now().Add(y.o.Timeout)
	for {
		a, err := y.repomd(ctx)
		l.looks++
		if err != nil {
			note(q, a.exchange)
			return l, err
		}
		if now := sum(a); now != seen {
			seen = now
			note(q, a.exchange)
			if a.status == http.StatusOK {
				l.last = y.look(ctx, q, file, l)
			}
			if y.stopped != nil {
				return l, y.stopped
			}
			if l.last != nil {
				seen = "" // a rebuild was in the way, or the connection: look again
			}
		}
		if l.found || y.now().Add(y.o.Interval).After(end) {
			return l, nil
		}
		if err := httpx.Sleep(ctx, y.o.Interval); err != nil {
			return l, err
		}
	}
}

// look reads the lists once.
func (y *yumRun) look(ctx context.Context, q *Question, file string, l *listing) error {
	var latest Exchange
	listed, err := repodata.ReadPrimary(ctx, func(ctx context.Context, name string) (io.ReadCloser, error) {
		a, err := y.send(ctx, call{method: http.MethodGet, path: y.content(y.place.repo, y.place.meta+name)})
		latest = a.exchange
		if name != rpm.RepomdPath || err != nil {
			note(q, a.exchange)
		}
		switch {
		case err != nil:
			return nil, err
		case a.status == http.StatusNotFound:
			return nil, fmt.Errorf("%s: %w", name, errdef.ErrNotFound)
		case a.status != http.StatusOK:
			return nil, &unexpectedError{"GET of " + name, a.says()}
		}
		return io.NopCloser(bytes.NewReader(a.body)), nil
	})
	if err != nil {
		return err
	}
	if c, ok := listed[strings.TrimPrefix(file, y.place.meta)]; ok {
		l.found, l.at, l.checksum, l.primary = true, y.now(), c.Type, latest
	}
	return nil
}

// maxNoted bounds the exchanges of one question: metadata that cannot be read is read
// again and again.
const maxNoted = 40

func note(q *Question, x Exchange) {
	if len(q.Exchanges) < maxNoted {
		q.Exchanges = append(q.Exchanges, x)
	}
}

// sum tells two answers apart.
func sum(a *answer) string {
	if a == nil {
		return ""
	}
	return fmt.Sprintf("%d %x", a.status, sha256.Sum256(a.body))
}
