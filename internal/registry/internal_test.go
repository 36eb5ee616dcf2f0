package registry

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/digestio"
	"airbundle/internal/fuzztest"
	"airbundle/internal/httpx"
)

func bytesOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func descriptor(b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromBytes(b), Size: int64(len(b))}
}

var readers = map[string]func(io.Reader) io.Reader{
	"whole": func(r io.Reader) io.Reader { return r },
	"bytes": iotest.OneByteReader,
	"halfs": iotest.HalfReader,
	"eof":   iotest.DataErrReader,
}

func TestBodyGivesAll(t *testing.T) {
	for label, wrap := range readers {
		for _, n := range []int{0, 1, 2, 3, bodyBuffer - 1, bodyBuffer, bodyBuffer + 1, 3*bodyBuffer + 5} {
			data := bytesOf(n)
			b := newBody(io.NopCloser(wrap(bytes.NewReader(data))), descriptor(data))
			if err := iotest.TestReader(b, data); err != nil {
				t.Errorf("%s, %d bytes: %v", label, n, err)
			}
			if sent, err := b.outcome(); sent != int64(n) || err != nil {
				t.Errorf("%s, %d bytes: sent %d, %v", label, n, sent, err)
			}
		}
	}
}

func TestBodyKeepsTheLastByte(t *testing.T) {
	good := bytesOf(bodyBuffer + 100)
	bad := bytes.Clone(good)
	bad[10]++
	for label, wrap := range readers {
		for _, data := range [][]byte{bad, good[:len(good)-1], append(bytes.Clone(good), 1), nil} {
			for _, step := range []int{1, 512, 1 << 20} {
				b := newBody(io.NopCloser(wrap(bytes.NewReader(data))), descriptor(good))
				n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{b}, make([]byte, step))
				if n >= int64(len(good)) || !as[*digestio.MismatchError](err) {
					t.Errorf("%s: %d of %d bytes were given, %v", label, n, len(good), err)
				}
				sent, why := b.outcome()
				if sent != n || !as[*digestio.MismatchError](why) {
					t.Errorf("%s: outcome is %d, %v", label, sent, why)
				}
				if _, again := b.Read(make([]byte, 5)); again == nil || errors.Is(again, io.EOF) {
					t.Errorf("%s: the error does not stick: %v", label, again)
				}
			}
		}
	}
}

func TestBodyClosed(t *testing.T) {
	closed := 0
	rc := struct {
		io.Reader
		io.Closer
	}{bytes.NewReader([]byte("abc")), closeFunc(func() error { closed++; return nil })}
	b := newBody(rc, descriptor([]byte("abc")))
	if err := errors.Join(b.Close(), b.Close()); err != nil || closed != 1 {
		t.Errorf("closed %d times, %v", closed, err)
	}
	if n, err := b.Read(make([]byte, 3)); n != 0 || !errors.Is(err, errBodyClosed) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := b.outcome(); err != nil {
		t.Errorf("the source is not to blame: %v", err)
	}
}

type closeFunc func() error

func (f closeFunc) Close() error { return f() }

func TestBearerChallenge(t *testing.T) {
	for _, tt := range []struct {
		headers []string
		want    map[string]string
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{`BASIC realm="Sonatype Nexus Repository Manager"`}, nil},
		{[]string{`Bearer`}, map[string]string(nil)},
		{[]string{`Bearer realm="https://a/t",service="s",scope="x y"`}, map[string]string{"realm": "https://a/t", "service": "s", "scope": "x y"}},
		{[]string{`bearer Realm=https://a/t , Service=s`}, map[string]string{"realm": "https://a/t", "service": "s"}},
		{[]string{`Basic realm="a, b=c", Bearer realm="r\"q"`}, map[string]string{"realm": `r"q`}},
		{[]string{`Negotiate`, `Basic realm="x"`, `Bearer realm="r"`}, map[string]string{"realm": "r"}},
		{[]string{`Negotiate, Bearer realm="r"`}, map[string]string{"realm": "r"}},
		{[]string{`Bearer realm="open`}, map[string]string{"realm": "open"}},
		{[]string{`=,=, Bearer realm="r"`}, map[string]string{"realm": "r"}},
		{[]string{`Digest a=b =c, , Bearer realm=""`}, map[string]string{"realm": ""}},
	} {
		got, _ := bearerChallenge(http.Header{"Www-Authenticate": tt.headers})
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q: %s", tt.headers, diff)
		}
	}
}

func FuzzBearerChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://a/t",service="s",scope="x y"`)
	f.Add(`Basic realm="a, b=c", Bearer realm="r\"q", Negotiate`)
	f.Add(`=,= "`)
	fuzztest.Run(f, func(t *testing.T, s string) {
		params, ok := bearerChallenge(http.Header{"Www-Authenticate": {s}})
		if !ok && len(params) > 0 && len(s) == 0 {
			t.Error("parameters out of nothing")
		}
	})
}

func TestRetryWaits(t *testing.T) {
	var r Retry
	for attempt, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second, 1000: 30 * time.Second} {
		for range 50 {
			if got := r.wait(attempt, 0); got < want*3/4 || got > want*5/4 {
				t.Errorf("after attempt %d: %v", attempt, got)
			}
		}
	}
	if got := r.wait(1, time.Minute); got != time.Minute {
		t.Errorf("asked for a minute: %v", got)
	}
	if r.attempts() != 6 || (Retry{Attempts: 2}).attempts() != 2 {
		t.Error("attempts")
	}
}

func TestErrorsForOthers(t *testing.T) {
	exit := func(err error) int {
		var c interface{ ExitCode() int }
		if errors.As(err, &c) {
			return c.ExitCode()
		}
		return 0
	}
	frozen := classify(&answer{StatusError: &httpx.StatusError{Code: 503, Reason: "Nexus Repository Manager is in read-only mode"}})
	for label, err := range map[string]error{"read-only": frozen, "refused": refuse("x"), "conflict": &ConflictError{}} {
		if exit(err) != 7 {
			t.Errorf("%s: exit code %d", label, exit(err))
		}
	}
	if busy := classify(&answer{StatusError: &httpx.StatusError{Code: 503}}); errors.Is(busy, ErrReadOnly) || exit(busy) != 0 {
		t.Error("any 503 is taken for read-only")
	}
	gone := &NotFoundError{&httpx.StatusError{Code: 404, Reason: "Repository not found"}}
	if !errors.Is(gone, errdef.ErrNotFound) || errors.Is(gone, errdef.ErrAlreadyExists) || httpx.StatusCode(gone) != 404 || !strings.Contains(gone.Error(), "Repository not found") {
		t.Errorf("%v", gone)
	}
}
