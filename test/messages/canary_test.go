package messages

import (
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The secrets of these tests. Each has a core of letters, which all but hex and base64
// leave as it is, between characters that are escaped in one way or another.
var cores = []string{
	"CanaryUser", "CanaryPassword", "CanaryToken", "CanaryHelper", "CanaryProxy", "CanaryQuery", "CanaryUserinfo", "CanaryPassphrase", "CanaryKey",
}

const (
	user       = "CanaryUser7"
	password   = `7+CanaryPassword/&"é<`
	token      = "7.CanaryToken-_7"
	helperSays = "7CanaryHelper&7"
	passphrase = "7CanaryPassphrase'7"
	query      = "7CanaryQuery%2B7"
	userinfo   = "CanaryUserinfo"
)

// needles are the forms in which a core is looked for.
func needles() map[string]string {
	out := map[string]string{}
	for _, core := range cores {
		out[core] = core
		out[hex.EncodeToString([]byte(core))] = core + " in hex"
		for shift := range 3 { // at whatever place in what was encoded
			raw := []byte(strings.Repeat("x", shift) + core)
			whole := base64.RawStdEncoding.EncodeToString(raw)
			out[whole[4:len(whole)-4]] = core + " in base64"
		}
	}
	return out
}

// leaks tells which secrets a text holds.
func leaks(text string) (found []string) {
	lower := strings.ToLower(text)
	for needle, what := range needles() {
		at := strings.Index(text, needle)
		if at < 0 && strings.HasSuffix(what, "hex") {
			at = strings.Index(lower, needle)
		}
		if at >= 0 {
			found = append(found, what+": …"+text[max(0, at-120):min(len(text), at+80)]+"…")
		}
	}
	return found
}

// noLeak searches all that a process printed and all that lies in its directory.
func (p *process) noLeak(t testing.TB, r result) {
	t.Helper()
	for what, text := range map[string]string{"standard output": r.out, "standard error": r.err} {
		for _, l := range leaks(text) {
			t.Errorf("%s holds %s", what, l)
		}
	}
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, l := range leaks(path + "\n" + string(raw)) {
			t.Errorf("%s holds %s", path, l)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Every form that the search promises to find is found.
func TestSearchFinds(t *testing.T) {
	for _, s := range []string{
		user, password, token, base64.StdEncoding.EncodeToString([]byte(user + ":" + password)), base64.URLEncoding.EncodeToString([]byte("ab" + password)),
		hex.EncodeToString([]byte(password)), strings.ToUpper(hex.EncodeToString([]byte(token))),
	} {
		if leaks("before "+s+" after") == nil {
			t.Errorf("%q is not found", s)
		}
	}
	if l := leaks("Canary user, password"); l != nil {
		t.Errorf("found %v", l)
	}
}
