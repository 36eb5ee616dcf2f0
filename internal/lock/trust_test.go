package lock_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/httpx"
	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

func TestUnsigned(t *testing.T) {
	plain := rpmtest.Spec{Name: "app", Arch: "x86_64"}
	foreign := rpmtest.Spec{Name: "app", Arch: "x86_64", Key: rpmtest.OtherKey(t)}
	for name, c := range map[string]struct {
		spec   rpmtest.Spec
		keys   bool
		accept bool
		why    string // in the lock
		refuse string
	}{
		"no keys":          {spec: plain, why: "repository base has no gpgkeys in the request"},
		"unsigned":         {spec: plain, keys: true, refuse: "not signed"},
		"foreign":          {spec: foreign, keys: true, refuse: "none of the known keys"},
		"accepted":         {spec: plain, keys: true, accept: true, why: "known"},
		"foreign accepted": {spec: foreign, keys: true, accept: true, why: "known"},
	} {
		w := newWorld(t)
		repo := newRepository(t, "https://m/", c.spec)
		if !c.keys {
			repo.keys = nil
		}
		w.repos = repositories{"base": repo}
		req := request("x86_64")
		req.Repos = []lockfile.Repo{{ID: "base", BaseURL: "https://m"}}
		req.Packages = []lockfile.PackageSet{{Into: "os", Install: []string{"app"}, Line: 4}}
		if c.accept {
			req.Accept = []lockfile.Accept{{Finding: "unsigned", Artifact: "app", Why: "known"}}
		}
		got, err := w.lockBy(t, &solver{}, req, lock.Options{})
		if c.refuse != "" {
			if report.Classify(err) != report.ClassTrust || !strings.Contains(err.Error(), c.refuse) || !strings.Contains(err.Error(), "package app-1.0-1.x86_64: ") || !strings.Contains(err.Error(), "{finding: unsigned, artifact: app, why: …}") {
				t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		l := canonical(t, got.Lock)
		if p := l.RPMs[0]; p.Signer != "" || p.Unsigned != "accepted" || p.Why != c.why || len(l.Keys) != 0 {
			t.Errorf("%s: %+v, keys %v", name, p, l.Keys)
		}
		if diff := cmp.Diff(req.Accept, l.Accept); diff != "" {
			t.Errorf("%s: accept (-want +got):\n%s", name, diff)
		}
	}
}

// TestUnreadablePackages: where packages cannot be read, a single key is pinned unseen.
func TestUnreadablePackages(t *testing.T) {
	gone := &httpx.StatusError{Method: "GET", URL: "https://m/p", Code: 404}
	second := rpmtest.OtherKey(t)
	for name, c := range map[string]struct {
		err    error
		keys   int
		refuse report.Class
	}{
		"one key":  {gone, 1, report.ClassOK},
		"no file":  {&fs.PathError{Op: "stat", Path: "p", Err: fs.ErrNotExist}, 1, report.ClassOK},
		"no right": {&fs.PathError{Op: "stat", Path: "p", Err: fs.ErrPermission}, 1, report.ClassLocal},
		"two keys": {gone, 2, report.ClassUnavailable},
		"no RPM":   {report.WithClass(report.ClassContent, errors.New("not a package")), 1, report.ClassContent},
		"forged":   {&rpm.BadSignatureError{KeyID: "x", Err: errors.New("no")}, 1, report.ClassTrust},
	} {
		w, req := withPackages(t)
		req.Arches = []string{"x86_64"}
		repo := w.repos["base x86_64"]
		repo.signer = func(string) (string, error) { return "", c.err }
		if c.keys == 2 {
			repo.keys = append(repo.keys, lockfile.Key{ID: second.ID, Armor: second.Armor})
		}
		got, err := w.lockBy(t, &solver{}, req, lock.Options{})
		if report.Classify(err) != c.refuse {
			t.Errorf("%s: class %d, want %d: %v", name, report.Classify(err), c.refuse, err)
		}
		if err == nil && (got.Lock.RPMs[0].Signer != rpmtest.Key(t).ID || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "pinned as their signer unseen")) {
			t.Errorf("%s: %+v, notes %q", name, got.Lock.RPMs[0], got.Notes)
		}
	}
}

// TestOnlyUsedKeys: of the keys that the request names, the lock has those that signed.
func TestOnlyUsedKeys(t *testing.T) {
	w, req := withPackages(t)
	other := rpmtest.OtherKey(t)
	for _, r := range w.repos {
		r.keys = append([]lockfile.Key{{ID: other.ID, Armor: other.Armor}}, r.keys...)
	}
	got, err := w.lockBy(t, &solver{}, req, lock.Options{})
	if err != nil || len(got.Lock.Keys) != 1 || got.Lock.Keys[0].ID != rpmtest.Key(t).ID {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSignersAreKnown: what the old lock says of the same bytes is not looked at again,
// unless the key is none of the repository's any more.
func TestSignersAreKnown(t *testing.T) {
	w, req := withPackages(t)
	res, err := w.lockBy(t, &solver{}, req, lock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	base := w.repos["base x86_64"]
	base.looked = nil
	again, err := w.lockBy(t, &solver{}, req, lock.Options{Old: res.Lock})
	if err != nil || len(base.looked) != 0 || again.Lock.Digest() != res.Lock.Digest() {
		t.Errorf("%v, looked at %v", err, base.looked)
	}
	other := rpmtest.OtherKey(t)
	base.keys = []lockfile.Key{{ID: other.ID, Armor: other.Armor}}
	if _, err := w.lockBy(t, &solver{}, req, lock.Options{Old: res.Lock}); report.Classify(err) != report.ClassTrust {
		t.Errorf("with another key: %v", err)
	}
}
