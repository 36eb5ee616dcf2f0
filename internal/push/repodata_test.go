package push_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/archive"
	"airbundle/internal/audit"
	"airbundle/internal/bundletest"
	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/push"
	"airbundle/internal/report"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpmtest"
	"airbundle/internal/target"
)

const repomdOfX86 = "os/x86_64/repodata/repomd.xml"

// A rawBench is a Nexus that has a raw repository, and an archive whose RPMs go there.
type rawBench struct{ *nexusBench }

func newRawBench(t *testing.T, o nexustest.Options, policy string) *rawBench {
	t.Helper()
	f := bundletest.New(t)
	f.Metadata("os/x86_64", "comps", "<comps/>")
	a, err := archive.Open(f.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	o.Repositories = []nexustest.Repository{{Name: "raw-hosted", Format: "raw", WritePolicy: policy, Strict: true}}
	double := nexustest.Start(t, o)
	u, err := url.Parse(double.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := httpx.NewClient(httpx.NewTransport(httpx.Options{Attempts: 2, Backoff: func(int) time.Duration { return time.Millisecond }}))
	n := nexus.New(nexus.Options{URL: u, Client: client, Username: nexustest.Username, Password: nexustest.Password})
	return &rawBench{&nexusBench{t: t, archive: a, double: double, nexus: n}}
}

func (b *rawBench) items(s target.Selection) []target.Item {
	b.t.Helper()
	places := target.Default()
	places.RawRPMs = true
	items, err := places.Items(b.archive.Bundle().Table, s)
	if err != nil {
		b.t.Fatal(err)
	}
	return items
}

func (b *rawBench) push(o push.Options, only ...string) (*report.Report, *push.Summary) {
	b.t.Helper()
	rep, sum, err := push.Run(b.t.Context(), b.archive.Bundle(), b.archive, b.items(target.Selection{Only: only}), push.Target{Name: "nexus", Assets: b.nexus}, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return rep, sum
}

func (b *rawBench) audit(store createrepo.Store, keys ...*openpgp.Entity) *report.Report {
	b.t.Helper()
	rep, _, err := audit.Run(b.t.Context(), b.archive.Bundle(), b.items(target.Selection{Only: []string{"rpm"}}),
		audit.Target{Name: "nexus", Assets: audited{b.nexus}}, audit.Options{Store: store, RepoKeys: keys})
	if err != nil {
		b.t.Fatal(err)
	}
	return rep
}

// audited lets the adapter answer as the audit asks; it names no digest, so all is read.
type audited struct{ *nexus.Nexus }

func (a audited) Digest(ctx context.Context, repo, path string) (int64, digest.Digest, error) {
	asset, err := a.Stat(ctx, repo, path)
	return asset.Size, "", err
}

// puts are the paths that were written, in order.
func (b *rawBench) puts() (paths []string) {
	for _, e := range b.double.Log() {
		if e.Method == http.MethodPut {
			paths = append(paths, strings.TrimPrefix(e.Path, "/repository/raw-hosted/"))
		}
	}
	return paths
}

func (b *rawBench) corruptRepomd() {
	b.t.Helper()
	if err := b.double.Put("raw-hosted", repomdOfX86, []byte("<repomd>old</repomd>")); err != nil {
		b.t.Fatal(err)
	}
}

func signer(t *testing.T) *createrepo.Signer {
	t.Helper()
	return signerOf(t, rpmtest.OtherKey(t))
}

func signerOf(t *testing.T, key *rpmtest.Signer) *createrepo.Signer {
	t.Helper()
	s, err := createrepo.NewSigner(key.Private(t, ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRPMsIntoRaw: everything a repomd.xml names is there before it, and a second push,
// signed or not, sends nothing.
func TestRPMsIntoRaw(t *testing.T) {
	for _, profile := range profiles {
		for _, sign := range []*createrepo.Signer{nil, signer(t)} {
			b := newRawBench(t, nexustest.Options{Profile: profile}, "")
			dry, planned := b.push(push.Options{DryRun: true, Sign: sign}, "rpm")
			b.clean(dry)
			if len(b.puts()) != 0 || dry.Counts()[report.Planned] != 4 {
				t.Errorf("dry run: %v, %v", b.puts(), dry.Counts())
			}
			rep, sum := b.push(push.Options{Sign: sign}, "rpm")
			b.clean(rep)
			if rep.Counts()[report.Sent] != 4 || sum.Sent != planned.Sent {
				t.Errorf("%v, %+v; the dry run announced %+v", rep.Counts(), sum, planned)
			}
			b.inOrder(sign != nil)
			b.clean(b.audit(b.archive))
			b.double.ClearLog()
			rep, sum = b.push(push.Options{Sign: sign}, "rpm")
			b.clean(rep)
			if rep.Counts()[report.Present] != 4 || sum.Sent != 0 || b.double.Stats().BytesIn != 0 {
				t.Errorf("%s: rerun: %v, %+v, %v", profile, rep.Counts(), sum, b.puts())
			}
		}
	}
}

// inOrder checks the order of writes in one directory: packages, files of repodata, the
// signature, repomd.xml.
func (b *rawBench) inOrder(signed bool) {
	b.t.Helper()
	var ranks []int
	for _, p := range b.puts() {
		switch {
		case !strings.HasPrefix(p, "os/x86_64/"):
		case strings.HasSuffix(p, ".rpm"):
			ranks = append(ranks, 0)
		case strings.HasSuffix(p, "repomd.xml"):
			ranks = append(ranks, 3)
		case strings.HasSuffix(p, ".asc"):
			ranks = append(ranks, 2)
		default:
			ranks = append(ranks, 1)
		}
	}
	want := []int{0, 1, 1, 1, 1, 1, 3} // primary, filelists, other, and groups twice
	if signed {
		want = []int{0, 1, 1, 1, 1, 1, 2, 3}
	}
	if !slices.Equal(ranks, want) {
		b.t.Errorf("written in the order %v, want %v: %v", ranks, want, b.puts())
	}
}

// TestFailedRPMKeepsRepomd: a package that is not there as it should be, selected or not,
// leaves what clients read alone; the other directory is done.
func TestFailedRPMKeepsRepomd(t *testing.T) {
	for _, only := range []string{"rpm", "os/aarch64"} {
		b := newRawBench(t, nexustest.Options{}, "")
		b.corruptRepomd()
		taken := b.archive.Bundle().Table.RPMs
		i := slices.IndexFunc(b.items(target.Selection{Only: []string{"rpm"}}), func(it target.Item) bool { return strings.HasPrefix(it.Place.Path, "os/x86_64/") })
		if err := b.double.Put("raw-hosted", taken[i].Path(), []byte("something else")); err != nil {
			t.Fatal(err)
		}
		rep, _ := b.push(push.Options{}, only)
		if got, err := b.double.Read("raw-hosted", repomdOfX86); err != nil || string(got) != "<repomd>old</repomd>" {
			t.Errorf("%s: repomd.xml was written: %q, %v", only, got, err)
		}
		if _, err := b.double.Read("raw-hosted", "os/aarch64/repodata/repomd.xml"); err != nil {
			t.Errorf("%s: the other directory: %v", only, err)
		}
		told := slices.ContainsFunc(rep.Findings(), func(f report.Record) bool {
			return f.Name == repomdOfX86 && f.Class == report.ClassIncomplete && strings.Contains(f.Reason, "stays")
		})
		if told != (only == "rpm") {
			t.Errorf("%s: %+v", only, rep.Findings())
		}
	}
}

// TestOldRepomd: what another push left is replaced unasked; where the repository forbids
// that, the error says what to set.
func TestOldRepomd(t *testing.T) {
	for policy, refused := range map[string]bool{"ALLOW": false, "ALLOW_ONCE": true} {
		b := newRawBench(t, nexustest.Options{}, policy)
		b.corruptRepomd()
		rep, _ := b.push(push.Options{}, "rpm")
		if !refused {
			b.clean(rep)
			b.clean(b.audit(b.archive))
			continue
		}
		if f := rep.Findings(); len(f) != 1 || rep.Code() != int(report.ClassRefused) || !strings.Contains(f[0].Next, "deployment policy to allow redeploy") {
			t.Errorf("code %d, %+v", rep.Code(), f)
		}
	}
}

// TestAuditOfRaw: our own list proves nothing of a package's content, and what is listed
// must be what follows from the bundle.
func TestAuditOfRaw(t *testing.T) {
	for name, tt := range map[string]struct {
		damage func(b *rawBench)
		want   string
		state  report.State
	}{
		"another repomd.xml": {func(b *rawBench) { b.corruptRepomd() }, repomdOfX86, report.Different},
		"a list is gone": {func(b *rawBench) {
			for _, p := range b.puts() {
				if strings.HasPrefix(p, "os/x86_64") && strings.HasSuffix(p, "other.xml.gz") {
					b.double.Delete("raw-hosted", p)
				}
			}
		}, repomdOfX86, report.Missing},
		"a rotten package": {func(b *rawBench) {
			for _, p := range b.puts() {
				if strings.HasPrefix(p, "os/x86_64") && strings.HasSuffix(p, ".rpm") {
					old, _ := b.double.Read("raw-hosted", p)
					if err := b.double.Put("raw-hosted", p, append([]byte{1}, old[1:]...)); err != nil {
						b.t.Fatal(err)
					}
				}
			}
		}, "os/x86_64/hello-1.2-3.x86_64.rpm", report.Different},
	} {
		b := newRawBench(t, nexustest.Options{}, "")
		rep, _ := b.push(push.Options{}, "rpm")
		b.clean(rep)
		b.clean(b.audit(nil))
		tt.damage(b)
		if !slices.ContainsFunc(b.audit(b.archive).Findings(), func(f report.Record) bool { return f.Name == tt.want && f.State == tt.state }) {
			t.Errorf("%s: %+v", name, b.audit(b.archive).Findings())
		}
	}
}

// TestAuditOfSignature: with a key, the served repomd.xml must have a good signature by it,
// whether the archive is there to compare with or not; without one nobody looks.
func TestAuditOfSignature(t *testing.T) {
	key, other := rpmtest.OtherKey(t), rpmtest.OtherKey(t)
	const name = repomdOfX86 + ".asc"
	for what, tt := range map[string]struct {
		damage func(b *rawBench)
		key    *openpgp.Entity
		state  report.State // of the signature; empty: good
		class  report.Class
	}{
		"good":           {nil, key.Entity, "", 0},
		"no key":         {func(b *rawBench) { b.double.Delete("raw-hosted", name) }, nil, "", 0},
		"another key":    {nil, other.Entity, report.Different, report.ClassTrust},
		"no signature":   {func(b *rawBench) { b.double.Delete("raw-hosted", name) }, key.Entity, report.Missing, report.ClassIncomplete},
		"other metadata": {(*rawBench).corruptRepomd, key.Entity, report.Different, report.ClassTrust},
		"no signature at all": {func(b *rawBench) {
			if err := b.double.Put("raw-hosted", name, []byte("hello")); err != nil {
				b.t.Error(err)
			}
		}, key.Entity, report.Different, report.ClassTrust},
		"endless": {func(b *rawBench) {
			if err := b.double.Put("raw-hosted", name, make([]byte, 1<<20)); err != nil {
				b.t.Error(err)
			}
		}, key.Entity, report.Different, report.ClassContent},
	} {
		b := newRawBench(t, nexustest.Options{}, "")
		rep, _ := b.push(push.Options{Sign: signerOf(t, key)}, "rpm")
		b.clean(rep)
		if tt.damage != nil {
			tt.damage(b)
		}
		for _, store := range []createrepo.Store{nil, b.archive} {
			var keys []*openpgp.Entity
			if tt.key != nil {
				keys = append(keys, tt.key)
			}
			rep := b.audit(store, keys...)
			i := slices.IndexFunc(rep.Records(), func(r report.Record) bool { return r.Name == name })
			switch {
			case tt.key == nil:
				if i >= 0 {
					t.Errorf("%s: %+v", what, rep.Records()[i])
				}
			case i < 0:
				t.Errorf("%s: nothing about the signature: %+v", what, rep.Records())
			case tt.state == "":
				if f := rep.Records()[i]; f.State != report.Present || !strings.Contains(f.Proof, "by key "+key.ID) {
					t.Errorf("%s: %+v", what, f)
				}
			default:
				if f := rep.Records()[i]; f.State != tt.state || f.Class != tt.class {
					t.Errorf("%s: %+v", what, f)
				}
			}
		}
	}
}

// TestDnfInstallsFromRaw: dnf takes the signed metadata and the signed package.
func TestDnfInstallsFromRaw(t *testing.T) {
	for _, profile := range profiles {
		t.Run(string(profile), func(t *testing.T) { dnfInstallsFromRaw(t, profile) })
	}
}

func dnfInstallsFromRaw(t *testing.T, profile nexustest.Profile) {
	dnf := rpmtest.Tool(t, "dnf")
	b := newRawBench(t, nexustest.Options{Profile: profile}, "")
	sign := signer(t)
	rep, _ := b.push(push.Options{Sign: sign}, "rpm")
	b.clean(rep)
	dir := t.TempDir()
	public, err := sign.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	repo := fmt.Sprintf("[raw]\nname=raw\nbaseurl=%s/repository/raw-hosted/os/$basearch/\nusername=%s\npassword=%s\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file://%[4]s/repo.asc\n       file://%[4]s/rpm.asc\n",
		b.double.URL, nexustest.Username, nexustest.Password, dir)
	conf := fmt.Sprintf("[main]\nreposdir=%[1]s\ncachedir=%[1]s/cache\nlogdir=%[1]s/log\npersistdir=%[1]s/persist\nplugins=0\nproxy=\n", dir)
	for name, text := range map[string]string{"raw.repo": repo, "dnf.conf": conf, "repo.asc": public, "rpm.asc": rpmtest.Key(t).Armor} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "root")
	out, err := exec.CommandContext(t.Context(), dnf, "-y", "-c", filepath.Join(dir, "dnf.conf"),
		"--installroot="+root, "--releasever=9", "--forcearch=x86_64", "install", "hello").CombinedOutput()
	got, readErr := os.ReadFile(filepath.Join(root, "usr/share/hello"))
	if err != nil || readErr != nil || !bytes.Equal(got, []byte("hello from x86_64")) {
		t.Errorf("%v, %q, %v\n%s", err, got, readErr, out)
	}
}
