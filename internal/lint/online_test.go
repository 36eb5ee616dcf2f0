package lint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
)

// registry is a fake: manifests by digest, and what each source names now.
type registry struct {
	manifests map[digest.Digest]string
	names     map[string]digest.Digest
	down      error
	blob      digest.Digest // what the registry has, and answers as registry:2 does a question for a config
}

func (r registry) Resolve(_ context.Context, source string) (ocispec.Descriptor, error) {
	if d, ok := r.names[source]; ok {
		return ocispec.Descriptor{Digest: d}, nil
	}
	return ocispec.Descriptor{}, &httpx.StatusError{Code: http.StatusNotFound}
}

func (r registry) Manifest(_ context.Context, _ string, d digest.Digest) ([]byte, string, error) {
	if r.down != nil {
		return nil, "", r.down
	}
	if d == r.blob {
		return nil, "", fmt.Errorf("manifest %s: %w", d, &httpx.StatusError{Code: http.StatusInternalServerError})
	}
	raw, ok := r.manifests[d]
	if !ok {
		return nil, "", fmt.Errorf("manifest %s: %w", d, &httpx.StatusError{Code: http.StatusNotFound})
	}
	mediaType := ocispec.MediaTypeImageManifest
	if raw[len(raw)-2] == ']' {
		mediaType = ocispec.MediaTypeImageIndex
	}
	return []byte(raw), mediaType, nil
}

func manifestJSON(config string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"layers":[],"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":1,"digest":%q}}`, config)
}

func indexJSON(amd64, arm64 string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":%q,"platform":{"os":"linux","architecture":"amd64"}},`+
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":%q,"platform":{"os":"linux","architecture":"arm64"}}]}`, amd64, arm64)
}

func TestAskImages(t *testing.T) {
	// The index 1 has the images a (config c) and b (config d); the image a alone is named, too.
	reg := registry{
		manifests: map[digest.Digest]string{
			digest.Digest(dig("1")): indexJSON(dig("a"), dig("b")),
			digest.Digest(dig("a")): manifestJSON(dig("c")), digest.Digest(dig("b")): manifestJSON(dig("d")),
		},
		names: map[string]digest.Digest{"i:1": digest.Digest(dig("1")), "m:1": digest.Digest(dig("a"))},
	}
	for _, c := range []struct {
		name, image string
		down        error
		want        []string
		code        int
	}{
		{name: "index", image: image("i:1", dig("1"), on("amd64", dig("a")))},
		{name: "manifest", image: image("m:1", dig("a"), on("amd64", dig("a")))},
		{name: "image ID of an image", image: image("m:1", dig("c"), on("amd64", dig("c"))), want: []string{"6 config-digest image m:1"}, code: 4},
		{name: "image ID of one in an index", image: image("i:1", dig("c"), on("amd64", dig("c"))), want: []string{"6 config-digest image i:1"}, code: 4},
		{name: "image ID as a platform", image: image("i:1", dig("1"), on("amd64", dig("c"))), want: []string{"6 config-digest image i:1"}, code: 4},
		{name: "image ID as the platform of an image", image: image("m:1", dig("a"), on("amd64", dig("c"))), want: []string{"6 config-digest image m:1"}, code: 4},
		{name: "other platform", image: image("i:1", dig("1"), on("amd64", dig("b"))), want: []string{"6 platform-digest image i:1"}, code: 4},
		{name: "gone", image: image("i:1", dig("9"), on("amd64", dig("a"))), want: []string{"6 gone image i:1"}, code: 4},
		{name: "gone with its name", image: image("z:1", dig("9"), on("amd64", dig("a"))), want: []string{"6 gone image z:1"}, code: 4},
		{name: "down", image: image("i:1", dig("1"), on("amd64", dig("a"))), down: &httpx.StatusError{Code: 503}, want: []string{"6 gone image i:1"}, code: 6},
		{name: "login", image: image("i:1", dig("1"), on("amd64", dig("a"))), down: &httpx.StatusError{Code: 401}, want: []string{"6 gone image i:1"}, code: 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := reg
			r.down = c.down
			rep, _ := run1(t, one+"images:\n"+c.image, Options{Images: r})
			if diff := cmp.Diff(c.want, findings(rep)); diff != "" || rep.Code() != c.code {
				t.Errorf("exit code %d, want %d; -want +got\n%s", rep.Code(), c.code, diff)
			}
			if len(rep.Notes) > 0 {
				t.Errorf("notes %q", rep.Notes)
			}
		})
	}
	// registry:2 answers 500 where a config is asked for as a manifest.
	for id, want := range map[string]string{"d": "6 config-digest image i:1", "9": "6 gone image i:1"} {
		r := reg
		r.blob = digest.Digest(dig(id))
		rep, _ := run1(t, one+"images:\n"+image("i:1", dig(id), on("amd64", dig(id))), Options{Images: r})
		if diff := cmp.Diff([]string{want}, findings(rep)); diff != "" {
			t.Errorf("answer 500: -want +got\n%s", diff)
		}
	}
	// What cannot be found out cannot be accepted.
	r := reg
	r.down = &httpx.StatusError{Code: 503}
	rep, _ := run1(t, one+"images:\n"+image("i:1", dig("1"), on("amd64", dig("a")))+"accept:\n  - {finding: gone, artifact: \"i:1\", why: x}\n", Options{Images: r})
	if rep.Code() != 6 {
		t.Errorf("exit code %d, want 6", rep.Code())
	}
}

// headers is a fake: packages by URL.
type headers map[string]*rpm.Package

func (h headers) Header(_ context.Context, url string, _ int64) (*rpm.Package, error) {
	if p, ok := h[url]; ok {
		return p, nil
	}
	return nil, errors.Join(&httpx.StatusError{Code: http.StatusNotFound})
}

func TestAskRPMs(t *testing.T) {
	lock := one + "rpms:\n"
	h := headers{}
	for name, requires := range map[string][]string{
		"old": {"rpmlib(PayloadIsXz)", "rpmlib(FileDigests)", "libc.so.6"}, "zstd": {"rpmlib(PayloadIsZstd)", "rpmlib(RichDependencies)", "rpmlib(PayloadIsZstd)"},
		"other": nil,
	} {
		p := &rpm.Package{Name: name, Version: "1", Release: "1", Arch: "x86_64"}
		for _, r := range requires {
			p.Requires = append(p.Requires, rpm.Dependency{Name: r})
		}
		h["https://h/"+name] = p
	}
	h["https://h/other"].Version = "2"
	for i, name := range []string{"old", "zstd", "other", "unreachable"} {
		lock += pkg(name, "1-1", "x86_64", "7/x86_64", dig(string(rune('a'+i))))
	}
	lock += pkg("zstd", "1-1", "x86_64", "9/x86_64", dig("b"))
	rep, _ := run1(t, lock, Options{Headers: h})
	want := []string{"7 rpmlib rpm zstd-1-1.x86_64", "8 wrong-header rpm other-1-1.x86_64", "9 rpmlib rpm unreachable-1-1.x86_64"}
	if diff := cmp.Diff(want, findings(rep)); diff != "" || rep.Code() != 4 {
		t.Errorf("exit code %d, -want +got\n%s", rep.Code(), diff)
	}
	i := slices.IndexFunc(rep.Findings(), func(r report.Record) bool { return r.Name == "zstd-1-1.x86_64" })
	if got, want := rep.Findings()[i].Reason, "it needs rpmlib(PayloadIsZstd), rpmlib(RichDependencies), which rpm 4.11 of EL7 does not have"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}
