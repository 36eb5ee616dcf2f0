package interchange

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

var (
	hexA = strings.Repeat("a", 64)
	hexB = strings.Repeat("b", 64)
)

// asks says what an import asks for, one line each: the shape that the tables compare.
func asks(i *Imported) []string {
	var out []string
	for _, w := range i.Images {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%d image %s %s", w.Line, w.Source, strings.Join(w.Publish, " "))))
	}
	for _, w := range i.Files {
		out = append(out, fmt.Sprintf("%d file %s %s", w.Line, w.Path, w.URL))
	}
	for _, w := range i.Charts {
		out = append(out, fmt.Sprintf("%d chart %s %s %s", w.Line, w.Name, w.Version, w.Repo))
	}
	for _, p := range i.RPMs {
		out = append(out, fmt.Sprintf("%d rpm %s %s %s %d %s", p.Line, p.NEVRA(), p.BaseArch, p.RepoID, p.Size, p.Checksum[:10]))
	}
	return out
}

type importCase struct {
	name, data string
	want       []string // as asks gives it
	notes      []string // a part of each note
	errs       []string // the errors, all of them, without the file
}

func testImport(t *testing.T, format string, cases []importCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := Import(format, "in", []byte(c.data))
			var errs []string
			if err != nil {
				all, ok := errors.AsType[*lockfile.Errors](err)
				if !ok {
					t.Fatalf("%T: %v", err, err)
				}
				for _, one := range all.List {
					errs = append(errs, strings.TrimPrefix(one.Error(), "in:"))
				}
				if report.Classify(err) != report.ClassUsage {
					t.Errorf("class %d, want %d", report.Classify(err), report.ClassUsage)
				}
			}
			if len(errs) != len(c.errs) || slices.ContainsFunc(c.errs, func(want string) bool {
				return !slices.ContainsFunc(errs, func(e string) bool { return strings.HasPrefix(e, want) })
			}) {
				t.Fatalf("errors\n got %q\nwant %q", errs, c.errs)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(c.want, asks(got)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if len(got.Notes) != len(c.notes) {
				t.Fatalf("notes %q, want %q", got.Notes, c.notes)
			}
			for i, n := range c.notes {
				if !strings.Contains(got.Notes[i], n) {
					t.Errorf("note %q, want %q", got.Notes[i], n)
				}
			}
		})
	}
}

func TestImportImages(t *testing.T) {
	testImport(t, "images", []importCase{
		{name: "list", data: "# images\r\n\r\nbusybox\n quay.io/coreos/flannel:v0.13.0  # the net\nbusybox\n" +
			"registry:5000/a/b@sha256:" + hexA + "\nk8s.gcr.io/pause:3.2@sha256:" + hexB,
			want: []string{"3 image busybox", "4 image quay.io/coreos/flannel:v0.13.0",
				"6 image registry:5000/a/b@sha256:" + hexA, "7 image k8s.gcr.io/pause:3.2@sha256:" + hexB}},
		{name: "none", data: "# nothing\n", notes: []string{"asks for nothing"}},
		{name: "byte order mark", data: "\uFEFFbusybox:1\n", want: []string{"1 image busybox:1"}},
		{name: "garbage", data: "busybox one\nA:B:C\nhttps://x/y\nuser:secret@host/x:1\n", errs: []string{
			"1: 2 words, want one image reference a line", "2: image A:B:C: source", "3: image https://x/y: source", "4: image …@host/x:1: source"}},
		{name: "short digest", data: "busybox@sha256:abcd\n", errs: []string{"1: image busybox@sha256:abcd: source"}},
		{name: "from disk", data: "oci-layout:dir\n", errs: []string{"1: image oci-layout:dir: publish is missing"}},
		{name: "not text", data: "busybox\n\xff\n", errs: []string{"2: not UTF-8"}},
		{name: "html", data: "<!DOCTYPE html>\n", errs: []string{"1: 2 words"}},
	})
}

func TestImportImagesLock(t *testing.T) {
	const head = "---\napiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"
	testImport(t, "imageslock", []importCase{
		{name: "digest, tag, relocated", data: head + "images:\n- image: index.docker.io/library/nginx@sha256:" + hexA +
			"\n- image: quay.io/x/y@sha256:" + hexA + "\n  annotations: {kbld.carvel.dev/id: \"quay.io/x/y:1\", other: z}\n" +
			"- image: mirror:5000/bundle@sha256:" + hexB + "\n  annotations:\n    kbld.carvel.dev/id: nginx:1.14\n",
			want: []string{"5 image index.docker.io/library/nginx@sha256:" + hexA, "6 image quay.io/x/y:1@sha256:" + hexA,
				"8 image mirror:5000/bundle@sha256:" + hexB + " library/nginx:1.14"}},
		{name: "empty", data: head, notes: []string{"asks for nothing"}},
		{name: "not pinned", data: head + "images:\n- image: nginx:1\n- {}\n- image: [a]\n- x\n", errs: []string{
			"5: image \"nginx:1\" is not pinned", "6: image is missing", "7: image is a list", "8: an entry of images is \"x\""}},
		{name: "other kind", data: "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: BundleLock\n", errs: []string{"2: kind is \"BundleLock\", want ImagesLock"}},
		{name: "other version", data: "apiVersion: v1\nkind: ImagesLock\n", errs: []string{"1: apiVersion is \"v1\""}},
		{name: "unknown field", data: head + "image: []\n", errs: []string{"4: the file has an unknown field \"image\""}},
		{name: "two documents", data: head + "---\na: b\n", errs: []string{"5: a second document begins"}},
		{name: "nothing", data: "", errs: []string{"1: the file is empty"}},
		{name: "a list", data: "- a\n", errs: []string{"1: the file is a list"}},
	})
}

func TestImportHauler(t *testing.T) {
	const images = "apiVersion: content.hauler.cattle.io/v1\nkind: Images\nmetadata:\n  name: x\n"
	testImport(t, "hauler", []importCase{
		{name: "three kinds", data: images + "spec:\n  images:\n  - name: neuvector/scanner\n  - name: docker.io/a/b@sha256:" + hexA + "\n" +
			"---\napiVersion: content.hauler.cattle.io/v1alpha1\nkind: Charts\nspec:\n  charts:\n  - {name: rancher, repoURL: https://releases.rancher.com/server-charts/stable, version: 2.8.4}\n" +
			"  - {name: hauler, repoURL: \"oci://ghcr.io/hauler-dev\", version: 1.2.0}\n" +
			"---\napiVersion: content.hauler.cattle.io/v1\nkind: Files\nspec:\n  files:\n  - path: https://get.rke2.io/install.sh\n  - {path: \"https://get.rke2.io\", name: install2.sh}\n  - path: /srv/a b.txt\n",
			want: []string{"7 image neuvector/scanner", "8 image docker.io/a/b@sha256:" + hexA,
				"21 file install.sh https://get.rke2.io/install.sh", "22 file install2.sh https://get.rke2.io", "23 file a b.txt file:///srv/a%20b.txt",
				"14 chart rancher 2.8.4 https://releases.rancher.com/server-charts/stable", "15 chart hauler 1.2.0 oci://ghcr.io/hauler-dev"}},
		{name: "annotations and rewrites", data: images + "  annotations:\n    hauler.dev/registry: reg:5000\n    hauler.dev/platform: linux/amd64\nspec:\n  images:\n" +
			"  - {name: a/b:1}\n  - {name: \"quay.io/c:2\", rewrite: \"new/c:3\"}\n  - {name: d, rewrite: /e/f, key: k.pub}\n",
			want:  []string{"10 image reg:5000/a/b:1", "11 image quay.io/c:2 new/c:3", "12 image reg:5000/d e/f:latest"},
			notes: []string{"platform linux/amd64 of image reg:5000/a/b:1", "platform linux/amd64 of image quay.io/c:2", "platform linux/amd64 of image reg:5000/d", "key of image"}},
		{name: "unknown kind", data: "apiVersion: content.hauler.cattle.io/v1\nkind: ImageTxts\nspec: {}\n", errs: []string{"2: kind is \"ImageTxts\", want Images or Files or Charts"}},
		{name: "other group", data: "apiVersion: v1\nkind: Files\nspec: {}\n", errs: []string{"1: apiVersion is \"v1\""}},
		{name: "all problems", data: images + "spec:\n  images:\n  - {nam: x}\n  - {name: \"A B\"}\n---\napiVersion: content.hauler.cattle.io/v1\nkind: Charts\nspec:\n  charts:\n  - {name: ./c.tgz}\n  - {name: c, repoURL: \"https://x\"}\n" +
			"---\napiVersion: content.hauler.cattle.io/v1\nkind: Files\nspec:\n  files:\n  - path: rel/file\n  - path: https://user:pw@host/f\n",
			errs: []string{"7: an entry of images has an unknown field \"nam\"", "7: name is missing", "8: image A B: source",
				"14: chart ./c.tgz has no repoURL", "15: chart c has no version", "21: file \"rel/file\" is a relative path", "22: file f: url holds a user name"}},
		{name: "no spec", data: images, errs: []string{"1: spec is missing"}},
		{name: "chart options", data: "apiVersion: content.hauler.cattle.io/v1\nkind: Charts\nspec:\n  charts:\n  - {name: c, repoURL: \"https://x\", version: 1.0.0, add-images: true, verify: false}\n",
			want: []string{"5 chart c 1.0.0 https://x"}, notes: []string{"in:5: add-images of chart c does not go over"}},
	})
}

func TestImportCompose(t *testing.T) {
	testImport(t, "compose", []importCase{
		{name: "services", data: "version: \"3\"\nx-base: &base\n  image: redis:6\nservices:\n  db:\n    image: \"postgres:${PG:-13.5}\"\n  cache:\n    <<: *base\n" +
			"  both:\n    image: a/b:1\n    build: .\n  built:\n    build: {context: .}\n  more:\n    extends: {service: db}\n  word:\n    extends: cache\n  p:\n    provider: {type: x}\n",
			want:  []string{"6 image postgres:13.5", "3 image redis:6", "10 image a/b:1"},
			notes: []string{"in:9: service both has build, too", "in:12: service built is built, not pulled", "in:18: service p comes from a provider"}},
		{name: "interpolation", data: "services:\n  a:\n    image: ${R:-reg}/x:${T-1}${E:-}\n  b:\n    image: a:$$X\n", errs: []string{"5: image a:$X: source"}},
		{name: "no default", data: "services:\n  a:\n    image: x:${TAG}\n  b:\n    image: y:$TAG\n  c:\n    image: \"z:${TAG:?say it}\"\n  d:\n    image: x:${TAG\n", errs: []string{
			"3: image of service a: ${TAG} has no default", "5: image of service b: $TAG has no default", "7: image of service c:", "9: image of service d:"}},
		{name: "nested default", data: "services:\n  a:\n    image: x:${TAG:-${OTHER:-3}}\n", want: []string{"3 image x:3"}},
		{name: "other files", data: "include: [more.yaml]\nservices:\n  a:\n    extends: {file: base.yaml, service: b}\n", errs: []string{"3: service a extends one of the file base.yaml"}},
		{name: "no services", data: "version: \"3\"\n", errs: []string{"1: services is missing"}},
		{name: "old form", data: "web:\n  image: x\n", errs: []string{"1: unknown field \"web\""}},
		{name: "neither", data: "services:\n  a: {}\n  b:\n  c:\n    image:\n  d: &d\n    extends: d\n", errs: []string{"2: service a has neither", "3: service b is empty", "5: image of service c", "6: service d has neither"}},
		{name: "not YAML", data: "services: [\n", errs: []string{" not valid YAML"}},
		{name: "merged list", data: "x-a: &a {build: .}\nx-b: &b {image: \"m:1\"}\nservices:\n  s:\n    <<: [*b, *a]\n", want: []string{"2 image m:1"}, notes: []string{"has build, too"}},
	})
}

func TestImportRPMLockfile(t *testing.T) {
	const head = "---\nlockfileVersion: 1\nlockfileVendor: redhat\narches:\n"
	pkg := func(file, name, evr string) string {
		return "  - url: http://h/" + file + "\n    repoid: base\n    size: 100\n    checksum: sha256:" + hexA + "\n    name: " + name + "\n    evr: " + evr + "\n"
	}
	testImport(t, "rpm-lockfile", []importCase{
		{name: "two arches", data: head + "- arch: aarch64\n  packages:\n" + pkg("a-1.0-1.noarch.rpm", "a", "1.0-1") +
			"  source:\n" + pkg("a-1.0-1.src.rpm", "a", "1.0-1") + "  module_metadata: []\n- arch: x86_64\n  packages:\n" +
			pkg("lvm2-2.02-6.el7.x86_64.rpm", "lvm2", "7:2.02-6.el7") + "    sourcerpm: lvm2.src.rpm\n- arch: s390x\n  packages: []\n",
			want:  []string{"7 rpm a-1.0-1.noarch aarch64 base 100 sha256:aaa", "23 rpm lvm2-7:2.02-6.el7.x86_64 x86_64 base 100 sha256:aaa"},
			notes: []string{"1 source packages of aarch64", "arch s390x is not carried: 0 packages"}},
		{name: "older form", data: head + "- arch: x86_64\n  packages:\n  - url: http://h/a-1-1.noarch.rpm\n    repoid: r\n", errs: []string{
			"7: name is missing", "7: evr is missing", "7: checksum is missing", "7: size is missing"}},
		{name: "wrong values", data: head + "- arch: x86_64\n  packages:\n" + pkg("b-1.0-1.noarch.rpm", "a", "1.0-1") +
			"  - {url: \"ftp://u:p@h/a-1-1.noarch.rpm\", repoid: r, size: -1, checksum: md5:00, name: a, evr: 1-1}\n", errs: []string{
			"7: the url names the file \"b-1.0-1.noarch.rpm\", but name and evr say a-1.0-1.noarch.rpm", "13: size \"-1\"", "13: checksum \"md5:00\"", "13: url holds a user name"}},
		{name: "arch twice", data: head + "- {arch: x86_64}\n- {arch: x86_64}\n- {}\n", errs: []string{"6: arch x86_64 is there twice", "7: arch is missing"}},
		{name: "other version", data: "lockfileVersion: 2\nlockfileVendor: redhat\narches: []\n", errs: []string{"1: lockfileVersion is \"2\""}},
		{name: "other vendor", data: "lockfileVersion: 1\nlockfileVendor: suse\narches: []\n", errs: []string{"2: lockfileVendor is \"suse\""}},
	})
}

func TestUnknownFormat(t *testing.T) {
	_, err := Import("oras", "in", nil)
	if err == nil || !strings.Contains(err.Error(), "known are compose, hauler, images, imageslock, kubernetes, rpm-lockfile") {
		t.Errorf("%v", err)
	}
	if _, err := Import("images", "in", make([]byte, MaxSize+1)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a file that is too large: %v", err)
	}
}

// Small files that say much must not take long: aliases of themselves, many merges,
// many problems, many notes.
func TestBounds(t *testing.T) {
	merges := "x: &a\n  <<: [*a, *a, *a, *a, *a, *a, *a, *a]\nservices:\n"
	var services, notes, wishes strings.Builder
	for i := range 6000 {
		fmt.Fprintf(&services, "  s%d: *a\n", i)
		fmt.Fprintf(&notes, "  a%dImage: word\n", i)
	}
	for i := range maxWishes + 1 {
		fmt.Fprintf(&wishes, "a:%d\n", i)
	}
	object := "apiVersion: v1\nkind: X\nspec:\n"
	for _, c := range []struct{ name, format, data, err string }{
		{"merges of itself", "compose", merges + "  s: *a\n", "in:4: service s has neither"},
		{"services", "compose", merges + services.String(), "6000 services, more than 5000"},
		{"problems", "images", strings.Repeat("a b\n", 2000), "and 1000 more problems"},
		{"wishes", "images", wishes.String(), "more than 10000 images"},
		{"nodes", "kubernetes", strings.Repeat("[", 1<<20), "not valid YAML"},
		{"documents", "hauler", strings.Repeat("---\na: 1\n", 2000), "more problems"},
	} {
		_, err := Import(c.format, "in", []byte(c.data))
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %.300v, want %q", c.name, err, c.err)
		}
	}
	got, err := Import("kubernetes", "in", []byte(object+notes.String()))
	if err != nil || len(got.Notes) > maxProblems+2 {
		t.Errorf("%d notes, %v", len(got.Notes), err)
	}
}
