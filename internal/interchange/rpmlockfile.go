package interchange

import (
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"airbundle/internal/lockfile"
	"airbundle/manifest"
)

// checksumGrammar are the checksums that RPM repositories use.
var checksumGrammar = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}|sha384:[0-9a-f]{96}|sha224:[0-9a-f]{56}|sha1:[0-9a-f]{40})$`)

var rpmLockFields = []string{"url", "repoid", "size", "checksum", "name", "evr", "sourcerpm"}

// readRPMLockfile reads rpms.lock.yaml, what rpm-lockfile-prototype
// (konflux-ci/rpm-lockfile-prototype) writes and Konflux and Hermeto read:
// lockfileVersion 1, lockfileVendor redhat, and for each arch packages, source
// packages and module metadata. The arch of a package is in the name of its file.
// Source packages and module metadata are not carried; a note says so.
func readRPMLockfile(r *reader, data []byte) {
	root := r.document(data)
	if root == nil {
		return
	}
	f := r.fields(root, "the file", "lockfileVersion", "lockfileVendor", "arches")
	if !r.is(root, f, "lockfileVersion", "1") || !r.is(root, f, "lockfileVendor", "redhat", "RedHat") {
		return
	}
	if f["arches"] == nil {
		r.bad(root.Line, "arches is missing")
	}
	seen := map[string]bool{}
	for _, n := range r.list(f, "arches") {
		r.lockedArch(n, seen)
	}
}

func (r *reader) lockedArch(n *yaml.Node, seen map[string]bool) {
	f := r.fields(n, "an entry of arches", "arch", "packages", "source", "module_metadata")
	arch := r.must(f, n.Line, "arch")
	if arch == "" {
		return
	}
	if seen[arch] {
		r.bad(n.Line, "arch %s is there twice", lockfile.Show(arch))
		return
	}
	seen[arch] = true
	packages := r.list(f, "packages")
	if manifest.GoArch(arch) == "" {
		r.note(n.Line, "arch %s is not carried: %d packages are left out", lockfile.Show(arch), len(packages))
		return
	}
	if len(packages) > maxWishes {
		r.bad(n.Line, "%d packages, more than %d", len(packages), maxWishes)
		return
	}
	for _, p := range packages {
		r.lockedRPM(p, arch)
	}
	for _, left := range [][2]string{{"source", "source packages"}, {"module_metadata", "files of module metadata"}} {
		if items := r.list(f, left[0]); len(items) > 0 {
			r.note(items[0].Line, "%d %s of %s are not carried", len(items), left[1], arch)
		}
	}
}

func (r *reader) lockedRPM(n *yaml.Node, arch string) {
	before := len(r.errs.List)
	f := r.fields(n, "a package", rpmLockFields...)
	p := PinnedRPM{
		Name: r.must(f, n.Line, "name"), EVR: r.must(f, n.Line, "evr"), BaseArch: arch,
		RepoID: r.must(f, n.Line, "repoid"), URL: r.must(f, n.Line, "url"),
		Checksum: r.must(f, n.Line, "checksum"), Line: n.Line,
	}
	size := r.must(f, n.Line, "size")
	if len(r.errs.List) > before {
		return // without name and evr: the epoch is nowhere else
	}
	p.EVR = strings.TrimPrefix(p.EVR, "0:")
	var err error
	if p.Size, err = strconv.ParseInt(size, 10, 64); err != nil || p.Size <= 0 {
		r.bad(n.Line, "size %q is not a number of bytes above 0", lockfile.Show(size))
	}
	if !checksumGrammar.MatchString(p.Checksum) {
		r.bad(n.Line, "checksum %q is not algorithm:hex", lockfile.Show(p.Checksum))
	}
	if problem := problem(lockfile.Request{Files: []lockfile.FileWish{{Path: "x", URL: p.URL}}}); problem != "" {
		r.bad(n.Line, "%s", strings.TrimPrefix(problem, "file x: "))
		return
	}
	p.Arch = fileArch(p.URL)
	if want := manifest.RPMFile(p.Name, p.EVR, p.Arch); p.Arch == "" || fileName(p.URL) != want {
		r.bad(n.Line, "the url names the file %q, but name and evr say %s", lockfile.Show(fileName(p.URL)), lockfile.Show(want))
		return
	}
	if len(r.errs.List) == before {
		r.out.RPMs = append(r.out.RPMs, p)
	}
}

func fileName(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return path.Base(u.Path)
}

// fileArch is the arch in NAME-VERSION-RELEASE.ARCH.rpm.
func fileArch(rawURL string) string {
	base, ok := strings.CutSuffix(fileName(rawURL), ".rpm")
	if !ok {
		return ""
	}
	return base[strings.LastIndexByte(base, '.')+1:]
}
