package rpm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/rpmpack"
	"github.com/sassoftware/go-rpmutils"

	"airbundle/internal/fuzztest"
	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

// richSpec uses all that the header can say, including what rpmpack has no field for.
func richSpec() rpmtest.Spec {
	return rpmtest.Spec{
		Name: "rich", Epoch: 7, Version: "2.02.187", Release: "6.el7_9.5", Arch: "aarch64",
		Summary: "Short", Description: "Long,\nin <two> lines", License: "GPLv2", Group: "System",
		URL: "https://example.invalid/", Vendor: "Vendor", Packager: "Packager", BuildHost: "builder",
		Requires:  []string{"libc.so.6(GLIBC_2.17)(64bit)", "device-mapper >= 7:1.02.170-6", "(a or b)"},
		Conflicts: []string{"c < 1"}, Obsoletes: []string{"o <= 2"}, Recommends: []string{"r"}, Suggests: []string{"s > 3"},
		Files: []rpmtest.File{
			{Path: "/etc/rich", Mode: 0o40755},
			{Path: "/etc/rich/log", Type: rpmpack.GhostFile},
			{Path: "/usr/bin/rich", Body: "run", Mode: 0o755},
		},
		Changelog: []rpmtest.Change{
			{Time: rpmtest.Built, Author: "New <n@example.invalid>", Text: "- second"},
			{Time: rpmtest.Built.Add(-24 * time.Hour), Author: "Old", Text: "- first\n- things"},
		},
		Tags: map[int]rpmpack.IndexEntry{
			5052: rpmpack.EntryStringSlice([]string{"sup"}), 5053: rpmpack.EntryStringSlice([]string{"4"}), 5054: rpmpack.EntryUint32([]uint32{8}),
			5055: rpmpack.EntryStringSlice([]string{"enh"}), 5056: rpmpack.EntryStringSlice([]string{""}), 5057: rpmpack.EntryUint32([]uint32{0}),
		},
	}
}

func TestRead(t *testing.T) {
	pkg := rpmtest.Build(t, richSpec())
	p := rpmtest.TakeApart(t, pkg)
	got, err := rpm.Read(iotest.HalfReader(bytes.NewReader(pkg)))
	if err != nil {
		t.Fatal(err)
	}
	want := &rpm.Package{
		Name: "rich", Epoch: 7, Version: "2.02.187", Release: "6.el7_9.5", Arch: "aarch64",
		Summary: "Short", Description: "Long,\nin <two> lines", License: "GPLv2", Group: "System",
		URL: "https://example.invalid/", Vendor: "Vendor", Packager: "Packager", BuildHost: "builder",
		SourceRPM: "rich-2.02.187-6.el7_9.5.src.rpm", BuildTime: rpmtest.Built.Unix(), InstalledSize: 3, ArchiveSize: 3,
		HeaderStart: int64(len(pkg) - len(p.Signed())), HeaderEnd: int64(len(pkg) - len(p.Payload)), Compressor: "gzip",
		Provides: []rpm.Dependency{{Name: "rich", Flags: rpm.SenseEqual, EVR: "2.02.187-6.el7_9.5"}},
		Requires: []rpm.Dependency{
			{Name: "libc.so.6(GLIBC_2.17)(64bit)"},
			{Name: "device-mapper", Flags: rpm.SenseGreater | rpm.SenseEqual, EVR: "7:1.02.170-6"},
			{Name: "(a or b)"},
		},
		Conflicts:   []rpm.Dependency{{Name: "c", Flags: rpm.SenseLess, EVR: "1"}},
		Obsoletes:   []rpm.Dependency{{Name: "o", Flags: rpm.SenseLess | rpm.SenseEqual, EVR: "2"}},
		Recommends:  []rpm.Dependency{{Name: "r"}},
		Suggests:    []rpm.Dependency{{Name: "s", Flags: rpm.SenseGreater, EVR: "3"}},
		Supplements: []rpm.Dependency{{Name: "sup", Flags: rpm.SenseEqual, EVR: "4"}},
		Enhances:    []rpm.Dependency{{Name: "enh"}},
		Files: []rpm.File{
			{Dir: "/etc/", Base: "rich", Mode: 0o40755},
			{Dir: "/etc/rich/", Base: "log", Mode: 0o100644, Flags: uint32(rpmpack.GhostFile)},
			{Dir: "/usr/bin/", Base: "rich", Mode: 0o100755},
		},
		Changelog: []rpm.Change{
			{Time: rpmtest.Built.Unix(), Author: "New <n@example.invalid>", Text: "- second"},
			{Time: rpmtest.Built.Unix() - 86400, Author: "Old", Text: "- first\n- things"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Read (-want +got):\n%s", diff)
	}
}

func TestNames(t *testing.T) {
	got, err := rpm.Read(bytes.NewReader(rpmtest.Build(t, richSpec())))
	if err != nil {
		t.Fatal(err)
	}
	for want, got := range map[string]string{
		"7:2.02.187-6.el7_9.5":                got.EVR(),
		"rich-7:2.02.187-6.el7_9.5.aarch64":   got.NEVRA(),
		"rich-2.02.187-6.el7_9.5.aarch64.rpm": got.FileName(),
		"/etc/rich/log":                       got.Files[1].Path(),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if f := got.Files; !f[0].IsDir() || f[0].IsGhost() || f[1].IsDir() || !f[1].IsGhost() || f[2].IsDir() || f[2].IsGhost() {
		t.Errorf("kinds of files: %+v", f)
	}
	plain, err := rpm.Read(bytes.NewReader(rpmtest.Build(t, rpmtest.Spec{Name: "plain"})))
	if err != nil || plain.NEVRA() != "plain-1.0-1.noarch" {
		t.Errorf("NEVRA() = %q, %v", plain.NEVRA(), err)
	}
}

func TestReadTakesNoPayload(t *testing.T) {
	pkg := rpmtest.Build(t, richSpec())
	payload := rpmtest.TakeApart(t, pkg).Payload
	r := bytes.NewReader(pkg)
	if _, err := rpm.Read(r); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(r); !bytes.Equal(rest, payload) {
		t.Errorf("%d bytes are left, want the %d of the payload", len(rest), len(payload))
	}
}

func TestReadSource(t *testing.T) {
	spec := rpmtest.Spec{Name: "src", Tags: map[int]rpmpack.IndexEntry{1106: rpmpack.EntryInt32([]int32{1})}}
	for name, pkg := range map[string][]byte{
		"says so":          rpmtest.Build(t, spec),
		"has no sourcerpm": rpmtest.TakeApart(t, rpmtest.Build(t, rpmtest.Spec{Name: "src"})).Without(t, 1044).Bytes(),
	} {
		p, err := rpm.Read(bytes.NewReader(pkg))
		if err != nil || p.Arch != "src" || p.FileName() != "src-1.0-1.src.rpm" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// unsignedWith puts a header written by hand into a package.
func unsignedWith(t *testing.T, main []byte) []byte {
	t.Helper()
	p := rpmtest.TakeApart(t, rpmtest.Build(t, rpmtest.Spec{Name: "x"})).WithSignature()
	p.Main, p.Payload = main, nil
	return p.Bytes()
}

// named are the entries without which a header names no package.
func named(more ...rpmtest.Tag) []rpmtest.Tag {
	return append([]rpmtest.Tag{
		rpmtest.StringTag(1000, "n"), rpmtest.StringTag(1001, "1"), rpmtest.StringTag(1002, "1"), rpmtest.StringTag(1022, "noarch"), rpmtest.StringTag(1044, "n-1-1.src.rpm"),
	}, more...)
}

func numbers(number, kind uint32, values ...uint64) rpmtest.Tag {
	width := map[uint32]int{kindInt8: 1, kindInt16: 2, kindInt32: 4, kindInt64: 8}[kind]
	var data []byte
	for _, v := range values {
		data = append(data, binary.BigEndian.AppendUint64(nil, v)[8-width:]...)
	}
	return rpmtest.RawTag(number, kind, uint32(len(values)), data)
}

func list(number uint32, values ...string) rpmtest.Tag {
	return rpmtest.RawTag(number, kindStrings, uint32(len(values)), []byte(strings.Join(values, "\x00")+"\x00"))
}

func TestReadOddWidths(t *testing.T) {
	p, err := rpm.Read(bytes.NewReader(unsignedWith(t, rpmtest.WriteHeader(named(
		numbers(1003, kindInt16, 3), numbers(1006, kindInt8, 9), numbers(5009, kindInt64, 1<<40), numbers(1009, kindInt32, 1),
		numbers(271, kindInt64, 1<<41), rpmtest.RawTag(1005, 9, 2, []byte("C\x00translated\x00")),
	)...))))
	if err != nil {
		t.Fatal(err)
	}
	got := []any{p.Epoch, p.BuildTime, p.InstalledSize, p.ArchiveSize, p.Description}
	if diff := cmp.Diff([]any{uint32(3), int64(9), int64(1 << 40), int64(1 << 41), "C"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadMalformed(t *testing.T) {
	good := rpmtest.Build(t, rpmtest.Spec{Name: "x"})
	p := rpmtest.TakeApart(t, good)
	long := strings.Repeat("d", 4097)
	overlap := rpmtest.WriteHeader(named(rpmtest.BinaryTag(1047, make([]byte, 8)))...) // its last entry now takes all data
	binary.BigEndian.PutUint32(overlap[16+16*5+8:], 0)
	binary.BigEndian.PutUint32(overlap[16+16*5+12:], uint32(len(overlap)-16-16*6))
	at := func(tag, kind, offset, count uint32) []byte { // one entry, whatever it says
		var index []byte
		for _, n := range []uint32{tag, kind, offset, count} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
		return rpmtest.HeaderBytes(1, 8, append(index, make([]byte, 8)...))
	}
	for _, tt := range []struct {
		name string
		pkg  []byte
		want string
	}{
		{"no header magic", append(bytes.Clone(p.Lead), make([]byte, 100)...), "signature header begins with 00000000"},
		{"too many entries", unsignedWith(t, rpmtest.HeaderBytes(1<<16, 0, nil)), "65536 entries"},
		{"too much data", unsignedWith(t, rpmtest.HeaderBytes(0, 256<<20+1, nil)), "268435457 bytes"},
		{"too large signature header", append(bytes.Clone(p.Lead), rpmtest.HeaderBytes(0, 64<<20+1, nil)...), "67108865 bytes"},
		{"promises more than there is", unsignedWith(t, rpmtest.HeaderBytes(0, 256<<20, []byte("short"))), "ends inside the header"},
		{"type unknown", unsignedWith(t, at(1000, 10, 0, 1)), "tag 1000: unknown type 10"},
		{"offset behind the end", unsignedWith(t, at(1000, kindBinary, 9, 0)), "tag 1000 begins at byte 9 of 8"},
		{"offset negative", unsignedWith(t, at(1000, kindBinary, 1<<31, 0)), "tag 1000 begins at byte 2147483648"},
		{"numbers behind the end", unsignedWith(t, at(1000, kindInt64, 0, 2)), "2 values end behind the header"},
		{"count overflows", unsignedWith(t, at(1000, kindBinary, 0, 1<<32-1)), "4294967295 values end behind the header"},
		{"too many values", unsignedWith(t, at(1000, kindInt8, 0, 1<<20+1)), "more than the 1048576 allowed"},
		{"strings behind the end", unsignedWith(t, at(1000, kindStrings, 0, 9)), "a string ends behind the header"},
		{"two values of one", unsignedWith(t, at(1000, kindString, 0, 2)), "2 values of a type that has one"},
		{"overlap", unsignedWith(t, overlap), "tag 1047 overlaps"},
		{"twice", unsignedWith(t, rpmtest.WriteHeader(named(rpmtest.StringTag(1000, "m"))...)), "tag 1000 is there twice"},
		{"no name", unsignedWith(t, rpmtest.WriteHeader(rpmtest.StringTag(1001, "1"))), "names no package"},
		{"name as number", unsignedWith(t, rpmtest.WriteHeader(numbers(1000, kindInt32, 1))), "tag 1000 has type 4, want strings"},
		{"epoch as string", unsignedWith(t, rpmtest.WriteHeader(named(rpmtest.StringTag(1003, "1"))...)), "tag 1003 has type 6, want integers"},
		{"binary as numbers", unsignedWith(t, rpmtest.WriteHeader(named(rpmtest.BinaryTag(1003, make([]byte, 8)))...)), "tag 1003 has type 7, want integers"},
		{"lists of unequal length", unsignedWith(t, rpmtest.WriteHeader(named(
			list(1047, "a", "b"), numbers(1112, kindInt32, 0), list(1113, ""))...)), "have 2, 1 and 1 values"},
		{"file in no directory", unsignedWith(t, rpmtest.WriteHeader(named(list(1117, "f"), list(1118, "/"),
			numbers(1116, kindInt32, 1), numbers(1030, kindInt16, 0), numbers(1037, kindInt32, 0))...)), `file "f" is in directory 1 of 1`},
		{"files without modes", unsignedWith(t, rpmtest.WriteHeader(named(list(1117, "f"), list(1118, "/"),
			numbers(1116, kindInt32, 0))...)), "1 file names, 1 directory indexes, 0 modes"},
		{"path too long", unsignedWith(t, rpmtest.WriteHeader(named(list(1117, "f"), list(1118, long),
			numbers(1116, kindInt32, 0), numbers(1030, kindInt16, 0), numbers(1037, kindInt32, 0))...)), "a file name has 4098 bytes"},
		{"changelog without texts", unsignedWith(t, rpmtest.WriteHeader(named(
			numbers(1080, kindInt32, 1), list(1081, "a"))...)), "1 times, 1 authors and 0 texts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := rpm.Read(bytes.NewReader(tt.pkg))
			if wrong := is[*rpm.FormatError](tt.want)(err); wrong != "" {
				t.Errorf("Read() = %+v, error %s", p, wrong)
			}
		})
	}
}

func TestReadTruncated(t *testing.T) {
	pkg := rpmtest.Build(t, richSpec())
	end := len(pkg) - len(rpmtest.TakeApart(t, pkg).Payload)
	for size := range end {
		_, err := rpm.Read(bytes.NewReader(pkg[:size]))
		if _, ok := errors.AsType[*rpm.FormatError](err); !ok || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut to %d of %d bytes: %v", size, end, err)
		}
	}
}

// TestReadPromisesCostNothing: a header may promise 256 MiB, but costs what really comes.
func TestReadPromisesCostNothing(t *testing.T) {
	pkg := unsignedWith(t, rpmtest.HeaderBytes(1<<16-1, 256<<20, make([]byte, 1000)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := rpm.Read(bytes.NewReader(pkg)); err == nil {
		t.Error("no error")
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("a package of %d bytes made Read allocate %d bytes", len(pkg), used)
	}
}

// realPackages are the packages of the optional test data.
func realPackages(t *testing.T) map[string][]byte {
	t.Helper()
	dir := rpmtest.Testdata(t, "rpm", "rpms")
	found := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".rpm") {
			found[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("%d packages in %s: %v", len(found), dir, err)
	}
	return found
}

// TestReadLikeRPM asks rpm about real packages.
func TestReadLikeRPM(t *testing.T) {
	tool := rpmtest.Tool(t, "rpm")
	for path, data := range realPackages(t) {
		p, err := rpm.Read(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		var got strings.Builder
		fmt.Fprintf(&got, "%s %d %s %s %d %d %d\n", p.Name, p.Epoch, p.Version, p.Release, p.BuildTime, p.InstalledSize, p.ArchiveSize)
		for _, f := range p.Files {
			fmt.Fprintf(&got, "%s %d %d\n", f.Path(), f.Mode, f.Flags)
		}
		for _, c := range p.Changelog {
			fmt.Fprintf(&got, "%d %s\n", c.Time, c.Author)
		}
		for _, r := range p.Requires {
			fmt.Fprintf(&got, "%s %d %s\n", r.Name, r.Flags, r.EVR)
		}
		format := "%{name} %{epochnum} %{version} %{release} %{buildtime} %{longsize} %{longarchivesize}\\n" +
			"[%{filenames} %{filemodes} %{fileflags}\\n][%{changelogtime} %{changelogname}\\n][%{requires} %{requireflags} %{requireversion}\\n]"
		want, err := exec.CommandContext(t.Context(), tool, "-qp", "--nosignature", "--qf", format, path).Output()
		if err != nil {
			t.Fatalf("rpm -qp %s: %v", path, err)
		}
		if diff := cmp.Diff(strings.ReplaceAll(string(want), "(none)", ""), got.String()); diff != "" {
			t.Errorf("%s (-rpm +Read):\n%s", path, diff)
		}
	}
}

// TestReadLikeRPMUtils compares with another reader of the same format.
func TestReadLikeRPMUtils(t *testing.T) {
	pkg := rpmtest.Build(t, richSpec())
	got, err := rpm.Read(bytes.NewReader(pkg))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := rpmutils.ReadHeader(bytes.NewReader(pkg))
	if err != nil {
		t.Fatal(err)
	}
	nevra, err := theirs.GetNEVRA()
	if err != nil {
		t.Fatal(err)
	}
	ours := &rpmutils.NEVRA{Name: got.Name, Epoch: strconv.Itoa(int(got.Epoch)), Version: got.Version, Release: got.Release, Arch: got.Arch}
	if diff := cmp.Diff(nevra, ours); diff != "" {
		t.Errorf("NEVRA (-theirs +ours):\n%s", diff)
	}
	ourRange := rpmutils.HeaderRange{Start: int(got.HeaderStart), End: int(got.HeaderEnd)}
	if diff := cmp.Diff(theirs.GetRange(), ourRange); diff != "" {
		t.Errorf("header range (-theirs +ours):\n%s", diff)
	}
	files, err := theirs.GetFiles()
	if err != nil {
		t.Fatal(err)
	}
	var theirPaths, ourPaths []string
	for _, f := range files {
		theirPaths = append(theirPaths, fmt.Sprintf("%s %o", f.Name(), f.Mode()))
	}
	for _, f := range got.Files {
		ourPaths = append(ourPaths, fmt.Sprintf("%s %o", f.Path(), f.Mode))
	}
	if diff := cmp.Diff(theirPaths, ourPaths, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("files (-theirs +ours):\n%s", diff)
	}
}

// TestVerifyRealPackages: none of them is signed by a key known here, and none is damaged.
func TestVerifyRealPackages(t *testing.T) {
	for path, data := range realPackages(t) {
		_, err := rpm.Verify(bytes.NewReader(data), rpmtest.Ring(rpmtest.Key(t)))
		_, unknown := errors.AsType[*rpm.UnknownSignerError](err)
		if signed := strings.Contains(path, "-signed-"); signed != unknown || !signed && !errors.Is(err, rpm.ErrUnsigned) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	key := rpmtest.OtherKey(f) // quick to make, and each fuzzing process makes its own
	p := rpmtest.TakeApart(f, rpmtest.Build(f, richSpec()))
	signed := rpmtest.TakeApart(f, rpmtest.Build(f, signedSpec(key)))
	f.Add(p.Bytes())
	f.Add(signed.Bytes())
	f.Add(append(bytes.Clone(p.Lead), rpmtest.HeaderBytes(3, 100, make([]byte, 148))...))
	ring := rpmtest.Ring(key)
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		if p, err := rpm.Read(bytes.NewReader(data)); (p == nil) == (err == nil) {
			t.Errorf("Read() = %v, %v", p, err)
		}
		signer, err := rpm.Verify(bytes.NewReader(data), ring)
		if err == nil && !bytes.HasSuffix(data, signed.Signed()) {
			t.Errorf("Verify believes %q signed something that it did not", signer)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	spec := richSpec()
	for i := range 1000 {
		spec.Files = append(spec.Files, rpmtest.File{Path: fmt.Sprintf("/usr/share/rich/file-%04d", i)})
	}
	pkg := rpmtest.Build(b, spec)
	b.SetBytes(int64(len(pkg)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rpm.Read(bytes.NewReader(pkg)); err != nil {
			b.Fatal(err)
		}
	}
}
