package faults

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more servers run at once than there are processors: what takes time here
// is waiting.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
