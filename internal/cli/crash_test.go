package cli

import (
	"bytes"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

// A panic is exit code 1 with a stack, and without the value, which may be a secret.
func TestPanic(t *testing.T) {
	root := &cobra.Command{Use: "tool", RunE: func(*cobra.Command, []string) error { panic("canary-hush") }}
	var talk bytes.Buffer
	code := Main(t.Context(), root, []string{}, Streams{Out: &talk, Err: &talk})
	if code != 1 || strings.Contains(talk.String(), "hush") {
		t.Errorf("exit %d: %s", code, &talk)
	}
	for _, want := range []string{"tool: internal error: a panic with a string", "crash_test.go"} {
		if !strings.Contains(talk.String(), want) {
			t.Errorf("%q is not told: %s", want, &talk)
		}
	}
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &l); err != nil || l.Cur > 1 {
		t.Errorf("core files of %d bytes, %v", l.Cur, err)
	}
}
