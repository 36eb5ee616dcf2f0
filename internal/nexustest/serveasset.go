package nexustest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// serveAsset answers GET and HEAD of a stored file, whole or in part.
func (x *exchange) serveAsset(a *asset, etag bool) {
	f, a, err := x.s.open(a)
	switch {
	case isNotExist(err):
		x.htmlError(http.StatusNotFound, x.s.prof.apiPath(x.path))
		return
	case err != nil || a.lost.Load() && x.r.Method != http.MethodHead:
		x.htmlError(http.StatusInternalServerError, "Blob could not be found")
		return
	}
	defer f.Close()
	h := x.w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Last-Modified", a.updated.UTC().Format(http.TimeFormat))
	if etag {
		h["ETag"] = []string{a.etag()}
	}
	if x.notModified(a) {
		h.Del("Content-Type")
		x.w.WriteHeader(http.StatusNotModified)
		return
	}
	if !x.preconditions(a) {
		x.htmlError(http.StatusPreconditionFailed, "Precondition Failed")
		return
	}
	from, length, status := x.partOf(a, etag)
	switch status {
	case http.StatusRequestedRangeNotSatisfiable:
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", a.content.size))
		x.status(status)
		return
	case http.StatusNotImplemented:
		x.htmlError(status, "Multiple ranges not supported")
		return
	case http.StatusPartialContent:
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+length-1, a.content.size))
	}
	x.send(f, from, length, status)
}

// open opens the asset's file. Metadata may be rewritten between finding it and
// opening it; then the new one is meant.
func (s *Server) open(a *asset) (*os.File, *asset, error) {
	for {
		f, err := a.content.open()
		if !isNotExist(err) {
			return f, a, err
		}
		again := s.lookup(a.repo, a.path)
		if again == nil || again == a {
			return nil, a, err
		}
		a = again
	}
}

// send answers with length bytes of the file.
func (x *exchange) send(f io.ReadSeeker, from, length int64, status int) {
	x.w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		x.htmlError(http.StatusInternalServerError, err.Error())
		return
	}
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		io.CopyN(x.w, f, length) // the client went away
	}
}

// etag returns the entity tag, the SHA-1 of the content.
func (a *asset) etag() string { return `"` + a.content.sums["sha1"] + `"` }

// notModified evaluates the conditions that end in 304.
func (x *exchange) notModified(a *asset) bool {
	if match := x.r.Header.Get("If-None-Match"); match != "" {
		return x.s.prof.datastore && matchesTag(match, a.etag())
	}
	since, err := http.ParseTime(x.r.Header.Get("If-Modified-Since"))
	return err == nil && !a.updated.Truncate(time.Second).After(since)
}

// preconditions evaluates the conditions that end in 412; a is nil when there
// is no such file.
func (x *exchange) preconditions(a *asset) bool {
	h := x.r.Header
	if match := h.Get("If-Match"); match != "" && (a == nil || !x.s.prof.datastore || !matchesTag(match, a.etag())) {
		return false
	}
	if since, err := http.ParseTime(h.Get("If-Unmodified-Since")); err == nil && a != nil &&
		a.updated.Truncate(time.Second).After(since) {
		return false
	}
	none := h.Get("If-None-Match")
	if none == "" || a == nil || !x.isWrite() {
		return true
	}
	if none == "*" {
		return !x.s.opts.Quirks.PutIfNoneMatch
	}
	return !x.s.prof.datastore || !matchesTag(none, a.etag())
}

// matchesTag says whether an If-Match or If-None-Match list has the tag.
func matchesTag(list, tag string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.TrimSpace(t); t == tag || t == "*" {
			return true
		}
	}
	return false
}

// partOf returns what part of the asset is wanted and the status for it.
func (x *exchange) partOf(a *asset, etag bool) (from, length int64, status int) {
	size := a.content.size
	spec, ok := strings.CutPrefix(x.r.Header.Get("Range"), "bytes=")
	if !ok || x.r.Method != http.MethodGet || !x.ifRange(a, etag) {
		return 0, size, http.StatusOK
	}
	if strings.Contains(spec, ",") {
		return 0, 0, http.StatusNotImplemented
	}
	from, to, ok := parseRange(spec, size)
	if !ok {
		return 0, size, http.StatusOK
	}
	if from > to {
		return 0, 0, http.StatusRequestedRangeNotSatisfiable
	}
	return from, to - from + 1, http.StatusPartialContent
}

// ifRange says whether the range is still wanted.
func (x *exchange) ifRange(a *asset, etag bool) bool {
	want := x.r.Header.Get("If-Range")
	if want == "" {
		return true
	}
	if at, err := http.ParseTime(want); err == nil {
		return a.updated.Truncate(time.Second).Equal(at)
	}
	return etag && want == a.etag()
}

// parseRange reads "a-b", "a-" or "-n" for a file of that size. The result is
// empty, from > to, when nothing of the file is meant.
func parseRange(spec string, size int64) (from, to int64, ok bool) {
	first, last, found := strings.Cut(strings.TrimSpace(spec), "-")
	if !found {
		return 0, 0, false
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if n <= 0 {
			return 1, 0, err == nil
		}
		return max(size-n, 0), size - 1, err == nil
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 {
		return 0, 0, false
	}
	to = size - 1
	if last != "" {
		end, err := strconv.ParseInt(last, 10, 64)
		if err != nil || end < from {
			return 0, 0, false
		}
		to = min(to, end)
	}
	return from, to, true
}
