package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"airbundle/internal/nexustest"
)

func TestOptions(t *testing.T) {
	got, logged, err := options([]string{
		"-profile", "ce-3.96", "-version", "3.82.0-08", "-addr", "127.0.0.1:0", "-anonymous", "-eula-pending", "-log", "-rebuild", "2s",
		"-user", "sam:secret:read+browse:raw", "-user", "boss:secret",
		"-repo", "raw:binary-k8s-raw", "-repo", "group:raw:oss-proxy=binary-k8s-raw+other",
		"-repo", "docker:d,port=8083,policy=ALLOW_ONCE,bearer,latest", "-repo", "proxy:yum:epel=https://example.org/epel", "-repo", "yum:y,depth=2,offline",
		"-quirk", "NoSinglePost", "-quirk", "BlobUnknownStatus=404", "-quirk", "NegativeCache=1m", "-quirk", "PrimaryChecksum=sha1",
		"-script", "null-realm", "-script", "no-metadata",
	}, nil)
	if err != nil || !logged {
		t.Fatalf("%v, log %v", err, logged)
	}
	want := nexustest.Options{
		Profile: nexustest.CE396, Version: "3.82.0-08", Addr: "127.0.0.1:0", Connectors: "127.0.0.1", Anonymous: true,
		RebuildDelay: 2 * time.Second, SearchDelay: time.Second, Seed: 1,
		Users: []nexustest.User{
			{Name: "sam", Password: "secret", Actions: []string{"read", "browse"}, Repositories: []string{"raw"}},
			{Name: "boss", Password: "secret"},
		},
		Repositories: []nexustest.Repository{
			{Name: "binary-k8s-raw", Format: "raw"},
			{Name: "oss-proxy", Format: "raw", Type: "group", Members: []string{"binary-k8s-raw", "other"}},
			{Name: "d", Format: "docker", Port: 8083, WritePolicy: "ALLOW_ONCE", BearerAuth: true, LatestPolicy: true},
			{Name: "epel", Format: "yum", Type: "proxy", RemoteURL: "https://example.org/epel"},
			{Name: "y", Format: "yum", Depth: 2, Offline: true},
		},
		Quirks: nexustest.Quirks{UnacceptedEULA: true, NoSinglePost: true, BlobUnknownStatus: 404, NegativeCache: time.Minute,
			PrimaryChecksum: "sha1", NoRebuild: true},
	}
	ignore := cmp.Options{cmpopts.IgnoreFields(nexustest.Options{}, "Faults", "Now", "Logged"), cmpopts.IgnoreUnexported(nexustest.User{})}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if len(got.Faults) != 1 || got.Faults[0].Name != "null-realm" {
		t.Errorf("faults %+v", got.Faults)
	}
}

func TestRefusedArguments(t *testing.T) {
	for args, want := range map[string]string{
		"-unknown":                   "flag provided but not defined",
		"raw:x":                      `argument "raw:x"`,
		"-repo raw":                  "a repository is",
		"-repo group:raw:x":          "a repository is",
		"-repo raw:x=y":              "a repository is",
		"-repo raw:x,color=red":      `no setting "color"`,
		"-repo raw:x,strict=no":      `no setting "strict"`,
		"-repo docker:x,port=many":   `"many" is no number`,
		"-user sam":                  "a user is",
		"-quirk Magic":               `no quirk "Magic"`,
		"-quirk Mount=yes":           "quirk Mount is a switch",
		"-quirk YumPutStatus":        "quirk YumPutStatus is a number",
		"-quirk YumPutStatus=two":    `"two" is no number`,
		"-quirk NegativeCache=later": `"later" is no duration`,
		"-script happy-end":          "happy-end",
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit %d, %q, want 2 with %q", args, code, stderr.String(), want)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-repo", "cobol:x"}, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "cobol") {
		t.Errorf("a format that is none: exit %d, %q", code, stderr.String())
	}
}

// TestHelp checks that the help has every flag and the lists every script, and that
// the examples of the help are taken.
func TestHelp(t *testing.T) {
	var help, lists, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-help"}, &help, &stderr); code != 0 || !strings.Contains(help.String(), "-connectors host") {
		t.Errorf("exit %d, help %s", code, help.String())
	}
	if code := run(t.Context(), []string{"-list"}, &lists, &stderr); code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, sc := range nexustest.Scripts() {
		if !strings.Contains(lists.String(), sc.Name+" ") || !strings.Contains(lists.String(), sc.About) {
			t.Errorf("list lacks %s", sc.Name)
		}
	}
	examples := regexp.MustCompile(`(?m)^  nexus-double(.*)$`).FindAllStringSubmatch(strings.ReplaceAll(usage, "\\\n", " "), -1)
	for _, e := range examples {
		args, _, _ := strings.Cut(e[1], "    ")
		if strings.Contains(e[1], "-repo") {
			args = e[1] // its explanation is on the next line
		}
		if _, _, err := options(strings.Fields(args), &bytes.Buffer{}); err != nil && !strings.Contains(args, "-list") {
			t.Errorf("example %q: %v", args, err)
		}
	}
	if len(examples) < 7 {
		t.Errorf("%d examples", len(examples))
	}
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestRun starts a server, sends it a request and reads what is said of both.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr buffer
	done := make(chan int)
	go func() {
		done <- run(ctx, []string{"-addr", "127.0.0.1:0", "-log", "-script", "manifest-head"}, &stdout, &stderr)
	}()
	var url string
	for deadline := time.Now().Add(10 * time.Second); url == "" && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if m := regexp.MustCompile(`docker hosted (\S+), connector http://127.0.0.1:\d+\n`).FindStringSubmatch(stdout.String()); m != nil {
			url = m[1]
		}
	}
	if url == "" {
		t.Fatalf("stdout %q, stderr %q", stdout.String(), stderr.String())
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, url+"/v2/app/manifests/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(nexustest.Username, nexustest.Password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for deadline := time.Now().Add(10 * time.Second); stderr.String() == "" && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if want := regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} 500 HEAD /repository/docker-hosted/v2/app/manifests/1 in 0 out 0 \S+ "Internal Server Error" fault manifest-head\n$`); !want.MatchString(stderr.String()) {
		t.Errorf("log %q", stderr.String())
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit %d", code)
	}
	if _, err := net.DialTimeout("tcp", req.URL.Host, time.Second); err == nil {
		t.Error("still listening")
	}
}
