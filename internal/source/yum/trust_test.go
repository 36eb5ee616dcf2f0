package yum

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

const signaturePath = "/repo/repodata/repomd.xml.asc"

// signedBy adds the signature to a site, armored or not.
func signedBy(t *testing.T, s *site, key *rpmtest.Signer, armored bool) *site {
	t.Helper()
	sig, err := key.Sign(s.files["/repo/repodata/repomd.xml"])
	if err != nil {
		t.Fatal(err)
	}
	if armored {
		var out bytes.Buffer
		w, err := armor.Encode(&out, openpgp.SignatureType, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(sig)
		w.Close()
		sig = out.Bytes()
	}
	s.files[signaturePath] = sig
	return s
}

func TestRepoGPGCheck(t *testing.T) {
	key, stranger := rpmtest.Key(t), rpmtest.OtherKey(t)
	for name, c := range map[string]struct {
		site  *site
		class report.Class
		text  string
	}{
		"armored":       {signedBy(t, mirrorOf(1, primary), key, true), report.ClassOK, ""},
		"binary":        {signedBy(t, mirrorOf(1, primary), key, false), report.ClassOK, ""},
		"unsigned":      {mirrorOf(1, primary), report.ClassTrust, "repomd.xml is not signed, and repo_gpgcheck is on"},
		"stranger":      {signedBy(t, mirrorOf(1, primary), stranger, true), report.ClassTrust, "signed by key [" + stranger.ID + "], which is none of gpgkeys"},
		"nonsense":      {mirrorOf(1, primary), report.ClassTrust, "unreadable signature"},
		"HTML":          {mirrorOf(1, primary), report.ClassTrust, "unreadable signature"},
		"empty":         {mirrorOf(1, primary), report.ClassTrust, "there are 0 signatures"},
		"changed":       {signedBy(t, mirrorOf(1, primary), key, true), report.ClassTrust, "bad signature by key " + key.ID},
		"not to be had": {mirrorOf(1, primary), report.ClassUnavailable, "503"},
	} {
		switch name {
		case "nonsense":
			c.site.files[signaturePath] = []byte{0x89, 1, 2, 3}
		case "HTML":
			c.site.files[signaturePath] = []byte("<html>")
		case "empty":
			c.site.files[signaturePath] = nil
		case "changed":
			c.site.files["/repo/repodata/repomd.xml"] = repomdOf(2, primary)
		case "not to be had":
			c.site.handle = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == signaturePath {
					w.WriteHeader(503)
				}
				return r.URL.Path == signaturePath
			}
		}
		o := options(t)
		put(t, filepath.Join(o.Dir, "keys", "our"), []byte(key.Armor))
		repo := lockfile.Repo{ID: "base", BaseURL: c.site.start(t).url, GPGKeys: []string{"keys/our"}, RepoGPGCheck: true}
		_, err := New(o).Open(t.Context(), repo, "x86_64", ageOf)
		if report.Classify(err) != c.class || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
		repo.RepoGPGCheck = false // then nobody asks
		if _, err := New(o).Open(t.Context(), repo, "x86_64", ageOf); err != nil {
			t.Errorf("%s, unchecked: %v", name, err)
		}
	}
}

// A mirror whose signature does not hold is skipped, however new it says it is; when it
// is the same everywhere, that is a question of trust.
func TestSignedMirrors(t *testing.T) {
	key := rpmtest.Key(t)
	forged := signedBy(t, mirrorOf(1, primary), key, true)
	forged.files["/repo/repodata/repomd.xml"] = repomdOf(999, "evil")
	unsigned, good := mirrorOf(500, "evil too").start(t), signedBy(t, mirrorOf(2, primary), key, true).start(t)
	o := options(t)
	put(t, filepath.Join(o.Dir, "key"), []byte(key.Armor))
	repo := mirrorList(t, o, forged.start(t).url, unsigned.url, good.url)
	repo.GPGKeys, repo.RepoGPGCheck = []string{"key"}, true
	r := open(t, o, repo)
	if string(r.Repomd) != string(repomdOf(2, primary)) || len(r.Skipped) != 2 || !strings.Contains(r.Skipped[0], "bad signature") || !strings.Contains(r.Skipped[1], "not signed") {
		t.Errorf("%q, skipped %q", r.Repomd, r.Skipped)
	}
	if _, ok := r.Older(); ok {
		t.Error("a forged edition is kept as an older one")
	}
	put(t, filepath.Join(o.Dir, "mirrors"), []byte(refused()+"\n"+forged.url+"\n"+unsigned.url))
	if _, err := New(o).Open(t.Context(), repo, "x86_64", ageOf); report.Classify(err) != report.ClassTrust {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
}

// The signed repository of librepo's tests.
func TestLibrepoSignatures(t *testing.T) {
	dir := rpmtest.Testdata(t, "rpm", "repodata-samples", "librepo", "repo_yum_01", "repodata")
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, c := range map[string]struct {
		repomd, sig, key string
		text             string // of the error
	}{
		"good":          {"repomd.xml", "repomd.xml.asc", "repomd.xml.key.asc", ""},
		"binary key":    {"repomd.xml", "repomd.xml.asc", "repomd.xml.key", ""},
		"bad content":   {"repomd.xml_bad", "repomd.xml.asc", "repomd.xml.key.asc", "bad signature by key 97bdb7906441edf5"},
		"another key":   {"repomd.xml", "repomd.xml.asc", "repomd.xml_bad.key.asc", "97bdb7906441edf5"},
		"bad signature": {"repomd.xml", "repomd.xml_bad.sig", "repomd.xml.key.asc", "a5955dfcbaa2d212"},
	} {
		o := options(t)
		put(t, filepath.Join(o.Dir, "repodata", "repomd.xml"), read(c.repomd))
		put(t, filepath.Join(o.Dir, "repodata", "repomd.xml.asc"), read(c.sig))
		put(t, filepath.Join(o.Dir, "key"), read(c.key))
		repo := lockfile.Repo{ID: "base", BaseURL: "file:.", GPGKeys: []string{"key"}, RepoGPGCheck: true}
		r, err := New(o).Open(t.Context(), repo, "x86_64", func([]byte) (int64, error) { return 1, nil })
		if c.text != "" {
			if report.Classify(err) != report.ClassTrust || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
			}
			continue
		}
		if err != nil || len(r.Keys) != 1 || r.Keys[0].ID != "97bdb7906441edf5" {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
	}
}

func TestKeys(t *testing.T) {
	a, b := rpmtest.Key(t), rpmtest.OtherKey(t)
	o := options(t)
	keys := &site{files: map[string][]byte{"/repo/b": []byte("text before\n" + b.Armor)}}
	keys.start(t)
	put(t, filepath.Join(o.Dir, "a"), []byte(a.Armor))
	put(t, filepath.Join(o.Dir, "both"), []byte(b.Armor+"\n"+a.Armor))
	absolute := filepath.Join(t.TempDir(), "a")
	put(t, absolute, []byte(a.Armor))
	good := mirrorOf(1, primary).start(t)
	for _, c := range []struct {
		sources []string
		ids     []string
	}{
		{nil, []string{}},
		{[]string{"a", keys.url + "/b"}, []string{a.ID, b.ID}},
		{[]string{"both", "a", "file:a"}, []string{b.ID, a.ID}},
		{[]string{absolute, "file://" + absolute}, []string{a.ID}},
	} {
		r := open(t, o, lockfile.Repo{ID: "base", BaseURL: good.url, GPGKeys: c.sources})
		ids := []string{}
		for _, k := range r.Keys {
			ids = append(ids, k.ID)
			ring, err := rpm.ReadKeys(k.Armor)
			if err != nil || len(ring) != 1 || fmt.Sprintf("%016x", ring[0].PrimaryKey.KeyId) != k.ID {
				t.Errorf("%s: %v, %d keys in its armor", k.ID, err, len(ring))
			}
		}
		if diff := cmp.Diff(c.ids, ids); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.sources, diff)
		}
	}
	for name, c := range map[string]struct {
		source string
		class  report.Class
		text   string
	}{
		"missing":      {"nowhere", report.ClassLocal, "no such file"},
		"404":          {keys.url + "/nowhere?token=CANARY", report.ClassUnavailable, "404"},
		"a directory":  {".", report.ClassLocal, "directory"},
		"not a key":    {"text", report.ClassContent, "text: read public keys"},
		"private":      {"private", report.ClassContent, "private key"},
		"a page":       {keys.url + "/page", report.ClassContent, "no armored key"},
		"binary waste": {"waste", report.ClassContent, "read public keys"},
	} {
		put(t, filepath.Join(o.Dir, "text"), []byte("no key"))
		put(t, filepath.Join(o.Dir, "waste"), []byte{0x99, 1, 2})
		keys.files["/repo/page"] = []byte("<html>")
		var private bytes.Buffer
		if err := a.Entity.SerializePrivateWithoutSigning(&private, nil); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(o.Dir, "private"), private.Bytes())
		_, err := New(o).Open(t.Context(), lockfile.Repo{ID: "base", BaseURL: good.url, GPGKeys: []string{c.source, "nowhere-else"}}, "x86_64", ageOf)
		if !strings.Contains(fmt.Sprint(err), c.text) || !strings.Contains(fmt.Sprint(err), "nowhere-else") || strings.Contains(fmt.Sprint(err), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
		_, err = New(o).Open(t.Context(), lockfile.Repo{ID: "base", BaseURL: good.url, GPGKeys: []string{c.source}}, "x86_64", ageOf)
		if report.Classify(err) != c.class {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
	}
}

// The same key gives the same bytes, without what others say of it.
func TestExportIsRepeatable(t *testing.T) {
	e := newEntity(t)
	stranger := rpmtest.OtherKey(t)
	for _, name := range []string{"b", "c", "a", "d"} {
		if err := e.AddUserId(name, "", "x@invalid", nil); err != nil {
			t.Fatal(err)
		}
	}
	for name := range e.Identities {
		if err := e.SignIdentity(name, stranger.Entity, nil); err != nil {
			t.Fatal(err)
		}
	}
	var published bytes.Buffer
	if err := e.Serialize(&published); err != nil {
		t.Fatal(err)
	}
	var first string
	for range 20 {
		ring, err := parseKeys(published.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		keys, err := exportKeys(ring)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = keys[0].Armor
		}
		if keys[0].Armor != first {
			t.Fatal("two exports of one key differ")
		}
	}
	again, err := rpm.ReadKeys(first)
	if err != nil || len(again[0].Identities) != 5 || len(again[0].Subkeys) != len(e.Subkeys) {
		t.Fatalf("%v: %d identities, %d subkeys", err, len(again[0].Identities), len(again[0].Subkeys))
	}
	for name, id := range again[0].Identities {
		if len(id.Signatures) != 1 {
			t.Errorf("%s has %d signatures", name, len(id.Signatures))
		}
	}
}

func newEntity(t *testing.T) *openpgp.Entity {
	t.Helper()
	return rpmtest.OtherKey(t).Entity
}

func TestSigner(t *testing.T) {
	key, other, stranger := rpmtest.Key(t), rpmtest.OtherKey(t), rpmtest.OtherKey(t)
	spec := rpmtest.Spec{Name: "hello", Files: []rpmtest.File{{Path: "/f", Body: strings.Repeat("x", 100)}}}
	build := func(k *rpmtest.Signer) []byte { s := spec; s.Key = k; return rpmtest.Build(t, s) }
	files := map[string][]byte{
		"ours": build(key), "other": build(other), "stranger": build(stranger), "unsigned": build(nil),
		"page": []byte("<html>"), "cut": build(key)[:120],
	}
	plain, ranged := mirrorOf(1, primary), mirrorOf(1, primary)
	for name, data := range files {
		plain.files["/repo/"+name], ranged.files["/repo/"+name] = data, data
	}
	var sent []string
	ranged.handle = func(_ http.ResponseWriter, r *http.Request) bool {
		sent = append(sent, r.Header.Get("Range"))
		return false
	}
	plain.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if data, ok := files[strings.TrimPrefix(r.URL.Path, "/repo/")]; ok {
			w.Write(data)
			return true
		}
		return false
	}
	o := options(t)
	put(t, filepath.Join(o.Dir, "keys"), []byte(key.Armor+other.Armor))
	p, err := rpm.Read(bytes.NewReader(files["ours"]))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*site{plain.start(t), ranged.start(t)} {
		r := open(t, o, lockfile.Repo{ID: "base", BaseURL: s.url, GPGKeys: []string{"keys"}})
		for name, want := range map[string]string{"ours": key.ID, "other": other.ID, "unsigned": ""} {
			for _, head := range []int64{p.HeaderStart, 0} {
				if got, err := r.Signer(t.Context(), "", name, head); got != want || err != nil {
					t.Errorf("%s, %d: %q, %v", name, head, got, err)
				}
			}
		}
		for name, c := range map[string]struct {
			class report.Class
			text  string
		}{
			"stranger": {report.ClassTrust, "signed by key " + stranger.ID},
			"page":     {report.ClassContent, "malformed RPM package"},
			"cut":      {report.ClassContent, "it ends inside"},
			"nowhere":  {report.ClassUnavailable, "404"},
		} {
			_, err := r.Signer(t.Context(), "", name, p.HeaderStart)
			if report.Classify(err) != c.class || !strings.Contains(fmt.Sprint(err), c.text) || !strings.Contains(fmt.Sprint(err), name) {
				t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
			}
		}
		// More than is said to be there is not read.
		if _, err := r.Signer(t.Context(), "", "ours", 100); report.Classify(err) != report.ClassContent {
			t.Errorf("a header that begins within the signature: %v", err)
		}
	}
	if want := fmt.Sprintf("bytes=0-%d", p.HeaderStart-1); !strings.Contains(strings.Join(sent, " "), want) {
		t.Errorf("asked for %q, want %q", sent, want)
	}
}

// A mirror that has another thing under the name is passed over.
func TestSignerOfSecondMirror(t *testing.T) {
	key := rpmtest.Key(t)
	bad, good := mirrorOf(1, primary), mirrorOf(1, primary)
	bad.files["/repo/a.rpm"], good.files["/repo/a.rpm"] = []byte("<html>"), rpmtest.Build(t, rpmtest.Spec{Name: "a", Key: key})
	o := options(t)
	put(t, filepath.Join(o.Dir, "key"), []byte(key.Armor))
	repo := mirrorList(t, o, bad.start(t).url, good.start(t).url)
	repo.GPGKeys = []string{"key"}
	if got, err := open(t, o, repo).Signer(t.Context(), "", "a.rpm", 0); got != key.ID {
		t.Errorf("%q, %v", got, err)
	}
}

// What openSUSE signed in 2008: the key is revoked or the hash is one that can be forged,
// and repo_gpgcheck says so instead of passing it.
func TestOldSignature(t *testing.T) {
	dir := rpmtest.Testdata(t, "rpm", "repodata-samples", "opensuse-11.0-update", "repodata")
	o := options(t)
	o.Dir = filepath.Dir(dir)
	repo := lockfile.Repo{ID: "base", BaseURL: "file:.", GPGKeys: []string{"repodata/repomd.xml.key"}, RepoGPGCheck: true}
	_, err := New(o).Open(t.Context(), repo, "x86_64", repomdAge)
	if report.Classify(err) != report.ClassTrust || !strings.Contains(err.Error(), "made with SHA-1, which can be forged") {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
	repo.RepoGPGCheck = false
	if r, err := New(o).Open(t.Context(), repo, "x86_64", repomdAge); err != nil || len(r.Keys) != 1 {
		t.Errorf("%v, %+v", err, r)
	}
}

// A subkey may sign: the lock names its primary key, whose exported form holds the subkey.
func TestSigningSubkey(t *testing.T) {
	key := rpmtest.OtherKey(t)
	if err := key.Entity.AddSigningSubkey(&packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return rpmtest.Built }}); err != nil {
		t.Fatal(err)
	}
	var public bytes.Buffer
	if err := key.Entity.Serialize(&public); err != nil {
		t.Fatal(err)
	}
	pkg := rpmtest.Build(t, rpmtest.Spec{Name: "a", Key: key})
	ids, err := rpm.SignatureKeyIDs(bytes.NewReader(pkg))
	if err != nil || len(ids) != 1 || ids[0] == key.ID {
		t.Fatalf("%q, %v: want the id of the subkey, not %s", ids, err, key.ID)
	}
	s := mirrorOf(1, primary)
	s.files["/repo/a.rpm"] = pkg
	o := options(t)
	put(t, filepath.Join(o.Dir, "key"), public.Bytes())
	r := open(t, o, lockfile.Repo{ID: "base", BaseURL: s.start(t).url, GPGKeys: []string{"key"}})
	id, err := r.Signer(t.Context(), "", "a.rpm", 0)
	if err != nil || id != key.ID || len(r.Keys) != 1 || r.Keys[0].ID != id {
		t.Fatalf("signer %q, %v, keys %+v", id, err, r.Keys)
	}
	ring, err := rpm.ReadKeys(r.Keys[0].Armor)
	if err != nil {
		t.Fatal(err)
	}
	if ring, err = rpm.SelectKey(ring, id); err != nil {
		t.Fatal(err)
	}
	if signer, err := rpm.Verify(bytes.NewReader(pkg), ring); signer != id || err != nil {
		t.Errorf("a build finds it signed by %q, %v", signer, err)
	}
}
