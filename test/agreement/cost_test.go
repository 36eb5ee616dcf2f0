//go:build agreement

package agreement

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"airbundle/internal/rpm/depsolve"
	"airbundle/internal/rpmtest"
	"airbundle/test/agreement/debian"
	"airbundle/test/agreement/localrepo"
	"airbundle/test/agreement/oracle"
)

// child names the variable that makes this program resolve one request and end, so that
// its memory is that of resolving.
const child = "AIRBUNDLE_AGREEMENT_CHILD"

func TestMain(m *testing.M) {
	flag.Parse()
	if job := os.Getenv(child); job != "" {
		if err := resolve(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// resolve does what a job says and tells how many packages that takes.
func resolve(text string) error {
	var job oracle.Job
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		return err
	}
	start := time.Now()
	var repos []depsolve.Repo
	for _, r := range job.Repos {
		repo, err := localrepo.Open(strings.TrimPrefix(r.URL, "file://"), r.ID)
		if err != nil {
			return err
		}
		repos = append(repos, repo)
	}
	read := time.Since(start)
	got, err := depsolve.Solve(context.Background(), depsolve.Request{Arch: job.Arch, Repos: repos, Install: job.Requests[0].Install})
	if err != nil {
		return err
	}
	solved := time.Since(start) - read
	status, err := os.ReadFile("/proc/self/status") // getrusage has the memory of the program before exec too
	if err != nil {
		return err
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	peak, _, _ = strings.Cut(peak, "\n")
	fmt.Fprintf(os.Stdout, "%d packages, read in %.2f s, solved in %.2f s, %s at most", len(got.Packages), read.Seconds(), solved.Seconds(), strings.TrimSpace(peak))
	return nil
}

// TestCost tells time and memory of both for fifty wanted packages of a whole distribution.
// It judges neither: the machine has its say in both.
func TestCost(t *testing.T) {
	rpmtest.Tool(t, "dnf")
	dir := place(t)
	if _, err := debian.Repositories(t.Context(), dir, "x86_64"); errors.Is(err, debian.ErrNoLists) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	s := &set{arch: "x86_64"}
	for _, id := range []string{"main", "sec"} {
		s.add(t, id, filepath.Join(dir, id+"-x86_64"))
	}
	job := oracle.Job{Arch: s.arch, Repos: s.asked, Cache: t.TempDir(), Requests: []oracle.Request{{Install: s.fifty(t)}}}
	for _, how := range []string{"cold", "warm"} {
		start := time.Now()
		answers, err := oracle.Ask(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		r := answers[0].Results[0]
		if r.Packages == nil {
			t.Fatal(r.Error, r.Missing)
		}
		t.Logf("dnf %s: %d packages, %d requirements with a choice, loaded in %.2f s, solved in %.2f s, %.2f s in all, %d MB at most",
			how, len(r.Packages), r.Choices, answers[0].LoadSeconds, r.Seconds, time.Since(start).Seconds(), answers[0].PeakKiB>>10)
	}
	ours(t, job)
}

func ours(t *testing.T, job oracle.Job) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), child+"="+string(text))
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("ours: %s, %.2f s in all", out, time.Since(start).Seconds())
}

// fifty are names that can be installed together, some with many dependencies.
func (s *set) fifty(t *testing.T) []string {
	t.Helper()
	known := s.names()
	wanted := []string{
		"nginx", "postgresql", "redis-server", "openssh-server", "rsync", "curl", "wget", "mc", "vim", "tmux", "htop", "strace", "tcpdump", "nmap", "chrony", "haproxy", "keepalived",
		"ipset", "nftables", "conntrack", "socat", "lvm2", "nfs-common", "xfsprogs", "parted", "mdadm", "python3-yaml", "python3-requests", "python3-jinja2", "perl", "ruby", "nodejs",
		"openjdk-17-jre-headless", "ansible-core", "sqlite3", "jq", "unzip", "zip", "xz-utils", "zstd", "rsyslog", "logrotate", "cron", "sudo", "bash-completion", "ca-certificates",
		"gnupg", "iproute2", "ethtool", "smartmontools",
	}
	for _, n := range wanted {
		if !slices.Contains(known, n) {
			t.Fatalf("no package %s", n)
		}
	}
	return wanted
}
