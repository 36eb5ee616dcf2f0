package nexustest_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"airbundle/internal/nexustest"
)

// answer is a response with its body read.
type answer struct {
	code   int
	reason string
	header http.Header
	body   string
}

// do sends one request as the administrator. Header pairs follow the body.
func do(t *testing.T, method, rawURL, body string, header ...string) answer {
	t.Helper()
	return doAs(t, nexustest.Username, nexustest.Password, method, rawURL, body, header...)
}

// doAs is do for an account; an empty name sends no credentials.
func doAs(t *testing.T, user, password, method, rawURL, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, rawURL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, rawURL, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: body: %v", method, rawURL, err)
	}
	_, reason, _ := strings.Cut(resp.Status, " ")
	return answer{resp.StatusCode, reason, resp.Header, string(data)}
}

// want fails the test unless the answer has that code.
func (a answer) want(t *testing.T, code int) answer {
	t.Helper()
	if a.code != code {
		t.Fatalf("got %d %s, want %d; body: %.200s", a.code, a.reason, code, a.body)
	}
	return a
}

// wire sends raw bytes and returns the answer's header lines and body as they
// came, without the Date line.
func wire(t *testing.T, serverURL, request string) (head []string, body string) {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second)) // a test
	request = strings.ReplaceAll(request, "\n", "\r\n")
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	r := textproto.NewReader(bufio.NewReader(conn))
	length := 0
	for {
		line, err := r.ReadLine()
		if err != nil {
			t.Fatalf("after %q: %v", head, err)
		}
		if line == "" {
			break
		}
		if n, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, _ = strconv.Atoi(n)
		}
		if !strings.HasPrefix(line, "Date: ") {
			head = append(head, line)
		}
	}
	if !strings.HasPrefix(request, "HEAD") {
		buf := make([]byte, length)
		if _, err := io.ReadFull(r.R, buf); err != nil {
			t.Fatal(err)
		}
		body = string(buf)
	}
	return head, body
}

// basic is the Authorization header line of the administrator.
const basic = "Authorization: Basic YWRtaW46YWRtaW4xMjM=\n"

func sha(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func digestOf(data []byte) string { return "sha256:" + sha(data) }

// decode reads JSON.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %.300s", err, text)
	}
	return v
}

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("%s: did not happen", what)
}

// tool returns the path of a program that an interop test needs. Where it is
// missing the test is skipped, except in CI.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed, and in CI it has to be", name)
	}
	t.Skipf("%s is not installed: its interop test is skipped", name)
	return ""
}

// pattern returns n bytes that do not repeat soon.
func pattern(n int) []byte {
	out := bytes.Buffer{}
	for i := 0; out.Len() < n; i++ {
		out.WriteString(strconv.Itoa(i * 7919))
	}
	return out.Bytes()[:n]
}

// keys returns the names of an object's members, sorted.
func keys(object map[string]any) []string { return slices.Sorted(maps.Keys(object)) }
