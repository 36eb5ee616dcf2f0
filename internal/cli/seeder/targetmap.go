package seeder

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"strings"

	"airbundle/internal/cli"
	"airbundle/internal/digestio"
	"airbundle/internal/lockfile"
	"airbundle/internal/regular"
	"airbundle/internal/report"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpm/yumconf"
	"airbundle/internal/target"
	"airbundle/manifest"
	"airbundle/targets"
)

// maxTarget caps a file of --target: a rule is a line of some hundred bytes.
const maxTarget = 1 << 20

// readTarget reads what --target names: a file, else one of the ready maps.
func readTarget(name string) (*lockfile.Target, error) {
	f, _, err := regular.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		data, ok := targets.Read(name)
		if !ok {
			return nil, cli.Usage("--target %s: there is no such file, and no ready map of this name; ready are %s", name, strings.Join(targets.Names(), ", "))
		}
		return lockfile.DecodeTarget(name+".yaml (a ready map)", data)
	}
	if err != nil {
		return nil, report.WithClass(report.ClassUsage, fmt.Errorf("--target: %w", err))
	}
	defer f.Close()
	data, err := digestio.ReadCapped(f, -1, maxTarget)
	if err != nil {
		return nil, report.WithClass(report.ClassUsage, fmt.Errorf("--target %s: %w", name, err))
	}
	return lockfile.DecodeTarget(name, data)
}

// apply makes the rules of a file those of a map.
func apply(m target.Map, t *lockfile.Target) target.Map {
	for _, r := range t.Repositories {
		m.Rules = append(m.Rules, target.Rule{Kind: manifest.Kind(r.Kind), Prefix: r.Prefix, Repository: r.Repository, Path: r.Path, Layout: r.Layout})
	}
	for _, g := range t.Groups {
		m.Groups = append(m.Groups, target.Group{Name: g.Name, Format: g.Format, Members: g.Members})
	}
	m.HTTPPorts = map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(t.HTTPPorts)) {
		m.HTTPPorts[name] = int(t.HTTPPorts[name])
	}
	return m
}

// flagsWin takes the rules for all of a kind out, where a flag names its repository.
func (o *selection) flagsWin(m target.Map) target.Map {
	for _, p := range []struct {
		flag   string
		kind   manifest.Kind
		layout string
	}{
		{"docker-repo", manifest.KindImage, ""},
		{"yum-repo", manifest.KindRPM, target.LayoutYum},
		{"raw-repo", manifest.KindRPM, target.LayoutRaw},
		{"raw-repo", manifest.KindFile, ""},
		{"helm-repo", manifest.KindChart, ""},
	} {
		if o.flags.Changed(p.flag) {
			m = m.Without(p.kind, p.layout)
		}
	}
	return m
}

// targets returns the target map: the file's, the flags' where these are given.
func (o *selection) targets() (target.Map, error) {
	m := o.places
	naming, err := target.ParseNaming(o.naming)
	if err != nil {
		return m, cli.Usage("--naming: %v", err)
	}
	if o.layout != "" && o.layout != target.LayoutYum && o.layout != target.LayoutRaw {
		return m, cli.Usage("--rpm-layout is yum or raw, not %q", o.layout)
	}
	m.Naming, m.RawRPMs = naming, o.layout == target.LayoutRaw
	if o.file == "" {
		return m, nil
	}
	t, err := readTarget(o.file)
	if err != nil {
		return m, err
	}
	return o.flagsWin(apply(m, t)), nil
}

// publicURL is the target's URL as clients know it, without a slash at the end.
func (o *selection) publicURL(nexus *url.URL) (string, error) {
	u := nexus
	if o.public != "" {
		var err error
		if u, err = url.Parse(o.public); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return "", cli.Usage("--public-url wants a URL such as https://nexus.example, without credentials")
		}
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// withYumConf adds the keys and .repo files that go with the RPMs among the items to a Nexus.
// sign is the public key of who signs the metadata that we make, depths are those of the
// yum repositories.
func (o *selection) withYumConf(t *manifest.Table, m target.Map, r *remote, items []target.Item, sign *yumconf.Key, depths map[string]int) ([]target.Item, error) {
	u, isNexus, err := r.base()
	if err != nil || !isNexus || !o.repoFiles {
		return items, err
	}
	base, err := o.publicURL(u)
	if err != nil {
		return nil, err
	}
	conf := yumconf.New(t, m, yumconf.Options{SignKey: sign, Login: true, Depths: depths})
	return append(items, conf.Items(base, items)...), nil
}

// publicKey is the key of a signer; nil for none.
func publicKey(s *createrepo.Signer) (*yumconf.Key, error) {
	if s == nil {
		return nil, nil
	}
	armor, err := s.PublicKey()
	return &yumconf.Key{ID: s.Fingerprint(), Armor: armor}, err
}
