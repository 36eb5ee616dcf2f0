package rpm_test

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

func TestCompareVersion(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "1", -1},
		{"1", "1", 0},
		{"1.0", "1.0", 0},
		{"1.0", "2.0", -1},
		{"2.0.1", "2.0", 1},
		{"1.10", "1.9", 1},
		{"1.010", "1.10", 0},
		{"10000000000000000000000", "9999999999999999999999", 1},
		{"1.0", "1_0", 0},
		{"1.0.", "1.0", 0},
		{"1..0", "1.0", 0},
		{"5.5p1", "5.5p10", -1},
		{"10xyz", "10.1xyz", -1},
		{"xyz10", "xyz10.1", -1},
		{"a", "1", -1},
		{"1a", "1.1", -1},
		{"1.0a", "1.0", 1},
		{"B", "a", -1},
		{"1.0~rc1", "1.0", -1},
		{"1.0~rc1", "1.0~rc2", -1},
		{"1.0~~", "1.0~", -1},
		{"1.0~", "1.0.1", -1},
		{"1.0~rc1^git", "1.0~rc1", 1},
		{"1.0^", "1.0", 1},
		{"1.0^git1", "1.0.1", -1},
		{"1.0^git1", "1.0^git2", -1},
		{"1.0^git1~pre", "1.0^git1", -1},
		{"1.0^", "1.0^", 0},
		{"1.0^", "1.0~", 1},
		{"ä", "ö", 0}, // nothing that librpm looks at
	} {
		if got := rpm.CompareVersion(tt.a, tt.b); got != tt.want {
			t.Errorf("CompareVersion(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := rpm.CompareVersion(tt.b, tt.a); got != -tt.want {
			t.Errorf("CompareVersion(%q, %q) = %d, want %d", tt.b, tt.a, got, -tt.want)
		}
	}
}

func TestCompareEVR(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"1.0-1", "1.0-1", 0},
		{"1.0-1", "0:1.0-1", 0},
		{":1.0-1", "0:1.0-1", 0},
		{"1:1.0-1", "2.0-1", 1},
		{"2:1-1", "10:1-1", -1},
		{"1.0-2", "1.0-10", -1},
		{"1.0", "1.0-1", -1},
		{"7:2.02.187-6.el7_9.5", "7:2.02.187-6.el7", 1},
		{"1.0-1-2", "1.0-1-10", -1}, // the release follows the last dash
		{"a:1-1", "a:1-1", 0},       // not an epoch
		{"", "", 0},
	} {
		if got := rpm.CompareEVR(tt.a, tt.b); got != tt.want {
			t.Errorf("CompareEVR(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := rpm.CompareEVR(tt.b, tt.a); got != -tt.want {
			t.Errorf("CompareEVR(%q, %q) = %d, want %d", tt.b, tt.a, got, -tt.want)
		}
	}
}

// TestCompareVersionLikeLibrpm compares with what librpm said of thousands of random pairs.
func TestCompareVersionLikeLibrpm(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(rpmtest.Testdata(t, "rpm", "evr"), "*.tsv"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	pairs, wrong := 0, 0
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			cells := strings.Split(lines.Text(), "\t")
			if len(cells) != 3 {
				t.Fatalf("%s: line %q", name, lines.Text())
			}
			want := strings.Index("<=>", cells[1]) - 1
			pairs++
			if got := rpm.CompareVersion(cells[0], cells[2]); got != want {
				wrong++
				t.Errorf("CompareVersion(%q, %q) = %d, librpm says %s", cells[0], cells[2], got, cells[1])
			}
		}
	}
	t.Logf("%d pairs, %d wrong", pairs, wrong)
}

func BenchmarkCompareVersion(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		rpm.CompareVersion("2.02.187.20240102gitabcdef", "2.02.187.20240103gitabcdef")
	}
}
