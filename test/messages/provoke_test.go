package messages

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"airbundle/internal/bundletest"
	"airbundle/internal/nexustest"
	"airbundle/internal/registrytest"
	"airbundle/test/origin"
)

// write puts a file into the process's directory and returns its path.
func (p *process) write(t testing.TB, name string, raw []byte) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// read is os.ReadFile of what must be there.
func read(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// verifying is a fault of an archive that seeder verify is to find. The archive is called
// x.bundle.tar; more are the further arguments.
func verifying(name string, code int, told string, spoil func(t testing.TB, p *process, good []byte), more ...string) fault {
	return fault{name: "verify " + name, code: code, told: []string{told}, make: func(t testing.TB) (*process, []string, string) {
		p := newProcess(t)
		bundle, _ := demo(t)
		spoil(t, p, read(t, bundle))
		return p, append([]string{"seeder", "verify", "x.bundle.tar"}, more...), ""
	}}
}

func whole(t testing.TB, p *process, good []byte) { p.write(t, "x.bundle.tar", good) }

func archiveFaults() []fault {
	damaged := verifying("damaged blob", 4, "damaged 4", func(t testing.TB, p *process, _ []byte) {
		p.write(t, "x.bundle.tar", read(t, damagedBundle(t)))
	})
	damaged.digest = true
	return []fault{
		damaged,
		verifying("damaged header", 4, "damaged 4", func(t testing.TB, p *process, good []byte) {
			good[len(good)-1024-512] ^= 1
			good[1<<10] ^= 1
			p.write(t, "x.bundle.tar", good)
		}),
		verifying("cut", 4, "damaged 4", func(t testing.TB, p *process, good []byte) { p.write(t, "x.bundle.tar", good[:len(good)/2]) }),
		verifying("longer", 4, "damaged 4", func(t testing.TB, p *process, good []byte) { p.write(t, "x.bundle.tar", append(good, 1)) }),
		verifying("empty", 4, "damaged 4", func(t testing.TB, p *process, _ []byte) { p.write(t, "x.bundle.tar", nil) }),
		verifying("compressed", 4, "damaged 4", func(t testing.TB, p *process, _ []byte) { p.write(t, "x.bundle.tar", []byte("\x1f\x8b\x08rest")) }),
		verifying("a directory", 4, "damaged 4", func(t testing.TB, p *process, _ []byte) {
			if err := os.Mkdir(filepath.Join(p.dir, "x.bundle.tar"), 0o755); err != nil {
				t.Fatal(err)
			}
		}),
		verifying("a link", 4, "damaged 4", func(t testing.TB, p *process, good []byte) {
			if err := os.Symlink(p.write(t, "k8s-2.bundle.tar", good), filepath.Join(p.dir, "x.bundle.tar")); err != nil {
				t.Fatal(err)
			}
		}),
		verifying("a bad layout", 4, "damaged 4", func(t testing.TB, p *process, _ []byte) { p.write(t, "x.bundle.tar", badLayout(t)) }),
		verifying("nothing there", 9, "failed 9", func(testing.TB, *process, []byte) {}),
		verifying("another root", 5, "different 5", whole, "--root", "sha256:"+strings.Repeat("0", 64)),
		verifying("no signature", 5, "different 5", func(t testing.TB, p *process, good []byte) {
			whole(t, p, good)
			p.run(t, "bundler", "keygen", "-o", "site")
		}, "--key", "site.pub"),
		verifying("a signature that is not there", 9, "unknown 9", func(t testing.TB, p *process, good []byte) {
			whole(t, p, good)
			p.run(t, "bundler", "keygen", "-o", "site")
		}, "--key", "site.pub", "--signature", "gone.sig"),
		verifying("a key that is not there", 9, "failed 9", whole, "--key", "gone.pub"),
		verifying("a key that is none", 2, "failed 2", func(t testing.TB, p *process, good []byte) {
			whole(t, p, good)
			p.write(t, "none.pub", []byte("none"))
		}, "--key", "none.pub"),
	}
}

// badLayout is the layout tar of another tool, of which a manifest is missing and a platform
// stands twice.
func badLayout(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	entry := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + strings.Repeat("%[1]d", 64) + `","size":2,"platform":{"os":"linux","architecture":"amd64"}}`
	for _, e := range [][2]string{ // in this order: the other way round it begins as a bundle does
		{"index.json", `{"schemaVersion":2,"manifests":[` + fmt.Sprintf(entry, 1) + "," + fmt.Sprintf(entry, 2) + "]}"},
		{"oci-layout", `{"imageLayoutVersion":"1.0.0"}`},
	} {
		if err := w.WriteHeader(&tar.Header{Name: e[0], Mode: 0o644, Size: int64(len(e[1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// building is a fault of a build from a lock that spoil may change; more are arguments.
func building(name string, code int, told string, spoil func(t testing.TB, f *bundletest.Fixture), change func(lock, host string) string, more ...string) fault {
	return fault{name: "build " + name, code: code, told: []string{told}, make: func(t testing.TB) (*process, []string, string) {
		p := newProcess(t)
		f := bundletest.New(t)
		if spoil != nil {
			spoil(t, f)
		}
		o, lock := mirror(t, f, p.dir)
		if change != nil {
			p.write(t, filepath.Base(lock), []byte(change(string(read(t, lock)), o.Host)))
		}
		args := append([]string{"bundler", "build", "demo.lock.yaml", "--plain-http", o.Host, "--quiet"}, more...)
		if len(more) == 0 {
			args = append(args, "-o", "x.bundle.tar")
		}
		return p, args, o.Host
	}}
}

func buildFaults() []fault {
	wrong := building("wrong content", 4, "failed 4", func(_ testing.TB, f *bundletest.Fixture) {
		raw := f.URLs[f.Lock.RPMs[0].URLs[0]]
		raw[len(raw)/2] ^= 1
	}, nil)
	wrong.digest = true
	gone := building("gone", 6, "failed 6", nil, func(lock, host string) string {
		return regexp.MustCompile(`urls: \[[^]]*etcd[^]]*\]`).ReplaceAllString(lock, "urls: [http://"+host+"/gone]")
	})
	return []fault{
		wrong, gone,
		building("a lock that is none", 2, "failed 2", nil, func(string, string) string { return "apiVersion: airbundle/v1\nkind: Lock\nwhat: this\n" }),
		building("nowhere", 9, "failed 9", nil, nil, "-o", "none/x.bundle.tar"),
		{name: "build refused", code: 7, told: []string{"failed 7"}, digest: true, make: func(t testing.TB) (*process, []string, string) {
			p := newProcess(t)
			f := bundletest.New(t)
			o := origin.Start(t, f, origin.Options{})
			reg := registrytest.Start(t, registrytest.Options{Username: user, Password: password})
			raw, err := o.Lock.Encode()
			if err != nil {
				t.Fatal(err)
			}
			lock := p.write(t, "demo.lock.yaml", []byte(strings.ReplaceAll(string(raw), "source: "+o.Host, "source: "+reg.Host)))
			return p, []string{"bundler", "build", lock, "-o", "x.bundle.tar", "--plain-http", o.Host, "--plain-http", reg.Host, "--quiet"}, reg.Host
		}},
	}
}

// site is a Nexus with what the demo bundle needs, but for what is to be otherwise.
func site(t testing.TB, o nexustest.Options, repos ...nexustest.Repository) *nexustest.Server {
	t.Helper()
	if o.Profile == "" {
		o.Profile = nexustest.H2371
	}
	if o.Users == nil {
		o.Users = []nexustest.User{{Name: user, Password: password}}
	}
	for _, r := range []nexustest.Repository{{Name: "docker-hosted", Format: "docker"}, {Name: "yum-hosted", Format: "yum", Depth: 2}, {Name: "raw-hosted", Format: "raw"}, {Name: "helm-hosted", Format: "helm"}} {
		for _, other := range repos {
			if other.Name == r.Name {
				r = other
			}
		}
		if r.Format != "" {
			o.Repositories = append(o.Repositories, r)
		}
	}
	return nexustest.Start(t, o)
}
