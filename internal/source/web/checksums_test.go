package web

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/fuzztest"
)

var (
	hexA = strings.Repeat("a1", 32)
	hexB = strings.Repeat("b2", 32)
)

func TestParseChecksums(t *testing.T) {
	a, b := digest.Digest("sha256:"+hexA), digest.Digest("sha256:"+hexB)
	sha512, md5 := strings.Repeat("c", 128), strings.Repeat("d", 32)
	tests := []struct {
		name, in string
		want     map[string]digest.Digest
		err      string
	}{
		{name: "GNU text", in: hexA + "  f.tgz\n" + hexB + "  g.tgz\n", want: map[string]digest.Digest{"f.tgz": a, "g.tgz": b}},
		{name: "GNU binary", in: hexA + " *f.tgz\n", want: map[string]digest.Digest{"f.tgz": a}},
		{name: "GNU, one space", in: hexA + " f.tgz", want: map[string]digest.Digest{"f.tgz": a}},
		{name: "GNU, tab", in: hexA + "\tf.tgz\n", want: map[string]digest.Digest{"f.tgz": a}},
		{name: "GNU, escaped name", in: `\` + hexA + `  a\\b\nc` + "\n", want: map[string]digest.Digest{"a\\b\nc": a}},
		{name: "backslash in a plain line", in: hexA + `  a\nb` + "\n", want: map[string]digest.Digest{`a\nb`: a}},
		{name: "name with spaces", in: hexA + "  my file (1).iso\n", want: map[string]digest.Digest{"my file (1).iso": a}},
		{name: "path", in: hexA + "  ./f.tgz\n" + hexB + "  bin/linux/amd64/kubeadm\n", want: map[string]digest.Digest{"f.tgz": a, "bin/linux/amd64/kubeadm": b}},
		{name: "BSD", in: "SHA256 (f.tgz) = " + hexA + "\n", want: map[string]digest.Digest{"f.tgz": a}},
		{name: "BSD, parentheses in the name", in: "SHA256 (f (1) = x.tgz) = " + hexA + "\n", want: map[string]digest.Digest{"f (1) = x.tgz": a}},
		{name: "openssl", in: "SHA256(f.tgz)= " + hexA + "\nSHA2-256(g.tgz)= " + hexB + "\n", want: map[string]digest.Digest{"f.tgz": a, "g.tgz": b}},
		{name: "upper case", in: strings.ToUpper(hexA) + "  f.tgz\n", want: map[string]digest.Digest{"f.tgz": a}},
		{name: "bare", in: hexA, want: map[string]digest.Digest{"": a}},
		{name: "bare, with line end", in: hexA + "\r\n", want: map[string]digest.Digest{"": a}},
		{name: "DOS", in: hexA + "  f.tgz\r\n" + hexB + "  g.tgz\r\n", want: map[string]digest.Digest{"f.tgz": a, "g.tgz": b}},
		{name: "byte order mark", in: "\xef\xbb\xbf" + hexA + "  f.tgz\n", want: map[string]digest.Digest{"f.tgz": a}},
		{name: "comments, empty lines", in: "# f.tgz: 12 bytes\n\n" + hexA + "  f.tgz\n\n", want: map[string]digest.Digest{"f.tgz": a}},
		{name: "same twice", in: hexA + "  f\n" + hexA + "  ./f\n", want: map[string]digest.Digest{"f": a}},
		{
			name: "other kinds beside it",
			in:   "MD5 (f) = " + md5 + "\nSHA512 (f) = " + sha512 + "\nSHA256 (f) = " + hexA + "\n" + sha512 + "  f\n" + md5 + "  f\n",
			want: map[string]digest.Digest{"f": a},
		},
		{name: "SHA512/256 is another kind", in: "SHA512/256 (f) = " + hexB + "\nSHA256 (f) = " + hexA, want: map[string]digest.Digest{"f": a}},
		{
			name: "clear-signed",
			in: "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# x\nSHA256 (f) = " + hexA +
				"\n-----BEGIN PGP SIGNATURE-----\nVersion: GnuPG v2\n\niQIcBAEBCAAGBQJX\n-----END PGP SIGNATURE-----\n",
			want: map[string]digest.Digest{"f": a},
		},
		{name: "clear-signed and cut", in: "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n", err: "no sha256"},
		{name: "empty", in: "", err: "no sha256"},
		{name: "only sha512", in: sha512 + "  f\n", err: "no sha256"},
		{name: "a web page", in: "<!DOCTYPE html>\n<html>", err: "line 1: not a checksum with a file name"},
		{name: "hash cut short", in: hexA + "  f\n" + hexB[:63] + "  g\n", err: "line 2:"},
		{name: "not hex", in: "g" + hexA[1:] + "  f\n", err: "line 1:"},
		{name: "words", in: hexA + "  f\nsee also\n", err: "line 2:"},
		{name: "two checksums", in: hexA + "  f\n" + hexB + "  ./f\n", err: `line 2: "f" has two checksums`},
		{name: "two bare", in: hexA + "\n" + hexB + "\n", err: "line 2:"},
		{name: "bare among others", in: hexA + "\n" + hexB + "  g\n", err: "without a name"},
		{name: "escape in a message", in: "\x1b[2J\n", err: "not a checksum with a file name"},
		{name: "a long line", in: strings.Repeat("x", 100_000), err: "not a checksum with a file name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseChecksums([]byte(tt.in))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || len(err.Error()) > 300 {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("error %v, sums (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestChecksums(t *testing.T) {
	want := map[string]digest.Digest{"etcd-v3.4.14-linux-amd64.tar.gz": digest.Digest("sha256:" + hexA)}
	file := hexA + "  etcd-v3.4.14-linux-amd64.tar.gz\n"
	pad := strings.Repeat("# padding\n", maxChecksums/10+1)[:maxChecksums-len(file)-1] + "\n"
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/SHA256SUMS":
			_, _ = w.Write([]byte(file))
		case "/largest":
			_, _ = w.Write([]byte(pad + file))
		case "/too-large":
			_ = http.NewResponseController(w).Flush() // no length said
			_, _ = w.Write([]byte(pad + file + "#"))
		case "/declared-too-large":
			w.Header().Set("Content-Length", fmt.Sprint(maxChecksums+1))
		case "/page":
			_, _ = w.Write([]byte("<html>"))
		case "/cut":
			_, _ = w.Write([]byte(file))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "SHA256SUMS"), []byte(file))
	src := newSource(t, dir)
	for _, url := range []string{s.URL + "/SHA256SUMS", s.URL + "/largest", "file:SHA256SUMS"} {
		got, err := src.Checksums(t.Context(), url)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v, sums (-want +got):\n%s", url, err, diff)
		}
	}
	for path, text := range map[string]string{
		"/too-large":          "more than the 4194304 bytes allowed",
		"/declared-too-large": "4194305 bytes are more than the 4194304 allowed",
		"/page":               "line 1",
		"/cut":                "unexpected EOF",
		"/absent":             "404",
	} {
		_, err := src.Checksums(t.Context(), s.URL+path+"?token=s3cr3t")
		if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: got %v, want %q and no secret", path, err, text)
		}
	}
}

// FuzzParseChecksums: what is parsed and written down again in the plain form is
// the same.
func FuzzParseChecksums(f *testing.F) {
	f.Add([]byte(hexA + "  f\n"))
	f.Add([]byte("SHA256 (f) = " + hexA + "\nMD5 (f) = " + hexA[:32]))
	f.Add([]byte(`\` + hexA + ` *a\nb` + "\r\n"))
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\n\n" + hexA))
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		sums, err := parseChecksums(data)
		if err != nil {
			return
		}
		var out strings.Builder
		for _, name := range slices.Sorted(maps.Keys(sums)) {
			d := sums[name]
			if err := d.Validate(); err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			if name == "" {
				out.WriteString(d.Encoded() + "\n")
				continue
			}
			if strings.TrimRight(name, " \t\r\n") != name {
				return // only the BSD form, which has the name in parentheses, can say it
			}
			esc := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(name)
			fmt.Fprintf(&out, "\\%s  ./%s\n", d.Encoded(), esc)
		}
		again, err := parseChecksums([]byte(out.String()))
		if diff := cmp.Diff(sums, again); err != nil || diff != "" {
			t.Fatalf("error %v, sums (-first +again):\n%s", err, diff)
		}
	})
}
