package progress

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

type counter struct{ n int64 }

func (c *counter) Add(n int64) { c.n += n }
func (c *counter) End(error)   {}

func TestReaderCounts(t *testing.T) {
	var c counter
	if _, err := io.Copy(io.Discard, Reader(iotest.DataErrReader(strings.NewReader("twelve bytes")), &c)); err != nil || c.n != 12 {
		t.Errorf("counted %d, %v", c.n, err)
	}
	task := Discard.Begin("x", -1)
	task.Add(3)
	task.End(nil)
}
