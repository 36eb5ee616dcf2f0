package yumconf_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/rpm/yumconf"
	"airbundle/internal/target"
	"airbundle/manifest"
)

const base = "https://nexus.example"

func rpm(repo, name, basearch, signer string) manifest.RPM {
	return manifest.RPM{Name: name, EVR: "1-1", Arch: "noarch", BaseArch: basearch, Repo: repo, Signer: signer, Digest: digest.FromString(repo + name)}
}

// table is a set for both arches by two keys, an unsigned package, a modular set.
func table() *manifest.Table {
	return &manifest.Table{
		Name: "demo", Arches: []string{"x86_64", "aarch64"},
		RPMs: []manifest.RPM{
			rpm("base/os/aarch64", "tool", "aarch64", "000000000000aaaa"),
			rpm("base/os/x86_64", "plain", "x86_64", ""),
			rpm("base/os/x86_64", "tool", "x86_64", "0123456789012345678901234567bbbb"),
			rpm("stream/x86_64", "node", "x86_64", "000000000000aaaa"),
		},
		Keys:     []manifest.Key{{ID: "000000000000aaaa", Armor: "KEY A"}, {ID: "0123456789012345678901234567bbbb", Armor: "KEY B"}},
		Metadata: []manifest.Metadata{{Repo: "stream/x86_64", Type: manifest.MetadataModules}, {Repo: "base/os/x86_64", Type: manifest.MetadataComps}},
	}
}

func site() target.Map {
	empty := ""
	m := target.Default()
	m.Rules = []target.Rule{{Kind: manifest.KindRPM, Prefix: "base", Repository: "centos base", Path: &empty}}
	return m
}

// texts are the files by path, as clients of base would read them.
func texts(c *yumconf.Config) map[string]string {
	out := map[string]string{}
	for _, f := range c.Repos {
		out[f.At.Repository+"/"+f.At.Path] = f.Text(base)
	}
	for _, k := range c.Keys {
		out[k.At.Repository+"/"+k.At.Path] = k.Armor
	}
	return out
}

const (
	keyA = "https://nexus.example/repository/raw-hosted/keys/RPM-GPG-KEY-000000000000aaaa\n"
	keyB = "https://nexus.example/repository/raw-hosted/keys/RPM-GPG-KEY-0123456789012345678901234567bbbb\n"
)

func TestTexts(t *testing.T) {
	want := map[string]string{
		"raw-hosted/keys/RPM-GPG-KEY-000000000000aaaa":                 "KEY A",
		"raw-hosted/keys/RPM-GPG-KEY-0123456789012345678901234567bbbb": "KEY B",
		"raw-hosted/repos/base-os.repo": `# not signed, needs gpgcheck=0: plain-1-1.noarch
[base-os]
name=base/os
baseurl=https://nexus.example/repository/centos%20base/os/$basearch/
enabled=1
gpgcheck=1
repo_gpgcheck=0
gpgkey=` + keyA + "       " + keyB + "# where reading needs a login, add: username=… and password=…\n",
		"raw-hosted/repos/stream.repo": `[stream]
name=stream
baseurl=https://nexus.example/repository/yum-hosted/stream/$basearch/
enabled=1
gpgcheck=1
repo_gpgcheck=0
module_hotfixes=1
gpgkey=` + keyA + "# where reading needs a login, add: username=… and password=…\n",
	}
	if diff := cmp.Diff(want, texts(yumconf.New(table(), site(), yumconf.Options{Login: true}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOurMetadata: where we make it, modules are in it and its signature is asked for; in a
// yum repository of a Nexus neither.
func TestOurMetadata(t *testing.T) {
	m := site()
	m.Rules = append(m.Rules, target.Rule{Kind: manifest.KindRPM, Prefix: "stream", Repository: "streams", Layout: target.LayoutRaw})
	sign := &yumconf.Key{ID: "ffff", Armor: "KEY F"}
	got := texts(yumconf.New(table(), m, yumconf.Options{SignKey: sign, Of: "demo", Comment: "airbundle"}))
	stream := got["raw-hosted/repos/stream.repo"]
	want := "# airbundle\n[stream]\nname=stream of demo\nbaseurl=https://nexus.example/repository/streams/stream/$basearch/\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\n" +
		"gpgkey=https://nexus.example/repository/raw-hosted/keys/RPM-GPG-KEY-ffff\n       " + keyA
	if diff := cmp.Diff(want, stream); diff != "" || got["raw-hosted/keys/RPM-GPG-KEY-ffff"] != "KEY F" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if os := got["raw-hosted/repos/base-os.repo"]; !strings.Contains(os, "repo_gpgcheck=0") || strings.Contains(os, "ffff") {
		t.Errorf("of a yum repository:\n%s", os)
	}
	got = texts(yumconf.New(table(), site(), yumconf.Options{SignKey: sign}))
	if _, there := got["raw-hosted/keys/RPM-GPG-KEY-ffff"]; there {
		t.Error("a key that signs nothing is published")
	}
	got = texts(yumconf.New(table(), site(), yumconf.Options{SignKey: sign, OwnAll: true}))
	if text := got["raw-hosted/repos/stream.repo"]; !strings.Contains(text, "repo_gpgcheck=1") || strings.Contains(text, "module_hotfixes") {
		t.Errorf("all metadata is ours:\n%s", text)
	}
}

func TestPlacesFollowTheMap(t *testing.T) {
	m := site()
	where := "client"
	m.Rules = append(m.Rules, target.Rule{Kind: manifest.KindFile, Prefix: "repos", Repository: "open", Path: &where})
	got := texts(yumconf.New(table(), m, yumconf.Options{}))
	if _, ok := got["open/client/stream.repo"]; !ok || len(got) != 4 {
		t.Errorf("%v", got)
	}
}

// TestItems: with the RPMs that are selected, and not without; the text does not depend on
// what else is.
func TestItems(t *testing.T) {
	c := yumconf.New(table(), site(), yumconf.Options{Login: true})
	pick := func(s target.Selection) (names []string, first []byte) {
		items, err := site().Items(table(), s)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range c.Items(base, items) {
			names = append(names, it.Name)
			if it.Kind != manifest.KindMetadata || it.Digest != digest.FromBytes(it.Made) || it.Place.Repository != "raw-hosted" || it.Place.Path != it.Name {
				t.Errorf("%+v", it)
			}
			if it.Name == "repos/base-os.repo" {
				first = it.Made
			}
		}
		return names, first
	}
	keys := []string{"keys/RPM-GPG-KEY-000000000000aaaa", "keys/RPM-GPG-KEY-0123456789012345678901234567bbbb"}
	all, text := pick(target.Selection{})
	if diff := cmp.Diff(append(keys, "repos/base-os.repo", "repos/stream.repo"), all); diff != "" {
		t.Error(diff)
	}
	some, again := pick(target.Selection{Arches: []string{"aarch64"}})
	if diff := cmp.Diff(append(keys, "repos/base-os.repo"), some); diff != "" || !bytes.Equal(text, again) {
		t.Errorf("one arch: %s\n%s", diff, again)
	}
	if none := c.Items(base, []target.Item{{Artifact: manifest.Artifact{Kind: manifest.KindFile}}}); none != nil {
		t.Errorf("without an RPM: %v", none)
	}
	if c := yumconf.New(&manifest.Table{Keys: table().Keys}, site(), yumconf.Options{}); len(c.Keys)+len(c.Repos) > 0 {
		t.Errorf("a bundle without RPMs: %+v", c)
	}
	if !yumconf.Sealed(text) {
		t.Errorf("what was made does not count as unedited:\n%s", text)
	}
	for name, edited := range map[string][]byte{
		"a setting": bytes.Replace(text, []byte("enabled=1"), []byte("enabled=0"), 1), "a line more": append(bytes.Clone(text), "x=1\n"...),
		"without the first line": text[bytes.IndexByte(text, '\n')+1:], "nothing": nil, "the first line alone": text[:bytes.IndexByte(text, '\n')],
	} {
		if yumconf.Sealed(edited) {
			t.Errorf("%s: edited, and nobody sees it", name)
		}
	}
}
