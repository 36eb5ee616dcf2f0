package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/nexustest"
)

// TestTranscript reads what a user would send.
func TestTranscript(t *testing.T) {
	s := server(t, nexustest.Options{Profile: nexustest.CE396, Quirks: nexustest.Quirks{SessionCookie: true}})
	tr := mustRun(t, options(t, s, scratchNames...))
	var b bytes.Buffer
	if err := tr.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{
		"version:     3.96.3-01, edition COMMUNITY (Server: Nexus/3.96.3-01 (COMMUNITY))\n", "server date: ", "program:     airbundle test\n",
		"scratch:     probe-yum1: hosted yum, ALLOW, repodata depth 1, deploy policy STRICT\n",
		"== 3. Which status", "> PUT /repository/probe-yum0/airbundle-probe/" + tr.Run + "/airbundle-probe-good-" + tr.Run + "-1.0-1.noarch.rpm\n> Content-Type: application/x-rpm\n",
		"< Content-Security-Policy: sandbox", "< Set-Cookie: REDACTED\n", "= answered: probe-yum0: yum PUT answers 200 OK [YumPutStatus=200]\n",
		`|   <checksum type="sha256" pkgid="YES">`, "\n== Summary\n", `| {"errors":[{"code":"BLOB_UNKNOWN"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the transcript lacks %q", want)
		}
	}
	for _, secret := range []string{nexustest.Password, "NXSESSIONID", "Basic ", "YWRtaW46"} {
		if strings.Contains(text, secret) {
			t.Errorf("the transcript holds %q", secret)
		}
	}
	for n := 1; n <= 15; n++ {
		if !strings.Contains(text, fmt.Sprintf("\n== %d. ", n)) || !strings.Contains(text, fmt.Sprintf("\n%-2d  ", n)) {
			t.Errorf("question %d is not there, or not in the summary", n)
		}
	}
	if lines := strings.Split(strings.TrimSpace(text), "\n"); !strings.Contains(lines[len(lines)-1], "0 open, 5 not asked") {
		t.Errorf("last line: %s", lines[len(lines)-1])
	}
}

// TestJSON: what a program reads is what a person reads.
func TestJSON(t *testing.T) {
	tr := mustRun(t, options(t, server(t, nexustest.Options{}), "probe-raw", "probe-yum1"))
	data, err := json.Marshal(tr)
	if err != nil {
		t.Fatal(err)
	}
	var back Transcript
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	var want, got bytes.Buffer
	if err := errors.Join(tr.WriteText(&want), back.WriteText(&got)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.String(), got.String()); d != "" {
		t.Error(d)
	}
}

// full fails after so many bytes, as a full disk does.
type full int

func (f *full) Write(p []byte) (int, error) {
	if *f -= full(len(p)); *f < 0 {
		return 0, errFull
	}
	return len(p), nil
}

var errFull = errors.New("no space left on device")

func TestWriteTextFails(t *testing.T) {
	tr := &Transcript{Questions: []Question{{Number: 1, Findings: []Finding{{State: Answered, Says: "yes"}}}}}
	var b bytes.Buffer
	if err := tr.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for n := range b.Len() {
		f := full(n)
		if err := tr.WriteText(&f); !errors.Is(err, errFull) {
			t.Fatalf("%d of %d bytes fit: %v", n, b.Len(), err)
		}
	}
}
