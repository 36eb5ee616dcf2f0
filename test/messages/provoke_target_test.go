package messages

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"airbundle/internal/bundletest"
	"airbundle/internal/nexustest"
	"airbundle/internal/registrytest"
)

// asking is a fault of a command against a Nexus. The server is made by nx; before is done
// with a good push, or whatever else the command is to meet.
func asking(name string, code int, told []string, nx func(t testing.TB) *nexustest.Server, before func(t testing.TB, p *process, bundle, url string), more ...string) fault {
	return fault{name: name, code: code, told: told, make: func(t testing.TB) (*process, []string, string) {
		command, _, _ := strings.Cut(name, " ")
		p := newProcess(t, secretEnv()...)
		made, f := demo(t)
		bundle := p.write(t, "x.bundle.tar", read(t, made))
		if strings.Contains(name, "archive") {
			p.write(t, "x.bundle.tar", read(t, damagedBundle(t)))
		}
		_ = f
		s := nx(t)
		if before != nil {
			before(t, p, bundle, s.URL)
		}
		args := append([]string{"seeder", command, bundle, "--nexus", s.URL}, more...)
		switch command {
		case "push":
			args = append(args, "--quiet", "--metadata-wait", "1s")
		case "audit":
			args = append(args, "--quiet", "--wait", "0")
		}
		return p, args, strings.TrimPrefix(s.URL, "http://")
	}}
}

// pushed brings the bundle there.
func pushed(t testing.TB, p *process, bundle, url string) {
	t.Helper()
	if r := p.run(t, "seeder", "push", bundle, "--nexus", url, "--quiet"); r.code != 0 {
		t.Fatalf("exit %d: %s%s", r.code, r.out, r.err)
	}
}

func plain(t testing.TB) *nexustest.Server { return site(t, nexustest.Options{}) }

func with(repos ...nexustest.Repository) func(t testing.TB) *nexustest.Server {
	return func(t testing.TB) *nexustest.Server { return site(t, nexustest.Options{}, repos...) }
}

func stranger(t testing.TB) *nexustest.Server {
	return site(t, nexustest.Options{Users: []nexustest.User{{Name: "other", Password: "7"}}})
}

func targetFaults() []fault {
	damaged := asking("push of a damaged archive", 4, []string{"failed 4"}, plain, nil, "--only", "image")
	damaged.digest = true
	gone := asking("push to a missing repository", 7, []string{"failed 7"}, with(nexustest.Repository{Name: "helm-hosted"}), nil)
	gone.digest = true
	taken := asking("push of a taken name", 7, []string{"failed 7"}, func(t testing.TB) *nexustest.Server {
		s := plain(t)
		if err := s.Put("raw-hosted", "etcd/amd64/etcd.tar.gz", []byte("other")); err != nil {
			t.Fatal(err)
		}
		return s
	}, nil)
	taken.digest = true
	return []fault{
		damaged, gone, taken,
		asking("push to one that takes nothing", 7, []string{"failed 7"}, with(nexustest.Repository{Name: "raw-hosted", Format: "raw", WritePolicy: "DENY"}), nil),
		asking("push with a wrong login", 7, []string{"failed 7"}, stranger, nil),
		asking("push of packages that are not listed", 3, []string{"missing 3"}, func(t testing.TB) *nexustest.Server {
			s := plain(t)
			s.HoldRebuilds("yum-hosted", true)
			return s
		}, nil),
		asking("push that names two targets", 2, []string{"failed 2"}, plain, nil, "--registry", "127.0.0.1:1"),
		{name: "push to nobody", code: 6, told: []string{"failed 6"}, make: func(t testing.TB) (*process, []string, string) {
			p := newProcess(t, secretEnv()...)
			made, _ := demo(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			return p, []string{"seeder", "push", p.write(t, "x.bundle.tar", read(t, made)), "--registry", "localhost.invalid"}, ""
		}},
		{name: "push of packages to a registry", code: 2, told: []string{"failed 2"}, make: func(t testing.TB) (*process, []string, string) {
			p := newProcess(t)
			made, _ := demo(t)
			reg := registrytest.Start(t, registrytest.Options{})
			return p, []string{"seeder", "push", p.write(t, "x.bundle.tar", read(t, made)), "--registry", reg.Host, "--plain-http", reg.Host, "--only", "rpm"}, reg.Host
		}},
		asking("audit of nothing", 3, []string{"missing 3"}, plain, nil),
		asking("audit of other content", 4, []string{"different 4"}, func(t testing.TB) *nexustest.Server {
			s := plain(t)
			if err := s.Put("raw-hosted", "etcd/amd64/etcd.tar.gz", []byte("other")); err != nil {
				t.Fatal(err)
			}
			return s
		}, nil),
		asking("audit of more", 4, []string{"foreign 4"}, func(t testing.TB) *nexustest.Server {
			s := plain(t)
			if err := s.Put("raw-hosted", "more", []byte("other")); err != nil {
				t.Fatal(err)
			}
			return s
		}, pushed, "--exact"),
		asking("audit that is refused", 7, []string{"unknown 7"}, func(t testing.TB) *nexustest.Server {
			return site(t, nexustest.Options{Faults: []nexustest.Fault{{Name: "refused", On: nexustest.Match{Path: "/repository/raw-hosted/*"}, Do: nexustest.Status(403, "Forbidden")}}})
		}, nil),
	}
}

func planFaults() []fault {
	limited := func(t testing.TB) *nexustest.Server {
		return site(t, nexustest.Options{Users: []nexustest.User{{Name: user, Password: password, Repositories: []string{"docker-hosted", "raw-hosted"}, Actions: []string{"read", "add", "edit"}}}})
	}
	return []fault{
		asking("plan for missing repositories", 7, []string{"missing 7/no-repository"}, with(nexustest.Repository{Name: "helm-hosted"}), nil),
		asking("plan for one that is offline", 7, []string{"failed 7/offline"}, with(nexustest.Repository{Name: "raw-hosted", Format: "raw", Offline: true}), nil),
		asking("plan for one that takes nothing", 7, []string{"failed 7/write-policy"}, with(nexustest.Repository{Name: "raw-hosted", Format: "raw", WritePolicy: "DENY"}), nil),
		asking("plan for another depth", 7, []string{"failed 7/depth"}, with(nexustest.Repository{Name: "yum-hosted", Format: "yum", Depth: 5}), nil),
		asking("plan for another format", 7, []string{"failed 7/format"}, with(nexustest.Repository{Name: "helm-hosted", Format: "raw"}), nil),
		asking("plan with few rights", 7, []string{"unknown 3/invisible"}, limited, nil),
		asking("plan with a wrong login", 7, []string{"failed 7"}, stranger, nil),
		asking("plan without space", 7, []string{"failed 7"}, func(t testing.TB) *nexustest.Server { return site(t, nexustest.Options{FreeBytes: 10}) }, nil),
		asking("plan for an old one", 7, []string{"failed 7/create"}, func(t testing.TB) *nexustest.Server {
			return site(t, nexustest.Options{Profile: nexustest.Orient340, Version: "3.19.0-01"}, nexustest.Repository{Name: "helm-hosted"})
		}, nil, "--create"),
		asking("plan before a license", 7, []string{"failed 7"}, func(t testing.TB) *nexustest.Server {
			return site(t, nexustest.Options{Profile: nexustest.CE396, Quirks: nexustest.Quirks{UnacceptedEULA: true, EULAIgnored: true}})
		}, nil),
	}
}

// faultyLock has as many mistakes as one lock can have.
func faultyLock() string {
	dig := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
	var b strings.Builder
	b.WriteString("apiVersion: airbundle/v1\nkind: Lock\nname: l\narches: [x86_64, aarch64]\nimages:\n")
	image := func(source, d, platforms string) {
		fmt.Fprintf(&b, "  - {source: %q, digest: %q, platforms: {%s}}\n", source, d, platforms)
	}
	both := fmt.Sprintf("linux/amd64: %q, linux/arm64: %q", dig("1"), dig("2"))
	image("h.test/a:1", dig("a"), both)
	image("i.test/a:1", dig("b"), both)
	image("h.test/b:1", dig("c"), fmt.Sprintf("linux/amd64: %q", dig("3")))
	image("h.test/c:1", dig("3"), both)
	image("h.test/d:1", "md5:1", both)
	image("h.test/e:1", dig("d"), both)
	image("h.test/e:1", dig("e"), both)
	image("h.test/e:1", dig("e"), both)
	b.WriteString("rpms:\n")
	rpm := func(name, evr, repo, d string) {
		fmt.Fprintf(&b, "  - {name: %s, evr: %q, arch: x86_64, basearch: x86_64, repo: %s, urls: [\"https://h.test/%s\"], size: 9, digest: %q, unsigned: accepted, why: test}\n", name, evr, repo, name, d)
	}
	rpm("p", "1-1.el7", "centos-base/7/os/x86_64", dig("4"))
	rpm("p", "1-1.el7", "centos-base/7/updates/x86_64", dig("5"))
	rpm("q", "1-1.el8", "centos-base/7/os/x86_64", dig("6"))
	rpm("r", "1-1.el7", "a/b/c/d/e/f/x86_64", dig("7"))
	rpm("s", "1-1.el7", "a/x86_64", dig("0"))
	rpm("s", "1-1.el7", "a/x86_64", dig("0"))
	b.WriteString("files:\n")
	fmt.Fprintf(&b, "  - {path: f/amd64/f, urls: [\"https://name:secret@h.test/f\"], size: 9, digest: %q, arch: x86_64}\n", dig("8"))
	fmt.Fprintf(&b, "  - {path: g, urls: [\"https://h.test/g\"], digest: %q}\n", dig("9"))
	fmt.Fprintf(&b, "  - {path: ../h, urls: [\"https://h.test/h\"], size: 9, digest: %q}\n", dig("9"))
	return b.String()
}

func lintFaults() []fault {
	linting := func(name string, code int, told []string, lock string, more ...string) fault {
		return fault{name: "lint " + name, code: code, told: told, make: func(t testing.TB) (*process, []string, string) {
			p := newProcess(t)
			p.write(t, "l.lock.yaml", []byte(lock))
			p.write(t, "r.yaml", []byte("apiVersion: airbundle/v1\nkind: Request\nname: l\narches: [x86_64]\nimages:\n  - source: h.test/z:1\n"))
			return p, append([]string{"bundler", "lint", "l.lock.yaml"}, more...), ""
		}}
	}
	return []fault{
		linting("everything", 4, []string{"faulty 4/bad-digest", "missing 4/arch-gap", "missing 4/unpinned"}, faultyLock(), "--request", "r.yaml"),
		linting("no lock", 2, []string{"failed 2"}, "what: this\n"),
		{name: "lint what is gone", code: 4, told: []string{"missing 4/gone"}, make: func(t testing.TB) (*process, []string, string) {
			p := newProcess(t)
			o, lock := mirror(t, bundletest.New(t), p.dir)
			raw := string(read(t, lock))
			at := strings.Index(raw, "digest: sha256:") + len("digest: sha256:")
			p.write(t, "demo.lock.yaml", []byte(raw[:at]+strings.Repeat("0", 64)+raw[at+64:]))
			return p, []string{"bundler", "lint", "demo.lock.yaml", "--online", "--plain-http", o.Host}, o.Host
		}},
	}
}
