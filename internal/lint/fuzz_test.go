package lint_test

import (
	"testing"

	"airbundle/internal/fuzztest"
	"airbundle/internal/lint"
	"airbundle/internal/lockfile"
)

// What is read as a request or as a lock is told from the other first.
func FuzzIsRequest(f *testing.F) {
	f.Add([]byte("apiVersion: airbundle/v1\nkind: Request\nname: a\narches: [x86_64]\n"))
	f.Add([]byte("apiVersion: airbundle/v1\nkind: Lock\nname: a\narches: [x86_64]\n"))
	f.Add([]byte("apiVersion: airbundle/v1\r\nkind: \"Request\" # x\r\nname: a\r\narches: [x86_64]\r\n"))
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		if lint.IsRequest(data) {
			if _, err := lockfile.DecodeLock("f", data); err == nil {
				t.Error("a lock passes for a request")
			}
		}
	})
}
