package scripts

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"airbundle/internal/nexustest"
	"airbundle/internal/rpmtest"
)

// A command is one of the script's own. It is told the arguments and may fail the script.
type command = func(ts *testscript.TestScript, neg bool, args []string)

var commands = map[string]command{
	"status":    nArgs(2, -1, status),
	"source":    nArgs(0, 0, startSource),
	"hold":      nArgs(0, 0, func(ts *testscript.TestScript, _ []string) { worldOf(ts).source.Hold() }),
	"release":   nArgs(0, 0, func(ts *testscript.TestScript, _ []string) { worldOf(ts).source.Release() }),
	"signkey":   nArgs(2, 2, signKey),
	"httpfiles": nArgs(2, 2, startFiles),
	"registry":  nArgs(1, 2, startRegistry),
	"nexus":     nArgs(2, 3, startNexus),
	"served":    nArgs(4, 4, served),
	"forget":    nArgs(1, 1, func(ts *testscript.TestScript, args []string) { serverOf(ts, args[0]).forget() }),
	"corrupt":   nArgs(4, 4, corrupt),
	"delete":    nArgs(3, 3, remove),
	"asset":     nArgs(4, 4, asset),
	"store":     nArgs(4, 4, store),
	"fetch":     nArgs(2, 2, fetch),
	"repository": nArgs(3, 3, func(ts *testscript.TestScript, args []string) {
		ts.Check(nexusOf(ts, args[0]).CreateRepository(nexustest.Repository{Name: args[1], Format: args[2], Depth: 2}))
	}),
	"layout":  nArgs(1, 1, layout),
	"yumrepo": nArgs(1, -1, makeRepository),
	"damage":  nArgs(2, 2, damage),
	"cut":     nArgs(2, 2, cut),
	"replace": nArgs(3, 3, replace),
	"size":    nArgs(2, 2, size),
	"capture": nArgs(2, 2, capture),
	"port":    nArgs(1, 1, port),
	"await":   nArgs(1, 1, await),
}

// nArgs makes a command that takes least to most arguments (-1: any number) and no "!".
func nArgs(least, most int, do func(*testscript.TestScript, []string)) command {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least || most >= 0 && len(args) > most {
			ts.Fatalf("wrong use of the command; the package's documentation has all of them")
		}
		do(ts, args)
	}
}

// status runs a program, compares its exit code and looks for the password in what it
// printed.
func status(ts *testscript.TestScript, args []string) {
	want := number(ts, args[0])
	err := ts.Exec(args[1], args[2:]...)
	got := int64(0)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = int64(exit.ExitCode())
	} else if err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("%s ended with status %d, want %d", strings.Join(args[1:], " "), got, want)
	}
	for _, secret := range []string{password, base64.StdEncoding.EncodeToString([]byte(user + ":" + password))} {
		if strings.Contains(ts.ReadFile("stdout")+ts.ReadFile("stderr"), secret) {
			ts.Fatalf("the password is in the output")
		}
	}
}

func number(ts *testscript.TestScript, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	ts.Check(err)
	return n
}

// layout writes the first image of the fixture as skopeo or buildah would.
func layout(ts *testscript.TestScript, args []string) {
	f := worldOf(ts).fixture
	top := f.Lock.Images[0].Digest
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{{
		MediaType: f.Types[top], Digest: top, Size: int64(len(f.Blobs[top])), Annotations: map[string]string{ocispec.AnnotationRefName: "1.0"},
	}}}
	raw, err := json.Marshal(index)
	ts.Check(err)
	entries := map[string][]byte{
		ocispec.ImageLayoutFile: []byte(`{"imageLayoutVersion": "1.0.0"}`),
		ocispec.ImageIndexFile:  raw,
	}
	var collect func(d digest.Digest)
	collect = func(d digest.Digest) {
		entries["blobs/"+string(d.Algorithm())+"/"+d.Encoded()] = f.Blobs[d]
		for _, m := range regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindAllString(string(f.Blobs[d]), -1) {
			collect(digest.Digest(m))
		}
	}
	collect(top)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, body := range entries {
		ts.Check(w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))}))
		_, err := w.Write(body)
		ts.Check(err)
	}
	ts.Check(w.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o644))
}

func signKey(ts *testscript.TestScript, args []string) {
	t := worldOf(ts).t
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), rpmtest.Key(t).Private(t, args[1]), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), []byte(rpmtest.Key(t).Armor), 0o600))
}

func damage(ts *testscript.TestScript, args []string) {
	path := ts.MkAbs(args[0])
	raw, err := os.ReadFile(path)
	ts.Check(err)
	if d, err := digest.Parse(args[1]); err == nil {
		header := bytes.Index(raw, []byte("blobs/sha256/"+d.Encoded()))
		if header < 0 {
			ts.Fatalf("%s holds no blob %s", args[0], d)
		}
		raw[header+512] ^= 0xff // a tar header is 512 bytes and begins with the name
	} else {
		raw[number(ts, args[1])] ^= 0xff
	}
	ts.Check(os.WriteFile(path, raw, 0o644))
}

func cut(ts *testscript.TestScript, args []string) {
	ts.Check(os.Truncate(ts.MkAbs(args[0]), number(ts, args[1])))
}

func replace(ts *testscript.TestScript, args []string) {
	path := ts.MkAbs(args[0])
	text := ts.ReadFile(path)
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(path, []byte(strings.ReplaceAll(text, args[1], args[2])), 0o644))
}

func size(ts *testscript.TestScript, args []string) {
	st, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Setenv(args[0], strconv.FormatInt(st.Size(), 10))
}

func capture(ts *testscript.TestScript, args []string) {
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("nothing on standard output matches %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}

func port(ts *testscript.TestScript, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	_, p, err := net.SplitHostPort(l.Addr().String())
	ts.Check(errors.Join(err, l.Close()))
	ts.Setenv(args[0], p)
}

// patience is how long await and fetch wait for something that another process does.
const patience = 20 * time.Second

func await(ts *testscript.TestScript, args []string) {
	path := ts.MkAbs(args[0])
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		} else if time.Now().After(end) {
			ts.Fatalf("%v", err)
		}
	}
}

func served(ts *testscript.TestScript, args []string) {
	re, err := regexp.Compile(args[3])
	ts.Check(err)
	hits := slices.DeleteFunc(serverOf(ts, args[0]).log(), func(line string) bool { return !re.MatchString(line) })
	got, want := int64(len(hits)), number(ts, args[2])
	ok, known := map[string]bool{"==": got == want, "<=": got <= want, ">=": got >= want}[args[1]]
	if !known || !ok {
		ts.Fatalf("%s saw %d requests that match %s, want %s %d:\n%s", args[0], got, args[3], args[1], want, strings.Join(hits, "\n"))
	}
}
