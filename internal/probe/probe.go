// Package probe asks a Nexus what nobody could read anywhere: the open questions about
// its docker and yum formats, whose source is closed. It sends requests by hand to
// scratch repositories and keeps, for each question, what went over the wire and the
// conclusion in words, in a transcript that can be sent on.
//
// It writes to the named repositories only, below names that begin with
// airbundle-probe, and deletes again what it uploaded as far as the server lets it. It
// changes no settings, makes no repositories and runs no tasks, and it does not decide
// how the rest of the program talks to a server: that copes with every answer.
package probe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"airbundle/internal/report"
)

// Options say where a Nexus is and what may be done to it.
type Options struct {
	// URL is the base, with the context path if there is one.
	URL *url.URL
	// Scratch names the hosted repositories that may be written to: docker, yum, raw,
	// oci. One of each format is used, of yum two when their repodata depths are 0 and
	// more.
	Scratch []string
	// Force takes repositories that are not empty, too.
	Force bool
	// Keep leaves in place what was uploaded.
	Keep bool
	// Large is the size in bytes of a single-request upload that is tried with docker;
	// 0: none.
	Large int64
	// Timeout bounds each wait for yum metadata (default 3 min), of which there are two.
	Timeout time.Duration
	// Interval is the time between two looks at yum metadata (default 1 s).
	Interval time.Duration
	// Program is what the transcript calls the program and its version.
	Program string
	// Talk gets one line for each step (nil: none).
	Talk func(format string, args ...any)
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = 3 * time.Minute
	}
	if o.Interval <= 0 {
		o.Interval = time.Second
	}
	if o.Talk == nil {
		o.Talk = func(string, ...any) {}
	}
	return o
}

// texts are the questions, by number.
var texts = []string{
	1:  "How long after an upload does a yum repository list an RPM?",
	2:  "What does a yum repository answer to an RPM above the repodata depth, to what is no RPM, and to a corrupt RPM?",
	3:  "Which status does a PUT into a yum repository answer?",
	4:  "Which headers do the answers of a docker upload have, and how may it be cut into parts?",
	5:  "What does a manifest answer whose layer or child is missing?",
	6:  "Is a blob mounted that the repository has already?",
	7:  "Does one POST with ?digest= store a blob, also a large one?",
	8:  "Are referrers listed?",
	9:  "Are OCI manifests and indexes taken, and do they stay what they are?",
	10: "Does Location have the prefix of the main port?",
	11: "What does a hosted repository answer when the usage caps of the Community Edition block it?",
	12: "Which checksum type has a package in primary.xml?",
	13: "Is an RPM with a zstd payload taken and listed?",
	14: "Is If-None-Match: * obeyed by a PUT into a raw repository?",
	15: "What type is KubeOperator's oss-proxy?",
}

// run is one probe under way.
type run struct {
	*wire
	o         Options
	id        string
	list      []repository
	questions []Question // by number; 0 is the cleanup
	left      []upload
	errs      []error
}

// Run asks all questions for which there is a scratch repository. The transcript is nil
// when the server cannot be asked or a repository may not be dirtied, and nothing was
// written then. Otherwise an error says what went wrong on the way (a connection, the
// login, the context): the transcript has everything up to there.
func Run(ctx context.Context, c Client, o Options) (*Transcript, error) {
	o = o.withDefaults()
	base := *o.URL
	base.User, base.RawQuery, base.Fragment = nil, "", ""
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), strings.TrimRight(base.RawPath, "/")
	r := &run{wire: &wire{client: c, base: &base, now: time.Now}, o: o}
	for n, text := range texts {
		r.questions = append(r.questions, Question{Number: n, Text: text})
	}
	t := &Transcript{Program: o.Program, Started: r.now()}
	var err error
	if t.Server, r.list, err = r.meet(ctx); err != nil {
		return nil, err
	}
	if t.Scratch, err = r.scratches(ctx, o.Scratch, r.list, o.Force); err != nil {
		return nil, err
	}
	r.id = t.Started.UTC().Format("20060102t150405z-") + unique()
	r.ask(ctx, t)
	r.cleanup(ctx)
	t.Run, t.Questions, t.Cleanup = r.id, r.questions[1:], r.questions[0]
	t.Seconds = r.now().Sub(t.Started).Seconds()
	if ctx.Err() != nil {
		return t, context.Cause(ctx)
	}
	return t, errors.Join(r.errs...)
}

// unique is the part of names that no other run has.
func unique() string {
	var b [5]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// ask goes through the questions, by repository.
func (r *run) ask(ctx context.Context, t *Transcript) {
	r.noRequests()
	yum, deep := r.choose(t, formatYum, shallow), r.choose(t, formatYum, isDeep)
	if yum == nil {
		yum = deep
	}
	r.askYum(ctx, yum, deep)
	r.askDocker(ctx, r.choose(t, formatDocker, nil), r.choose(t, formatOCI, nil))
	r.askRaw(ctx, r.choose(t, formatRaw, nil))
}

func shallow(s Scratch) bool { return s.Depth <= 0 }
func isDeep(s Scratch) bool  { return s.Depth > 0 }

// choose returns the first scratch repository of the format that fits, nil when there is
// none.
func (r *run) choose(t *Transcript, format string, fits func(Scratch) bool) *Scratch {
	i := slices.IndexFunc(t.Scratch, func(s Scratch) bool { return s.Format == format && (fits == nil || fits(s)) })
	if i < 0 {
		return nil
	}
	t.Scratch[i].Used = true
	return &t.Scratch[i]
}

// noRequests settles the questions that need no request of their own.
func (r *run) noRequests() {
	r.q(11).notAsked("it cannot be provoked on purpose. If a push once fails with PAYMENT REQUIRED, send us its status and words")
	i := slices.IndexFunc(r.list, func(l repository) bool { return l.Name == "oss-proxy" })
	if i < 0 {
		r.q(15).notAsked("this login sees no repository oss-proxy: it is no server of KubeOperator, or the privilege browse is missing")
		return
	}
	r.q(15).answered("oss-proxy", "", "it is a %s repository of format %s", oneLine(r.list[i].Type), oneLine(r.list[i].Format))
}

func (r *run) q(n int) *Question { return &r.questions[n] }

// missing says of questions that no scratch repository was named for them.
func (r *run) missing(format string, numbers ...int) {
	for _, n := range numbers {
		r.q(n).notAsked("name %s %s scratch repository (--scratch)", article(format), format)
	}
}

func article(word string) string {
	if strings.ContainsRune("aeiou", rune(word[0])) {
		return "an"
	}
	return "a"
}

// try asks one question. What goes wrong is told there, and in the error of the run; the
// questions after it are asked all the same, unless the login is not taken.
func (r *run) try(ctx context.Context, s *Scratch, n int, ask func(ctx context.Context, q *Question, repo string) error) {
	q := r.q(n)
	switch {
	case ctx.Err() != nil:
		q.notAsked("the run was ended: %v", context.Cause(ctx))
		return
	case r.stopped != nil:
		q.notAsked("the login is not taken any more")
		return
	}
	r.o.Talk("question %d at %s", n, s.Name)
	if err := ask(ctx, q, s.Name); err != nil {
		q.open(s.Name, "%s", oneLine(err.Error()))
		r.errs = append(r.errs, fmt.Errorf("question %d at %s: %w", n, s.Name, err))
	}
}

// exchange makes a request and notes it with the question. An answer that a proxy, a busy
// server or a missing privilege gives is an error: it says nothing of what was asked.
func (r *run) exchange(ctx context.Context, q *Question, c call) (*answer, error) {
	a, err := r.send(ctx, c)
	q.Exchanges = append(q.Exchanges, a.exchange)
	if err == nil && slices.Contains(beside, a.status) {
		err = &unexpectedError{a.exchange.Request, a.says()}
	}
	return a, err
}

// beside are the answers that settle nothing.
var beside = []int{
	http.StatusPaymentRequired, http.StatusForbidden, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge,
	http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// An unexpectedError says that an answer settles nothing.
type unexpectedError struct{ doing, says string }

func (e *unexpectedError) Error() string { return e.doing + " answers " + e.says }

// ExitCode is that of a refusal by the server.
func (e *unexpectedError) ExitCode() int { return int(report.ClassRefused) }
