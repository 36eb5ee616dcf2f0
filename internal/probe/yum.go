package probe

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"airbundle/internal/httpx"
)

// yumPlace is where a yum repository takes what the run uploads.
type yumPlace struct {
	repo string
	meta string // directory of repodata, "" or with a trailing slash
	dir  string // of packages, the same
	told bool   // the server tells the repodata depth
}

// placeOf goes as deep as the repository keeps its repodata.
func (r *run) placeOf(s *Scratch) yumPlace {
	parts := []string{mark, r.id, "3", "4", "5"}
	depth := max(s.Depth, 0)
	return yumPlace{repo: s.Name, meta: directory(parts[:depth]), dir: directory(parts[:max(depth, 2)]), told: s.Depth >= 0}
}

func directory(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, "/") + "/"
}

// askYum asks what a yum repository can tell, and with deep, which may be nil, what one
// whose repodata lies below the root can.
func (r *run) askYum(ctx context.Context, s, deep *Scratch) {
	if s == nil {
		r.missing(formatYum, 1, 2, 3, 12, 13)
		return
	}
	y := &yumRun{run: r, place: r.placeOf(s)}
	r.try(ctx, s, 3, y.put)
	r.try(ctx, s, 1, y.delay)
	r.try(ctx, s, 12, y.checksum)
	r.try(ctx, s, 13, y.zstd)
	bad := deep
	if bad == nil {
		bad = s
	}
	b := &yumRun{run: r, place: r.placeOf(bad)}
	r.try(ctx, bad, 2, func(ctx context.Context, q *Question, repo string) error {
		if err := b.refusals(ctx, q, bad); err != nil {
			return err
		}
		return b.tooShallow(ctx, q, repo, deep)
	})
}

// yumRun is the way through the questions for yum.
type yumRun struct {
	*run
	place  yumPlace
	before *answer // repomd.xml before the first RPM
	taken  *answer // of the PUT of the good package, nil when it was refused
	file   string
	lists  *listing // once the good package is listed
}

// putRPM uploads a package below the place.
func (y *yumRun) putRPM(ctx context.Context, q *Question, file string, data []byte) (*answer, error) {
	to := y.content(y.place.repo, file)
	a, err := y.exchange(ctx, q, call{method: http.MethodPut, path: to, body: data,
		header: map[string]string{"Content-Type": "application/x-rpm"}})
	if a.stored() {
		y.keep(kindFile, y.place.repo, to, file)
	}
	return a, err
}

// rpmName is the file name of a package of the run.
func rpmName(name string) string { return name + "-1.0-1.noarch.rpm" }

// put is question 3: the status of a good upload. It first gives a new repository time
// to write its first metadata, as uploads before it may fail.
func (y *yumRun) put(ctx context.Context, q *Question, repo string) error {
	var err error
	if y.before, err = y.ready(ctx, q); err != nil {
		return err
	}
	name := mark + "-good-" + y.id
	data, err := buildRPM(name, y.id, "gzip", y.now())
	if err != nil {
		return err
	}
	y.file = y.place.dir + rpmName(name)
	a, err := y.putRPM(ctx, q, y.file, data)
	if err != nil {
		return err
	}
	if !a.ok() {
		return &unexpectedError{"yum PUT of a good RPM", a.says()}
	}
	y.taken = a
	q.answered(repo, fmt.Sprintf("YumPutStatus=%d", a.status), "yum PUT answers %s", a.says())
	return nil
}

// readyTime bounds the wait for the first metadata of a repository that was just made.
const readyTime = 30 * time.Second

// ready looks for repomd.xml. With repodata below the root there is none before the first
// RPM, so nothing is waited for.
func (y *yumRun) ready(ctx context.Context, q *Question) (*answer, error) {
	end := y.now().Add(min(readyTime, y.o.Timeout))
	for first := true; ; first = false {
		a, err := y.repomd(ctx)
		if first || err != nil || a.status != http.StatusNotFound {
			q.Exchanges = append(q.Exchanges, a.exchange)
		}
		if err != nil || a.status != http.StatusNotFound || y.place.meta != "" || y.now().After(end) {
			return a, err
		}
		if err := httpx.Sleep(ctx, y.o.Interval); err != nil {
			return a, err
		}
	}
}

// delay is question 1.
func (y *yumRun) delay(ctx context.Context, q *Question, repo string) error {
	if y.taken == nil {
		q.open(repo, "the repository took no RPM (question 3)")
		return nil
	}
	if !y.place.told && y.before.status != http.StatusOK {
		q.open(repo, "the server does not tell the repodata depth, which takes 3.28 and the privilege nx-repository-admin-yum-%s-read, and at the root there is no metadata (%s)", repo, y.before.says())
		return nil
	}
	y.o.Talk("wait at most %s until %s lists the RPM", y.o.Timeout, repo)
	l, err := y.await(ctx, q, y.file, y.before)
	if err != nil {
		return err
	}
	if !l.found {
		q.answered(repo, "NoRebuild=true", "%s after the upload the served metadata does not list the RPM (%d looks%s): it is not rebuilt, or later; wait longer with --timeout", y.o.Timeout, l.looks, l.trouble())
		return nil
	}
	y.lists = l
	took := l.at.Sub(y.taken.at).Round(time.Millisecond)
	q.answered(repo, fmt.Sprintf("NoRebuild=false RebuildDelay=%s", took), "the served metadata lists the RPM %s after the upload was answered (%d looks, one each %s)", took, l.looks, y.o.Interval)
	return nil
}

// checksum is question 12.
func (y *yumRun) checksum(_ context.Context, q *Question, repo string) error {
	if y.lists == nil {
		q.open(repo, "no metadata listed the RPM (question 1)")
		return nil
	}
	q.Exchanges = append(q.Exchanges, y.lists.primary)
	q.answered(repo, "PrimaryChecksum="+y.lists.checksum, "primary.xml has the %s of a package", y.lists.checksum)
	return nil
}

// zstd is question 13.
func (y *yumRun) zstd(ctx context.Context, q *Question, repo string) error {
	name := mark + "-zstd-" + y.id
	data, err := buildRPM(name, y.id, "zstd", y.now())
	if err != nil {
		return err
	}
	before, err := y.repomd(ctx)
	if err != nil {
		return err
	}
	file := y.place.dir + rpmName(name)
	a, err := y.putRPM(ctx, q, file, data)
	switch {
	case err != nil:
		return err
	case !a.ok():
		q.answered(repo, "RefuseZstd=true CheckRPM=true", "yum PUT of an RPM with a zstd payload answers %s: it is refused", a.says())
		return nil
	case y.lists == nil:
		q.open(repo, "yum PUT of an RPM with a zstd payload answers %s; whether it is listed cannot be told, as nothing is (question 1)", a.says())
		return nil
	}
	l, err := y.await(ctx, q, file, before)
	if err != nil {
		return err
	}
	if !l.found {
		q.answered(repo, "RefuseZstd=true", "yum PUT of an RPM with a zstd payload answers %s, but %s later the metadata does not list it%s: the rebuild fails on it or leaves it out", a.says(), y.o.Timeout, l.trouble())
		return nil
	}
	q.answered(repo, "RefuseZstd=false", "yum PUT of an RPM with a zstd payload answers %s, and the metadata lists it", a.says())
	return nil
}

// refusals is the part of question 2 that every yum repository can answer. What it takes
// is deleted at once: it would spoil the next rebuild.
func (y *yumRun) refusals(ctx context.Context, q *Question, s *Scratch) error {
	if s.DeployPolicy == "PERMISSIVE" {
		q.notAsked("what is no RPM: the deploy policy of %s is PERMISSIVE; name a yum scratch repository with STRICT", s.Name)
	} else {
		a, err := y.putBad(ctx, q, y.place.dir+"note.txt", []byte("no RPM, run "+y.id+"\n"))
		if err != nil {
			return err
		}
		q.answered(s.Name, fmt.Sprintf("StrictStatus=%d", a.status), "yum PUT of a file that is no .rpm answers %s: %s", a.says(), taken(a))
	}
	good, err := buildRPM(mark+"-corrupt-"+y.id, y.id, "gzip", y.now())
	if err != nil {
		return err
	}
	corrupt, err := corruptRPM(good)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what, name string
		data       []byte
	}{
		{"text that is named .rpm", mark + "-text-" + y.id, []byte("no RPM, run " + y.id + "\n")},
		{"a corrupt RPM", mark + "-corrupt-" + y.id, corrupt},
	} {
		a, err := y.putBad(ctx, q, y.place.dir+rpmName(c.name), c.data)
		if err != nil {
			return err
		}
		says := fmt.Sprintf("yum PUT of %s answers %s: %s", c.what, a.says(), taken(a))
		if s.Strict && !a.ok() {
			says += "; strict content types are on, so it may be their word"
		}
		q.answered(s.Name, fmt.Sprintf("CheckRPM=%t", !a.ok()), "%s", says)
	}
	return nil
}

func taken(a *answer) string {
	if a.ok() {
		return "it is taken"
	}
	return "it is refused"
}

// putBad uploads what should be refused, and deletes it when it is not.
func (y *yumRun) putBad(ctx context.Context, q *Question, file string, data []byte) (*answer, error) {
	to := y.content(y.place.repo, file)
	a, err := y.exchange(ctx, q, call{method: http.MethodPut, path: to, body: data,
		header: map[string]string{"Content-Type": "application/octet-stream"}})
	if !a.stored() {
		return a, err
	}
	up := upload{y.place.repo, to, kindFile, file}
	if y.o.Keep || y.remove(ctx, q, up)/100 != 2 {
		y.left = append(y.left, up)
	}
	return a, err
}

// tooShallow is the part of question 2 that needs repodata below the root.
func (y *yumRun) tooShallow(ctx context.Context, q *Question, repo string, deep *Scratch) error {
	if deep == nil {
		q.notAsked("an RPM above the repodata depth: name a yum scratch repository with repodata depth 1 (best two, with depth 0 and 1)")
		return nil
	}
	name := mark + "-shallow-" + y.id
	data, err := buildRPM(name, y.id, "gzip", y.now())
	if err != nil {
		return err
	}
	above := strings.TrimSuffix(path.Dir(strings.TrimSuffix(y.place.meta, "/"))+"/", "./")
	a, err := y.putBad(ctx, q, above+rpmName(name), data)
	if err != nil {
		return err
	}
	q.answered(repo, fmt.Sprintf("ShallowStatus=%d", a.status), "yum PUT of an RPM above the repodata depth %d answers %s: %s", deep.Depth, a.says(), taken(a))
	return nil
}
