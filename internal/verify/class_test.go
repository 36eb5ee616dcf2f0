package verify

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/report"
)

// A blob that could not be read does not hide one that was read and is wrong.
func TestClass(t *testing.T) {
	whole, unread, wrong := digest.FromString("whole"), digest.FromString("unread"), digest.FromString("wrong")
	r := &run{bad: map[digest.Digest]error{
		unread: &fs.PathError{Op: "read", Path: "app.tar", Err: syscall.EIO},
		wrong:  errors.New("other bytes"),
	}}
	for _, c := range []struct {
		name  string
		needs []digest.Digest
		err   error
		want  report.Class
	}{
		{"no bad blob", []digest.Digest{whole}, errors.New("inconsistent"), report.ClassContent},
		{"unread", []digest.Digest{whole, unread}, nil, report.ClassLocal},
		{"wrong", []digest.Digest{wrong}, notWhole(r.bad[wrong]), report.ClassContent},
		{"unread and wrong", []digest.Digest{unread, wrong}, notWhole(r.bad[unread]), report.ClassContent},
		{"a config unread", []digest.Digest{whole}, fmt.Errorf("config: %w", notWhole(r.bad[unread])), report.ClassLocal},
		{"unread and inconsistent", []digest.Digest{unread}, errors.New("inconsistent"), report.ClassContent},
		{"unread the second time", []digest.Digest{whole}, r.bad[unread], report.ClassLocal},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := r.class(c.needs, c.err); got != c.want {
				t.Errorf("class %d, want %d", got, c.want)
			}
		})
	}
}
