package serve_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/serve"
)

// A logBuffer is a log that goroutines write.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestRangesAndConditions(t *testing.T) {
	const size = 100_000
	content := noise(7, size)
	tag := `"` + string(digest.FromBytes(content)) + `"`
	f := newFixture(t)
	f.file("dir/data.bin", content)
	ts := f.start(serve.Options{})

	type result struct {
		Status        int
		From, To      int // of the body in the content
		ContentRange  string
		ContentLength int64
	}
	whole := result{200, 0, size, "", size}
	part := func(from, to int) result {
		return result{206, from, to, fmt.Sprintf("bytes %d-%d/%d", from, to-1, size), int64(to - from)}
	}
	for _, tt := range []struct {
		name    string
		headers []string
		want    result
	}{
		{"none", nil, whole},
		{"first bytes", []string{"Range", "bytes=0-9"}, part(0, 10)},
		{"middle", []string{"Range", "bytes=70000-70001"}, part(70000, 70002)},
		{"resume", []string{"Range", "bytes=99999-"}, part(99999, size)},
		{"all as a range", []string{"Range", "bytes=0-"}, part(0, size)},
		{"suffix", []string{"Range", "bytes=-500"}, part(size-500, size)},
		{"end too large", []string{"Range", "bytes=99990-200000"}, part(99990, size)},
		{"behind the end", []string{"Range", "bytes=100000-"}, result{416, 0, 0, "bytes */100000", -1}},
		{"several", []string{"Range", "bytes=0-1,5-6"}, whole},
		{"other unit", []string{"Range", "lines=1-2"}, whole},
		{"if-range right", []string{"Range", "bytes=1-2", "If-Range", tag}, part(1, 3)},
		{"if-range wrong", []string{"Range", "bytes=1-2", "If-Range", `"sha256:other"`}, whole},
		{"if-range date", []string{"Range", "bytes=1-2", "If-Range", "Wed, 21 Oct 2015 07:28:00 GMT"}, whole},
		{"none-match right", []string{"If-None-Match", tag}, result{Status: 304, ContentLength: -1}},
		{"none-match list", []string{"If-None-Match", `"a", W/` + tag}, result{Status: 304, ContentLength: -1}},
		{"none-match any", []string{"If-None-Match", "*"}, result{Status: 304, ContentLength: -1}},
		{"none-match wrong", []string{"If-None-Match", `"a"`}, whole},
		{"match wrong", []string{"If-Match", `"a"`}, result{412, 0, 0, "", 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := get(t, ts, "/repository/raw-hosted/dir/data.bin", tt.headers...)
			want := content[tt.want.From:tt.want.To]
			if resp.StatusCode < 300 && !bytes.Equal(body, want) {
				t.Errorf("%d bytes of body are not bytes %d to %d", len(body), tt.want.From, tt.want.To)
			}
			got := result{resp.StatusCode, tt.want.From, tt.want.To, resp.Header.Get("Content-Range"), resp.ContentLength}
			if tt.want.ContentLength < 0 {
				got.ContentLength = tt.want.ContentLength // an error text, or none
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if resp.StatusCode < 400 && resp.Header.Get("Etag") != tag {
				t.Errorf("ETag %s, want %s", resp.Header.Get("Etag"), tag)
			}
			head, body, err := do(t, ts, http.MethodHead, "/repository/raw-hosted/dir/data.bin", tt.headers...)
			wantStatus := resp.StatusCode
			if wantStatus == 206 || wantStatus == 416 {
				wantStatus = 200 // ranges mean GET only
			}
			if err != nil || head.StatusCode != wantStatus || len(body) != 0 {
				t.Errorf("HEAD = %d, %d bytes, %v; want %d", head.StatusCode, len(body), err, wantStatus)
			}
		})
	}
}

// TestStoreWithoutSections has nothing to read ranges from.
func TestStoreWithoutSections(t *testing.T) {
	f := newFixture(t)
	content := noise(7, 5000)
	f.file("a", content)
	f.store.noSections = true
	ts := f.start(serve.Options{})
	resp, body := get(t, ts, "/repository/raw-hosted/a", "Range", "bytes=10-20")
	if resp.StatusCode != 200 || !bytes.Equal(body, content) {
		t.Errorf("range of an unseekable blob: status %d, %d bytes; want all of it", resp.StatusCode, len(body))
	}
}

func TestEmptyFile(t *testing.T) {
	f := newFixture(t)
	f.file("empty", nil)
	ts := f.start(serve.Options{})
	resp, body := get(t, ts, "/repository/raw-hosted/empty")
	if resp.StatusCode != 200 || len(body) != 0 || resp.ContentLength != 0 {
		t.Errorf("empty file: %d, %d bytes, length %d", resp.StatusCode, len(body), resp.ContentLength)
	}
}

// TestDamageNeverEndsWell damages blobs in all ways that keep the table as it was:
// no answer may arrive whole with status 200, nor 206 when it is all of the blob.
func TestDamageNeverEndsWell(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(raw []byte) []byte { raw = bytes.Clone(raw); raw[at] ^= 1; return raw }
	}
	for _, tt := range []struct {
		name   string
		size   int
		damage func([]byte) []byte
	}{
		{"first byte", 500_000, flip(0)},
		{"middle", 500_000, flip(250_000)},
		{"last byte", 500_000, flip(499_999)},
		{"one byte", 1, flip(0)},
		{"cut", 500_000, func(raw []byte) []byte { return raw[:len(raw)-1] }},
		{"cut to nothing", 10, func([]byte) []byte { return nil }},
		{"too long", 500_000, func(raw []byte) []byte { return append(bytes.Clone(raw), 0) }},
		{"no longer empty", 0, func([]byte) []byte { return []byte("x") }},
	} {
		for _, sections := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%t", tt.name, sections), func(t *testing.T) {
				f := newFixture(t)
				d := f.file("data", noise(3, tt.size))
				f.store.noSections = !sections
				var log, access logBuffer
				ts := f.start(serve.Options{Log: slog.New(slog.NewTextHandler(&log, nil)), AccessLog: &access})
				raw, _ := f.store.get(d.Digest)
				f.store.set(d.Digest, tt.damage(raw))

				for _, headers := range [][]string{nil, {"Range", "bytes=0-"}} {
					resp, body, err := do(t, ts, http.MethodGet, "/repository/raw-hosted/data", headers...)
					if err == nil {
						t.Errorf("%v: status %d with %d bytes arrived as if whole", headers, resp.StatusCode, len(body))
					}
				}
				if !strings.Contains(log.String(), string(d.Digest)) || !strings.Contains(log.String(), "/repository/raw-hosted/data") {
					t.Errorf("the log does not name digest and path: %s", log.String())
				}
				ts.Close() // waits for the log lines
				if lines := strings.Count(access.String(), " cut\n"); lines != 2 {
					t.Errorf("%d lines of the access log say cut, want 2:\n%s", lines, access.String())
				}
			})
		}
	}
}

func TestDamagedManifestAndLayer(t *testing.T) {
	f := newFixture(t)
	image := f.onePlatform("quay.io/a/b:1", 1)
	layer := f.table.Blobs[0].Digest
	ts := f.start(serve.Options{})
	for _, tt := range []struct {
		path string
		d    digest.Digest
	}{
		{"/v2/a/b/manifests/1", image.Digest},
		{"/v2/a/b/blobs/" + string(layer), layer},
	} {
		if resp, _ := get(t, ts, tt.path); resp.StatusCode != 200 {
			t.Fatalf("%s before the damage: %d", tt.path, resp.StatusCode)
		}
		raw, _ := f.store.get(tt.d)
		raw = bytes.Clone(raw)
		raw[len(raw)/2] ^= 0x20
		f.store.set(tt.d, raw)
		if resp, body, err := do(t, ts, http.MethodGet, tt.path); err == nil {
			t.Errorf("%s damaged: status %d, %d bytes", tt.path, resp.StatusCode, len(body))
		}
	}
}

// TestDamageBehindARange says what ranges promise: their bytes as they lie there.
func TestDamageBehindARange(t *testing.T) {
	f := newFixture(t)
	content := noise(3, 1000)
	d := f.file("data", content)
	ts := f.start(serve.Options{})
	damaged := bytes.Clone(content)
	damaged[500] ^= 1
	f.store.set(d.Digest, damaged)
	resp, body := get(t, ts, "/repository/raw-hosted/data", "Range", "bytes=400-599")
	if resp.StatusCode != 206 || !bytes.Equal(body, damaged[400:600]) {
		t.Errorf("status %d, %d bytes", resp.StatusCode, len(body))
	}
}

func TestMissingBlob(t *testing.T) {
	f := newFixture(t)
	d := f.file("data", noise(3, 1000))
	ts := f.start(serve.Options{})
	f.store.mu.Lock()
	delete(f.store.blobs, d.Digest)
	f.store.mu.Unlock()
	_, _, err := do(t, ts, http.MethodGet, "/repository/raw-hosted/data")
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a blob that the store has lost: %v, want a broken connection", err)
	}
}

// BenchmarkDownload is a whole verified blob over a connection.
func BenchmarkDownload(b *testing.B) {
	const size = 64 << 20
	f := newFixture(b)
	f.file("large", noise(1, size))
	ts := f.start(serve.Options{})
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, ts.URL+"/repository/raw-hosted/large", nil)
		if err != nil {
			b.Fatal(err)
		}
		resp, err := ts.Client().Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
			b.Fatalf("%d bytes, %v", n, err)
		}
		resp.Body.Close()
	}
}
