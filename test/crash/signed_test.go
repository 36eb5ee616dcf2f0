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

// onlyLeft says that files are there, and nothing else in their directory.
func onlyLeft(t *testing.T, files ...string) {
	t.Helper()
	left, err := os.ReadDir(filepath.Dir(files[0]))
	if err != nil || len(left) != len(files) {
		t.Errorf("left: %v (%v), want %v", left, err, files)
	}
	for _, file := range files {
		if !exists(t, file) {
			t.Errorf("%s is not there", file)
		}
	}
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
			onlyLeft(t, path, sig)
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
				before, err := os.ReadFile(key + ".key")
				want := 0
				if exists(t, key+".pub") {
					want = 2 // nothing is left to do
				}
				if got := p.end(t, args...); got.code != want {
					t.Errorf("a key is there: status %d, want %d\n%s", got.code, want, got.talk)
				}
				if now, nerr := os.ReadFile(key + ".key"); nerr != nil || err == nil && !bytes.Equal(now, before) {
					t.Errorf("the key was replaced (%v)", nerr)
				}
				whole(t, key)
				onlyLeft(t, key+".key", key+".pub")
			},
		}
	}
	calls := []string{"fsync", "fchmod", "renameat2", "unlinkat", "write", "openat", "close", "newfstatat", "flock"}
	c := campaign{what: "signal=SIGKILL", calls: calls, n: 24, few: 8, codes: []int{0, 137}}
	c.run(t, start)
}
