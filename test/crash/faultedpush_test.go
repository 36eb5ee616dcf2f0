package crash

import (
	"fmt"
	"slices"
	"testing"
)

// attempts returns what starts one push of a bundle to a server of its own.
func attempts(bundle string, start func(t *testing.T) *server) func(t *testing.T) attempt {
	return func(t *testing.T) attempt {
		s := start(t)
		args := append([]string{"push", bundle, "--jobs", "3"}, s.flags...)
		seeder := program{name: "seeder", env: append(slices.Clone(s.env), "GOMAXPROCS=1")} // strace counts the calls of each thread
		return attempt{
			program: seeder, args: args, paths: []string{bundle},
			check: func(t *testing.T, ended met) {
				t.Helper()
				s.all(t, ended.code == 0)
			},
			again: func(t *testing.T) {
				t.Helper()
				seeder.run(t, 0, nil, args...)
				s.all(t, true)
			},
		}
	}
}

// all reads everything back that can be seen; where done, that must be all tags.
func (s *server) all(t *testing.T, done bool) {
	t.Helper()
	if got, want := s.tags(t), fmt.Sprintf("%[1]d of %[1]d tags", len(s.repositories)); done && got != want {
		t.Errorf("the push ended with success, and there are %s", got)
	}
}

func pushMeetsFaults(t *testing.T, start func(t *testing.T) *server) {
	path := bundle(t)
	for name, c := range campaigns(130) {
		switch {
		case name == "EIO":
			c.calls, c.files = []string{"pread64", "read", "openat", "newfstatat", "fstat", "close"}, true
			c.codes = []int{0, 9}
		case c.calls == nil:
			c.calls, c.stays = []string{"connect", "write", "socket", "setsockopt", "getsockname"}, false
		}
		t.Run(name, func(t *testing.T) { c.run(t, attempts(path, start)) })
	}
}

func TestRegistryPushMeetsFaults(t *testing.T) { pushMeetsFaults(t, startRegistry) }

func TestNexusPushMeetsFaults(t *testing.T) { pushMeetsFaults(t, startNexus(t)) }
