package probe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
)

// location is question 10. The session serves nothing else.
func (d *dockerRun) location(ctx context.Context, q *Question, repo string) error {
	a, err := d.exchange(ctx, q, call{method: http.MethodPost, path: d.v2(d.image + "/blobs/uploads/")})
	if err != nil {
		return err
	}
	if a.status != http.StatusAccepted {
		return &unexpectedError{"POST of an upload", a.says()}
	}
	text := a.header.Get("Location")
	u, err := url.Parse(text)
	if err != nil || text == "" {
		q.open(repo, "Location is %q, which is no URL", shown(text))
		return nil
	}
	where := "it is relative"
	if u.Host != "" {
		where = "it is absolute, and names the host " + oneLine(u.Host)
	}
	switch {
	case strings.HasPrefix(u.EscapedPath(), d.v2("")):
		q.answered(repo, "LocationPrefix=true", "Location of an upload on the main port begins with %s; %s", d.v2(""), where)
	case strings.HasPrefix(u.EscapedPath(), "/v2/"), strings.HasPrefix(u.EscapedPath(), d.base.EscapedPath()+"/v2/"):
		q.answered(repo, "LocationPrefix=false", "Location of an upload on the main port begins with /v2/, without the prefix %s; %s", strings.TrimSuffix(d.v2(""), "v2/"), where)
	default:
		q.open(repo, "Location of an upload on the main port is %s, which is neither form", shown(text))
	}
	if session, err := d.resolve(d.repo, d.v2(d.image+"/blobs/uploads/"), text); err == nil {
		d.abandon(ctx, q, session)
	}
	return nil
}

// parts is question 4: one blob in two parts, one in chunks, one with a range that does
// not fit, one with another digest.
func (d *dockerRun) parts(ctx context.Context, q *Question, repo string) error {
	if err := d.twoParts(ctx, q, repo); err != nil {
		return err
	}
	if err := d.wrongRange(ctx, q, repo); err != nil {
		return err
	}
	if err := d.chunked(ctx, q, repo); err != nil {
		return err
	}
	return d.wrongDigest(ctx, q, repo)
}

// twoParts goes the longest way: POST, PATCH, PATCH, PUT.
func (d *dockerRun) twoParts(ctx context.Context, q *Question, repo string) error {
	data := d.blob()
	half := len(data) / 2
	post, session, err := d.start(ctx, q)
	if err != nil {
		return err
	}
	first, err := d.patch(ctx, q, session, data[:half], 0)
	if err != nil {
		return err
	}
	if !first.ok() {
		return &unexpectedError{"the first PATCH of an upload", first.says()}
	}
	form := "no Range"
	if text := first.header.Get("Range"); text != "" {
		form = "Range: " + oneLine(text)
	}
	q.answered(repo, "", "after POST the Range is %q, after a PATCH of %d bytes the answer has %s", oneLine(post.header.Get("Range")), half, form)
	if session, err = d.next(session, first); err != nil {
		return err
	}
	second, err := d.patch(ctx, q, session, data[half:], half)
	if err != nil {
		return err
	}
	if !second.ok() {
		q.answered(repo, "", "a second PATCH, with the Content-Range that follows, answers %s: a blob must come in one part", second.says())
		d.headers(q, repo, post, first, nil)
		return nil
	}
	put, err := d.finish(ctx, q, session, second, data)
	if err != nil {
		return err
	}
	q.answered(repo, "", "an upload in two PATCH requests answers %d, %d, and the PUT that ends it %s", first.status, second.status, put.says())
	d.headers(q, repo, post, first, put)
	return nil
}

// headers says which of the headers that clients like to rely on are there.
func (d *dockerRun) headers(q *Question, repo string, post, patch, put *answer) {
	var lacks []string
	for _, c := range []struct {
		of   string
		a    *answer
		want []string
	}{
		{"POST", post, []string{"Location", "Docker-Upload-UUID", "Range"}},
		{"PATCH", patch, []string{"Location", "Docker-Upload-UUID", "Range"}},
		{"PUT", put, []string{"Location", "Docker-Content-Digest"}},
	} {
		for _, name := range c.want {
			if c.a != nil && c.a.header.Get(name) == "" {
				lacks = append(lacks, c.of+" "+name)
			}
		}
	}
	if lacks == nil {
		q.answered(repo, "BareUploads=false", "the answers of an upload have Location, Docker-Upload-UUID, Range and Docker-Content-Digest")
		return
	}
	q.answered(repo, "BareUploads=true", "the answers of an upload lack %s", strings.Join(lacks, ", "))
}

// patch sends a part that begins at offset.
func (d *dockerRun) patch(ctx context.Context, q *Question, session string, data []byte, offset int) (*answer, error) {
	return d.exchange(ctx, q, call{method: http.MethodPatch, path: session, body: data, header: map[string]string{
		"Content-Type": octetStream, "Content-Range": fmt.Sprintf("%d-%d", offset, offset+len(data)-1)}})
}

// finish ends an upload whose last part had an answer.
func (d *dockerRun) finish(ctx context.Context, q *Question, session string, last *answer, data []byte) (*answer, error) {
	session, err := d.next(session, last)
	if err != nil {
		return nil, err
	}
	of := digest.FromBytes(data)
	put, err := d.exchange(ctx, q, call{method: http.MethodPut, path: withDigest(session, of), body: []byte{}})
	d.keepBlob(put, of)
	return put, err
}

// wrongRange begins an upload in the middle.
func (d *dockerRun) wrongRange(ctx context.Context, q *Question, repo string) error {
	_, session, err := d.start(ctx, q)
	if err != nil {
		return err
	}
	a, err := d.patch(ctx, q, session, d.blob(), 1000)
	if err != nil {
		return err
	}
	if a.ok() {
		q.answered(repo, "StrictRange=false", "a PATCH whose Content-Range does not fit answers %s: the range is not checked", a.says())
	} else {
		q.answered(repo, "StrictRange=true", "a PATCH whose Content-Range does not fit answers %s: the range is checked", a.says())
	}
	d.abandon(ctx, q, session)
	return nil
}

// chunked sends a part without saying how long it is.
func (d *dockerRun) chunked(ctx context.Context, q *Question, repo string) error {
	data := d.blob()
	_, session, err := d.start(ctx, q)
	if err != nil {
		return err
	}
	a, err := d.exchange(ctx, q, call{method: http.MethodPatch, path: session, stream: bytes.NewReader(data), size: -1,
		header: map[string]string{"Content-Type": octetStream}})
	if err != nil {
		return err
	}
	if !a.ok() {
		q.answered(repo, "LengthRequired=true", "a PATCH in chunks, without Content-Length, answers %s: it is refused", a.says())
		d.abandon(ctx, q, session)
		return nil
	}
	put, err := d.finish(ctx, q, session, a, data)
	if err != nil {
		return err
	}
	q.answered(repo, "LengthRequired=false", "a PATCH in chunks, without Content-Length, answers %s, and the PUT that ends it %s", a.says(), put.says())
	return nil
}

// wrongDigest ends an upload with the digest of something else, and then goes on with a
// session that is over.
func (d *dockerRun) wrongDigest(ctx context.Context, q *Question, repo string) error {
	_, session, err := d.start(ctx, q)
	if err != nil {
		return err
	}
	of := digest.FromBytes(d.blob())
	a, err := d.exchange(ctx, q, call{method: http.MethodPut, path: withDigest(session, of), body: d.blob(),
		header: map[string]string{"Content-Type": octetStream}})
	d.keepBlob(a, of)
	if err != nil {
		return err
	}
	if a.ok() {
		q.answered(repo, "", "a PUT with the digest of other bytes answers %s: digests are not checked", a.says())
		return nil
	}
	q.answered(repo, "DigestCode="+errorCodes(a.body), "a PUT with the digest of other bytes answers %s with the error code %s", a.says(), orUnknown(errorCodes(a.body)))
	d.abandon(ctx, q, session)
	a, err = d.patch(ctx, q, session, d.blob(), 0)
	if err != nil {
		return err
	}
	q.answered(repo, fmt.Sprintf("SessionStatus=%d", a.status), "a PATCH of an upload that is over answers %s with the error code %s", a.says(), orUnknown(errorCodes(a.body)))
	return nil
}

// single is question 7.
func (d *dockerRun) single(ctx context.Context, q *Question, repo string) error {
	data := d.blob()
	if err := d.singlePost(ctx, q, repo, bytes.NewReader(data), int64(len(data)), digest.FromBytes(data)); err != nil {
		return err
	}
	if d.o.Large <= 0 {
		q.notAsked("a large blob: add --large SIZE, such as 4GiB; it stays in the blob store until that is cleaned up")
		return nil
	}
	d.o.Talk("hash %d bytes, then send them", d.o.Large)
	of, err := digestOf(ctx, d.zeros(d.o.Large))
	if err != nil {
		return err
	}
	return d.singlePost(ctx, q, repo, d.zeros(d.o.Large), d.o.Large, of)
}

func (d *dockerRun) singlePost(ctx context.Context, q *Question, repo string, body io.Reader, size int64, of digest.Digest) error {
	path := d.v2(d.image+"/blobs/uploads/") + "?digest=" + of.String()
	header := map[string]string{"Content-Type": octetStream}
	if size > maxExcerpt {
		header["Expect"] = "100-continue"
	}
	a, err := d.exchange(ctx, q, call{method: http.MethodPost, path: path, stream: body, size: size, long: true, header: header})
	d.keepBlob(a, of)
	if err != nil {
		return err
	}
	switch a.status {
	case http.StatusCreated:
	case http.StatusAccepted:
		q.answered(repo, "NoSinglePost=true", "one POST with ?digest= and %d bytes answers %s: it opens a session and stores nothing", size, a.says())
		if session, err := d.resolve(d.repo, path, a.header.Get("Location")); err == nil {
			d.abandon(ctx, q, session)
		}
		return nil
	default:
		q.answered(repo, "NoSinglePost=true", "one POST with ?digest= and %d bytes answers %s: it is refused", size, a.says())
		return nil
	}
	head, err := d.exchange(ctx, q, call{method: http.MethodHead, path: d.v2(d.image + "/blobs/" + of.String())})
	if err != nil {
		return err
	}
	if got := head.header.Get("Content-Length"); head.status != http.StatusOK || got != "" && got != fmt.Sprint(size) {
		q.answered(repo, "", "one POST with ?digest= and %d bytes answers %s, but HEAD of the blob %s with Content-Length %q: it is not stored whole", size, a.says(), head.says(), oneLine(got))
		return nil
	}
	q.answered(repo, "NoSinglePost=false", "one POST with ?digest= and %d bytes answers %s, and HEAD finds the blob", size, a.says())
	return nil
}

// mount is question 6.
func (d *dockerRun) mount(ctx context.Context, q *Question, repo string) error {
	blob, err := d.putBlob(ctx, q, octetStream)
	if err != nil {
		return err
	}
	a, session, err := d.begin(ctx, q, d.image+"-mount", "?mount="+blob.Digest.String()+"&from="+d.image)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusCreated:
		q.answered(repo, "Mount=true", "POST with ?mount= of a blob of the same repository answers %s: it is mounted", a.says())
	case session != "":
		q.answered(repo, "Mount=false", "POST with ?mount= of a blob of the same repository answers %s: it opens an upload, nothing is mounted", a.says())
		d.abandon(ctx, q, session)
	default:
		q.answered(repo, "Mount=false", "POST with ?mount= of a blob of the same repository answers %s: it is refused", a.says())
	}
	return nil
}
