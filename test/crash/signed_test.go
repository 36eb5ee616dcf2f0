package crash

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"airbundle/internal/signature"
)

// exists says that a file is there.
func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// An archive that is to be signed never stands under its name without a signature that holds,
// wherever the build is killed or fails; the same command makes both.
func TestSignedBuildMeetsFaults(t *testing.T) {
	w := newQuickWorkshop(t)
	key := filepath.Join(t.TempDir(), "k")
	w.bundler.run(t, 0, nil, "keygen", "-o", key)
	start := func(t *testing.T) attempt {
		a := w.attempt(t)
		path := a.paths[1]
		sig := path + signature.Suffix
		a.args = append(a.args, "--sign", key+".key")
		a.paths = append(a.paths, sig)
		check := a.check
		a.check = func(t *testing.T, ended met) {
			t.Helper()
			check(t, ended)
			if exists(t, path) && !exists(t, sig) {
				t.Errorf("status %d: the archive has its name, and no signature", ended.code)
			}
			if exists(t, sig) {
				if _, err := signature.ReadFile(sig); err != nil {
					t.Errorf("the signature is torn: %v", err)
				}
			}
		}
		a.again = func(t *testing.T) {
			t.Helper()
			a.program.run(t, 0, nil, a.args...)
			program{name: "seeder"}.run(t, 0, nil, "verify", path, "--key", key+".pub")
			// A build that is killed in the middle of the signature leaves the hidden file of it.
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "[^.]*")); err != nil || len(left) != 2 {
				t.Errorf("archive and signature, and what else? %v %v", left, err)
			}
		}
		return a
	}
	for name, c := range map[string]campaign{
		"killed": {what: "signal=SIGKILL", calls: fileCalls, files: true, n: 60, few: 8, codes: []int{0, 137}},
		"ENOSPC": {what: "error=ENOSPC", says: "no space left", calls: fileCalls, files: true, n: 30, few: 4, codes: []int{0, 3, 9}},
	} {
		t.Run(name, func(t *testing.T) { c.run(t, start) })
	}
}

// A key is whole or not there; a public one never stands alone, and no run replaces a key.
func TestKilledKeygen(t *testing.T) {
	start := func(t *testing.T) attempt {
		dir := t.TempDir()
		key := filepath.Join(dir, "k")
		args := []string{"keygen", "-o", key}
		whole := func(t *testing.T, key string) {
			t.Helper()
			private, err := signature.ReadPrivateKey(key + ".key")
			if err != nil {
				t.Fatalf("the key is torn: %v", err)
			}
			if got, err := os.ReadFile(key + ".pub"); exists(t, key+".pub") && !bytes.Equal(got, private.Public.Encode()) {
				t.Errorf("the public key is torn or another one: %v\n%s", err, got)
			}
			if st, err := os.Stat(key + ".key"); err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("the key can be read by others: %v %v", st.Mode(), err)
			}
		}
		p := program{name: "bundler"}
		return attempt{
			program: p, args: args, paths: []string{dir, key + ".key", key + ".pub"},
			check: func(t *testing.T, ended met) {
				t.Helper()
				if exists(t, key+".key") {
					whole(t, key)
				} else if exists(t, key+".pub") || ended.code == 0 {
					t.Errorf("status %d, and there is no private key", ended.code)
				}
			},
			again: func(t *testing.T) {
				t.Helper()
				if before, err := os.ReadFile(key + ".key"); err == nil {
					if got := p.end(t, args...); got.code != 2 {
						t.Errorf("a key is there: status %d\n%s", got.code, got.talk)
					}
					if now, err := os.ReadFile(key + ".key"); err != nil || !bytes.Equal(now, before) {
						t.Errorf("the key was replaced (%v)", err)
					}
					key += "2"
					args[2] = key
				}
				p.run(t, 0, nil, args...)
				whole(t, key)
			},
		}
	}
	calls := []string{"fsync", "fchmod", "linkat", "renameat", "unlinkat", "write", "openat", "close", "newfstatat"}
	c := campaign{what: "signal=SIGKILL", calls: calls, n: 24, few: 8, codes: []int{0, 137}}
	c.run(t, start)
}
