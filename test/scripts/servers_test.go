package scripts

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"airbundle/internal/nexustest"
	"airbundle/internal/registrytest"
	"airbundle/test/origin"
)

// A server tells what it was asked, one line "METHOD PATH STATUS [authorized]" each.
type server interface {
	log() []string
	forget()
}

// source is where bundler takes things from.
type source struct{ *origin.Server }

func (s source) log() []string { return s.Log() }
func (s source) forget()       { s.Forget() }

func serverOf(ts *testscript.TestScript, name string) server {
	s := worldOf(ts).servers[name]
	if s == nil {
		ts.Fatalf("there is no server %s", name)
	}
	return s
}

func startSource(ts *testscript.TestScript, _ []string) {
	w := worldOf(ts)
	w.source = source{origin.Start(w.t, w.fixture, origin.Options{})}
	w.servers["SOURCE"] = w.source
	lock, err := w.source.Lock.Encode()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("demo.lock.yaml"), lock, 0o644))
	ts.Setenv("SOURCE", w.source.Host)
	ts.Setenv("FILES", w.source.URL)
	ts.Setenv("BUNDLER_PLAIN_HTTP", w.source.Host)
	var app ocispec.Manifest
	ts.Check(json.Unmarshal(w.fixture.Blobs[w.fixture.Lock.Images[0].Platforms["linux/arm64"]], &app))
	ts.Setenv("LAYER", string(app.Layers[0].Digest))
	ts.Setenv("IMAGE_ID", string(app.Config.Digest)) // of the first image, linux/arm64
}

func startFiles(ts *testscript.TestScript, args []string) {
	srv := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[1]))))
	ts.Defer(srv.Close)
	ts.Setenv(args[0], srv.URL)
}

type registryServer struct{ *registrytest.Registry }

func (s registryServer) forget() { s.Forget() }

func (s registryServer) log() []string {
	var lines []string
	for _, q := range s.Requests() {
		lines = append(lines, line(q.Method, q.Path, q.Status, q.Authorized))
	}
	return lines
}

func line(method, path string, status int, authorized bool) string {
	s := fmt.Sprintf("%s %s %d", method, path, status)
	if authorized {
		s += " authorized"
	}
	return s
}

func startRegistry(ts *testscript.TestScript, args []string) {
	w := worldOf(ts)
	o := registrytest.Options{}
	if len(args) == 2 {
		if args[1] != "login" {
			ts.Fatalf("registry NAME login, not %s", args[1])
		}
		o.Username, o.Password = user, password
	}
	r := registrytest.Start(w.t, o)
	w.servers[args[0]] = registryServer{r}
	ts.Setenv(args[0], r.Host)
}

type nexusServer struct{ *nexustest.Server }

func (s nexusServer) forget() { s.ClearLog() }

func (s nexusServer) log() []string {
	var lines []string
	for _, e := range s.Log() {
		lines = append(lines, line(e.Method, e.Path, e.Status, e.Header.Get("Authorization") != ""))
	}
	return lines
}

func startNexus(ts *testscript.TestScript, args []string) {
	w := worldOf(ts)
	o := nexustest.Options{
		Profile: nexustest.Profile(args[1]),
		Users:   []nexustest.User{{Name: user, Password: password}},
		Repositories: []nexustest.Repository{
			{Name: "docker-hosted", Format: "docker", Port: nexustest.AnyPort},
			{Name: "yum-hosted", Format: "yum", Depth: 2},
			{Name: "raw-hosted", Format: "raw"},
			{Name: "helm-hosted", Format: "helm"},
		},
	}
	if len(args) == 3 {
		if args[2] != "empty" {
			ts.Fatalf("nexus NAME PROFILE empty, not %s", args[2])
		}
		o.Repositories = nil
	}
	s := nexustest.Start(w.t, o)
	w.servers[args[0]] = nexusServer{s}
	ts.Setenv(args[0], s.URL)
}

func nexusOf(ts *testscript.TestScript, name string) *nexustest.Server {
	s, ok := serverOf(ts, name).(nexusServer)
	if !ok {
		ts.Fatalf("%s is no Nexus double", name)
	}
	return s.Server
}

func corrupt(ts *testscript.TestScript, args []string) {
	ts.Check(nexusOf(ts, args[0]).Corrupt(args[1], args[2], number(ts, args[3])))
}

func remove(ts *testscript.TestScript, args []string) {
	if !nexusOf(ts, args[0]).Delete(args[1], args[2]) {
		ts.Fatalf("%s holds no %s", args[1], args[2])
	}
}

func asset(ts *testscript.TestScript, args []string) {
	data, err := nexusOf(ts, args[0]).Read(args[1], args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), data, 0o644))
}

func store(ts *testscript.TestScript, args []string) {
	ts.Check(nexusOf(ts, args[0]).Put(args[1], args[2], []byte(ts.ReadFile(args[3]))))
}

// fetch waits for a server that another process is starting; any answer but 200 fails.
func fetch(ts *testscript.TestScript, args []string) {
	end := time.Now().Add(patience)
	resp, err := http.Get(args[0])
	for err != nil && time.Now().Before(end) {
		time.Sleep(5 * time.Millisecond)
		resp, err = http.Get(args[0])
	}
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("GET %s: %s: %s", args[0], resp.Status, strings.TrimSpace(string(body)))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), body, 0o644))
}
