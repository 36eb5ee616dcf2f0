package yum

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/workers"
)

const (
	perRound  = 8 // mirrors asked at once
	maxRounds = 4
	agreeing  = 3 // mirrors of one opinion, after which the others need not be waited for
	attempts  = 2 // at a mirror, where there are others
)

// An edition is one repomd.xml and the mirrors that have it.
type edition struct {
	repomd  []byte
	age     int64
	rank    int // of what a metalink names: 0 is the newest
	mirrors []mirror
}

// lag says in what way e is not the edition that was chosen.
func (e edition) lag(chosen edition) string {
	than := "that of " + chosen.mirrors[0].shown()
	switch {
	case e.rank > chosen.rank:
		return "its repomd.xml is an older one of the metalink's than " + than
	case e.age < chosen.age:
		return fmt.Sprintf("stale: its repomd.xml is of %s, older than %s, which is of %s", when(e.age), than, when(chosen.age))
	}
	return "its repomd.xml is as old as, but differs from, " + than
}

// An inquiry asks mirrors for repomd.xml.
type inquiry struct {
	s      *Source
	list   *list
	age    func([]byte) (int64, error)
	signed bool               // it must be signed
	ring   openpgp.EntityList // by one of these

	failed []error // one a mirror that gave none
}

func (q *inquiry) skipped() []string {
	lines := slices.Clone(q.list.skipped)
	for _, err := range q.failed {
		lines = append(lines, err.Error())
	}
	return lines
}

// run asks the mirrors, in rounds of several at once, until a round brings an answer that
// counts, and returns the editions that there are, the one to use first.
func (q *inquiry) run(ctx context.Context) ([]edition, error) {
	left := q.list.mirrors
	for range maxRounds {
		round := left[:min(perRound, len(left))]
		left = left[len(round):]
		editions, err := q.round(ctx, round)
		if err != nil {
			return nil, err
		}
		if len(editions) > 0 {
			return editions, nil
		}
		if len(left) == 0 {
			break
		}
	}
	if q.list.single {
		return nil, q.failed[0]
	}
	what := fmt.Sprintf("none of %d mirrors has a repomd.xml that can be used", len(q.failed))
	if len(left) > 0 {
		what += fmt.Sprintf(" (%d more were not asked)", len(left))
	}
	return nil, &MirrorsError{What: what, Reasons: q.failed}
}

type answer struct {
	repomd []byte
	age    int64
	rank   int
	err    error
}

// round asks some mirrors at once. A mirror that does not answer costs no more than
// MirrorWait, and when some agree no more than Grace.
func (q *inquiry) round(ctx context.Context, mirrors []mirror) ([]edition, error) {
	answers := make([]answer, len(mirrors))
	if q.list.single {
		answers[0] = q.ask(ctx, mirrors[0])
	} else {
		few, cancel := context.WithCancelCause(httpx.WithAttempts(ctx, attempts))
		defer cancel(nil)
		agreed := &tally{enough: func() *time.Timer {
			return time.AfterFunc(q.s.o.Grace, func() { cancel(slow(q.s.o.Grace, "others had answered")) })
		}}
		defer agreed.stop()
		g := workers.New()
		for i, m := range mirrors {
			g.Go(func() error {
				one, cancel := context.WithTimeoutCause(few, q.s.o.MirrorWait, slow(q.s.o.MirrorWait, "it was asked"))
				defer cancel()
				answers[i] = q.ask(one, m)
				if answers[i].err == nil {
					agreed.note(answers[i].repomd)
				}
				return nil
			})
		}
		_ = g.Wait()
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return q.sort(mirrors, answers), nil
}

func slow(after time.Duration, what string) error {
	return report.WithClass(report.ClassUnavailable, fmt.Errorf("no answer within %v after %s", after, what))
}

// A tally counts equal answers, and starts a timer when there are enough.
type tally struct {
	enough func() *time.Timer

	mu    sync.Mutex
	votes map[[sha256.Size]byte]int
	timer *time.Timer
}

func (t *tally) note(repomd []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.votes == nil {
		t.votes = make(map[[sha256.Size]byte]int)
	}
	sum := sha256.Sum256(repomd)
	if t.votes[sum]++; t.votes[sum] >= agreeing && t.timer == nil {
		t.timer = t.enough()
	}
}

func (t *tally) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
}

// sort puts answers that are the same together, and the newest first; of equals the one
// whose mirror is listed first.
func (q *inquiry) sort(mirrors []mirror, answers []answer) []edition {
	var editions []edition
	for i, a := range answers {
		if a.err != nil {
			q.failed = append(q.failed, fmt.Errorf("%s: %w", mirrors[i].shown(), a.err))
			continue
		}
		same := func(e edition) bool { return bytes.Equal(e.repomd, a.repomd) }
		if at := slices.IndexFunc(editions, same); at >= 0 {
			editions[at].mirrors = append(editions[at].mirrors, mirrors[i])
			continue
		}
		editions = append(editions, edition{repomd: a.repomd, age: a.age, rank: a.rank, mirrors: mirrors[i : i+1 : i+1]})
	}
	slices.SortStableFunc(editions, func(a, b edition) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(b.age, a.age))
	})
	return editions
}

// ask gets repomd.xml of one mirror and checks all that can be checked of it.
func (q *inquiry) ask(ctx context.Context, m mirror) (a answer) {
	if a.repomd, a.err = q.s.opener.ReadSmall(ctx, join(m.url, rpm.RepomdPath), rpm.MaxRepomd); a.err != nil {
		return a
	}
	if page(a.repomd) {
		a.err = report.WithClass(report.ClassContent, fmt.Errorf("%s is a page of HTML", rpm.RepomdPath))
		return a
	}
	if a.rank, a.err = q.list.rank(a.repomd); a.err != nil {
		return a
	}
	if a.err = q.checkSignature(ctx, join(m.url, rpm.SignaturePath), a.repomd); a.err != nil {
		return a
	}
	if a.age, a.err = q.age(a.repomd); a.err != nil {
		a.err = report.WithClass(report.ClassContent, a.err)
	}
	return a
}

// page tells the HTML that captive portals and error pages have in the place of content.
func page(data []byte) bool {
	begin := bytes.ToLower(bytes.TrimSpace(data[:min(len(data), 512)]))
	return bytes.HasPrefix(begin, []byte("<!doctype html")) || bytes.HasPrefix(begin, []byte("<html"))
}

// rank says which of the repomd.xml that a metalink names this is; without a metalink
// any is as good as another.
func (l *list) rank(repomd []byte) (int, error) {
	for i, s := range l.sums {
		kind := s.strongest()
		if checksumOf(kind, repomd) == s.hashes[kind] && (s.size == 0 || s.size == int64(len(repomd))) {
			return i, nil
		}
	}
	if len(l.sums) == 0 {
		return 0, nil
	}
	kind := l.sums[0].strongest()
	return 0, report.WithClass(report.ClassContent, fmt.Errorf("its repomd.xml is not the metalink's: %s:%s, want %s:%s",
		kind, checksumOf(kind, repomd), kind, l.sums[0].hashes[kind]))
}

// checkSignature checks the detached signature over repomd.xml, where one is asked for.
func (q *inquiry) checkSignature(ctx context.Context, url string, repomd []byte) error {
	if !q.signed {
		return nil
	}
	sig, err := q.s.opener.ReadSmall(ctx, url, rpm.MaxSignature)
	switch code := httpx.StatusCode(err); {
	case code == http.StatusNotFound, code == http.StatusGone, errors.Is(err, fs.ErrNotExist):
		return report.WithClass(report.ClassTrust, fmt.Errorf("repomd.xml is not signed, and repo_gpgcheck is on: %w", err))
	case err != nil:
		return err
	}
	_, err = rpm.VerifyDetached(repomd, sig, q.ring)
	if unknown, ok := errors.AsType[*rpm.UnknownSignerError](err); ok {
		err = fmt.Errorf("signed by key %v, which is none of gpgkeys", unknown.KeyIDs)
	}
	if err != nil {
		return report.WithClass(report.ClassTrust, fmt.Errorf("repomd.xml: %w", err))
	}
	return nil
}
