package repodata

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/xmlscan"
)

// bombs unpack to what is given, in some packings.
func bombs(t *testing.T, head, pad string, size int, packings ...string) map[string][]byte {
	t.Helper()
	writers := map[string]func(io.Writer) (io.WriteCloser, error){
		"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		"xz":   func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
		"zstd": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	}
	out := map[string][]byte{}
	for _, name := range packings {
		var packed bytes.Buffer
		w, err := writers[name](&packed)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(w, head)
		block := strings.Repeat(pad, 4096)
		for left := size; err == nil && left > 0; left -= len(block) {
			_, err = io.WriteString(w, block)
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		out[name] = packed.Bytes()
	}
	return out
}

// TestBombs: what unpacks to more than is allowed is refused once it does, with little memory.
func TestBombs(t *testing.T) {
	const limit = 2 << 20
	for what, parts := range map[string][2]string{
		"spaces": {"<metadata>", " "}, "one text": {"<metadata><a>", "aaaaaaaa"}, "elements": {"<metadata>", "<a/>"},
		"one comment": {"<metadata><!--", "--aaaaaa"}, "one CDATA": {"<metadata><a><![CDATA[", "]]aaaaaa"}, "one instruction": {"<?", "aaaaaaa?"},
	} {
		for name, data := range bombs(t, parts[0], parts[1], 2*limit, "gzip", "zstd", "xz") {
			var err error
			used := memory(func() {
				err = unpack(bytes.NewReader(data), limit, func(s *xmlscan.Scanner) error {
					if s.Root("metadata") {
						s.Skip()
					}
					return s.Err()
				})
			})
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("more than the %d bytes allowed", limit)) {
				t.Errorf("%s in %s: %v", what, name, err)
			}
			if used > 20<<20 { // xz and zstd take their windows
				t.Errorf("%s in %s: %d bytes for %d", what, name, used, len(data))
			}
		}
	}
}

// TestBombsHeldWhole: the lists that are read at once are refused at their own limits.
func TestBombsHeldWhole(t *testing.T) {
	for name, data := range bombs(t, "", "# nothing but comments\n", maxModules+1<<20, "gzip", "zstd") {
		if _, err := ParseModules(bytes.NewReader(data)); err == nil || !strings.Contains(err.Error(), "more than the 67108864 bytes") {
			t.Errorf("modules in %s: %v", name, err)
		}
	}
	for name, data := range bombs(t, "<comps>", "                ", maxComps+1<<20, "gzip", "zstd") {
		if _, err := ParseComps(bytes.NewReader(data)); err == nil || !strings.Contains(err.Error(), "more than the 33554432 bytes") {
			t.Errorf("comps in %s: %v", name, err)
		}
	}
}

// bombBzip2 is "<metadata>" and 2 MiB of spaces.
const bombBzip2 = "" +
	"425a6839314159265359e43b0590004042b9808004400000052602040000082000508018054a680d3058200d5024026776ed" +
	"5faafa0803e2ee48a70a121c8760b200"

func TestBombBzip2(t *testing.T) {
	data, err := hex.DecodeString(bombBzip2)
	if err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int64]string{1 << 20: "more than the 1048576 bytes allowed", 4 << 20: "the document ends in element"} {
		err := unpack(bytes.NewReader(data), limit, func(s *xmlscan.Scanner) error {
			if s.Root("metadata") {
				s.Skip()
			}
			return s.Err()
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("limit %d: %v; want %q", limit, err, want)
		}
	}
}

// TestBombOfEntries: a list is held to the memory that there is for it.
func TestBombOfEntries(t *testing.T) {
	for _, tt := range []struct {
		bounds bounds
		entry  string
	}{
		{bounds{entries: 1000, texts: 1 << 20}, "<provides><entry name='a'/></provides>"},
		{bounds{entries: 1000, texts: 1 << 20}, "<file>/a</file>"},
		{bounds{entries: 1 << 20, texts: 1000}, "<provides><entry name='%d'/></provides>"},
		{bounds{entries: 1 << 20, texts: 1000}, "<file>/%d</file>"},
	} {
		for n, refused := range map[int]bool{900: false, 1100: true} {
			var text strings.Builder
			text.WriteString("<metadata><package><name>a</name><arch>a</arch><version ver='1'/><location href='a'/><checksum type='md5'>" + strings.Repeat("0", 32) + "</checksum><format>")
			for i := range n {
				text.WriteString(strings.ReplaceAll(tt.entry, "%d", strconv.Itoa(i)))
			}
			text.WriteString("</format></package></metadata>")
			p := primary{s: xmlscan.New(strings.NewReader(text.String())), b: catalog.NewBuilder(), bounds: tt.bounds}
			p.metadata()
			if got := p.s.Err() != nil && strings.Contains(p.s.Err().Error(), "different texts, allowed"); got != refused {
				t.Errorf("%d of %s with %+v: %v", n, tt.entry, tt.bounds, p.s.Err())
			}
		}
	}
}

// memory returns how many bytes f takes in all.
func memory(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
