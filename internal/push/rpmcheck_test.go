package push_test

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/bundletest"
	"airbundle/internal/nexustest"
	"airbundle/internal/push"
	"airbundle/internal/report"
	"airbundle/internal/rpmtest"
)

// A swapped store has other bytes for some content when it is read in any order, and counts
// what is read so.
type swapped struct {
	push.Store
	with map[digest.Digest][]byte
	read atomic.Int64
}

func (s *swapped) Section(d digest.Digest) (*io.SectionReader, bool) {
	section, ok := s.Store.Section(d)
	if raw, other := s.with[d]; other {
		section = io.NewSectionReader(bytes.NewReader(raw), 0, int64(len(raw)))
	}
	if !ok {
		return nil, false
	}
	return io.NewSectionReader(&countedAt{section, &s.read}, 0, section.Size()), true
}

type countedAt struct {
	io.ReaderAt
	n *atomic.Int64
}

func (c *countedAt) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, at)
	c.n.Add(int64(n))
	return n, err
}

// Contract 4.2, 4.3.
// TestBadRPM: a package with a bad header is told and not sent; the others are listed,
// which they would not be if it were there. Whether the server checks what it gets does not
// matter.
func TestBadRPM(t *testing.T) {
	other := rpmtest.Build(t, rpmtest.Spec{Name: "other"})
	for name, c := range map[string]struct {
		bad  func(good []byte) []byte
		says string
	}{
		"no RPM":          {func([]byte) []byte { return []byte("no package") }, "malformed RPM package"},
		"half a header":   {func(good []byte) []byte { return good[:300] }, "malformed RPM package: it ends inside"},
		"damaged header":  {func(good []byte) []byte { return bytes.Replace(good, []byte("/usr/share/"), []byte("/usr/shore/"), 1) }, "its header SHA-256 is "},
		"another package": {func([]byte) []byte { return other }, "its header says that it is other-1.0-1.noarch, the bundle has it as hello-1.2-3.x86_64"},
		"another version": {func([]byte) []byte {
			return rpmtest.Build(t, rpmtest.Spec{Name: "hello", Version: "1.3", Release: "3", Arch: "x86_64"})
		}, "says that it is hello-1.3-3.x86_64"},
		"another epoch": {func([]byte) []byte {
			return rpmtest.Build(t, rpmtest.Spec{Name: "hello", Epoch: 1, Version: "1.2", Release: "3", Arch: "x86_64"})
		}, "says that it is hello-1:1.2-3.x86_64"},
		"another arch": {func([]byte) []byte {
			return rpmtest.Build(t, rpmtest.Spec{Name: "hello", Version: "1.2", Release: "3", Arch: "i686"})
		}, "says that it is hello-1.2-3.i686"},
		"damaged compress": {func(good []byte) []byte { return bytes.Replace(good, []byte("cpio"), []byte("cpiO"), 1) }, "its header SHA-256 is "},
	} {
		for _, checked := range []bool{false, true} {
			b := newYumBench(t, nexustest.Options{Quirks: nexustest.Quirks{CheckRPM: checked}}, nexustest.Repository{}, nil)
			bad := b.archive.Bundle().Table.RPMs[0]
			if bad.Arch != "x86_64" {
				bad = b.archive.Bundle().Table.RPMs[1]
			}
			desc, _ := b.archive.Bundle().Blob(bad.Digest)
			good, err := b.archive.Read(t.Context(), desc)
			if err != nil {
				t.Fatal(err)
			}
			b.store = &swapped{Store: b.archive, with: map[digest.Digest][]byte{bad.Digest: c.bad(good)}}
			for _, dry := range []bool{true, false} {
				rep := b.push(push.Options{DryRun: dry})
				t.Log(name)
				b.findings(rep, 1, report.Failed, report.ClassContent, "it is not sent", c.says)
				if !dry && (rep.Counts()[report.Sent] != 3 || len(b.puts(bad.File())) != 0) {
					t.Errorf("%s: %v, sent %d times", name, rep.Counts(), len(b.puts(bad.File())))
				}
			}
		}
	}
}

// TestCheckReadsHeadersOnly: of a large package the check reads a part.
func TestCheckReadsHeadersOnly(t *testing.T) {
	b := newYumBench(t, nexustest.Options{}, nexustest.Repository{}, func(f *bundletest.Fixture) {
		random := make([]byte, 4<<20)
		for i := range random {
			random[i] = byte(i*i>>3) ^ byte(i>>7)
		}
		f.AddRPM(t, "os/x86_64", rpmtest.Spec{Name: "big", Compressor: "zstd", Files: []rpmtest.File{{Path: "/usr/share/big", Body: string(random)}}})
	})
	store := &swapped{Store: b.archive}
	b.store = store
	b.clean(b.push(push.Options{}))
	if n := store.read.Load(); n == 0 || n > 3*64<<10 {
		t.Errorf("the check read %d bytes of three packages", n)
	}
}

// Contract 4.3.
// TestZstdPayload: that an old server may not read a package is told; that it does not, is
// seen when it refuses it or makes no metadata.
func TestZstdPayload(t *testing.T) {
	const note = "1 packages have zstd payloads (os/x86_64/packed-1.0-1.noarch.rpm)"
	for _, c := range []struct {
		profile         nexustest.Profile
		refuse, checked bool
	}{
		{nexustest.Orient340, false, false}, {nexustest.H2371, false, false}, {nexustest.CE396, false, false},
		{nexustest.Orient340, true, false}, {nexustest.Orient340, true, true},
	} {
		wait, rebuild := 10*time.Second, time.Duration(0)
		if c.refuse && !c.checked {
			// All packages are there before the server first makes metadata of any.
			wait, rebuild = 1500*time.Millisecond, 500*time.Millisecond
		}
		b := newYumBench(t, nexustest.Options{Profile: c.profile, RebuildDelay: rebuild, Quirks: nexustest.Quirks{RefuseZstd: c.refuse, CheckRPM: c.checked}}, nexustest.Repository{}, func(f *bundletest.Fixture) {
			f.AddRPM(t, "os/x86_64", rpmtest.Spec{Name: "packed", Compressor: "zstd", Files: []rpmtest.File{{Path: "/usr/share/packed", Body: "x"}}})
		})
		rep := b.push(push.Options{MetadataWait: wait})
		switch {
		case !c.refuse:
			b.clean(rep)
		case c.checked:
			b.findings(rep, 1, report.Failed, report.ClassRefused, "Invalid RPM", "its header is good", "--rpm-layout raw")
		default:
			b.findings(rep, 3, report.Missing, report.ClassIncomplete, "metadata not rebuilt", "Invalid RPM")
		}
		if noted(rep, note) != (c.profile == nexustest.Orient340) {
			t.Errorf("%s: notes %q", c.profile, rep.Notes)
		}
	}
}
