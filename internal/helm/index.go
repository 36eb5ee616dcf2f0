// Package helm knows the two formats of helm's chart repositories: a chart's archive, of
// which it reads the metadata, and the index of a repository, which it reads and writes.
//
// It renders nothing, and knows neither networks nor registries.
package helm

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"

	"airbundle/internal/digestio"
)

// MaxIndex bounds an index: the largest public ones have some 20 MB.
const MaxIndex = 32 << 20

// created stands for the time at which a chart came into an index, which nobody knows of
// a carried one: the same bundle has the same index.
const created = "1970-01-01T00:00:00Z"

// A Version is one version of a chart, as an index lists it.
type Version struct {
	Name    string   `yaml:"name"`
	Version string   `yaml:"version"`
	URLs    []string `yaml:"urls"`   // absolute, or relative to the index
	Digest  string   `yaml:"digest"` // sha256 of the archive, in hex or as sha256:hex; may be empty
}

// SHA256 returns the digest of the archive, empty when the index names none.
func (v Version) SHA256() (digest.Digest, error) {
	hex := strings.ToLower(strings.TrimPrefix(v.Digest, "sha256:"))
	if hex == "" {
		return "", nil
	}
	d := digest.NewDigestFromEncoded(digest.SHA256, hex)
	if err := d.Validate(); err != nil {
		return "", malformed("the index has the digest %.100q for it, which is no sha256", v.Digest)
	}
	return d, nil
}

// An Index is the index.yaml of a chart repository.
type Index struct {
	charts map[string][]Version
	broken map[string]error // charts whose entry cannot be read
}

// ParseIndex reads an index.yaml of at most MaxIndex bytes. An entry of one chart that
// cannot be read does not spoil the others: Find tells of it.
func ParseIndex(raw []byte) (*Index, error) {
	if len(raw) > MaxIndex {
		return nil, malformed("the index has more than the %d bytes allowed", MaxIndex)
	}
	var file struct {
		Entries map[string]yaml.Node `yaml:"entries"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		return nil, malformed("the index is no YAML: %s", oneLine(err))
	}
	if file.Entries == nil {
		return nil, malformed("the index has no entries: is this the index.yaml of a chart repository?")
	}
	x := &Index{map[string][]Version{}, map[string]error{}}
	for name, node := range file.Entries {
		var versions []Version
		if err := node.Decode(&versions); err != nil {
			x.broken[name] = malformed("the index's entry of %.100q: %s", name, oneLine(err))
			continue
		}
		x.charts[name] = versions
	}
	return x, nil
}

// Find returns a version of a chart, which must be named exactly so. What the index has
// instead is said in the error.
func (x *Index) Find(name, version string) (Version, error) {
	if err := x.broken[name]; err != nil {
		return Version{}, err
	}
	versions, ok := x.charts[name]
	if !ok {
		return Version{}, malformed("the index has no chart %s%s", name, x.similar(name))
	}
	var others []string
	for _, v := range versions {
		switch {
		case v.Version == version && v.Name != "" && v.Name != name:
			return Version{}, malformed("the index lists %.100q under the name %s", v.Name, name)
		case v.Version == version:
			return v, nil
		case strings.TrimPrefix(v.Version, "v") == strings.TrimPrefix(version, "v"):
			return Version{}, malformed("the index has no version %s of %s, but %s: write it so", version, name, v.Version)
		}
		others = append(others, v.Version)
	}
	return Version{}, malformed("the index has no version %s of %s%s", version, name, some(others))
}

// Served reads the index of a repository as clients do; open opens a path of it.
func Served(ctx context.Context, open func(ctx context.Context, path string) (io.ReadCloser, error)) (*Index, error) {
	rc, err := open(ctx, "index.yaml")
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	raw, err := digestio.ReadCapped(rc, -1, MaxIndex)
	if err != nil {
		return nil, fmt.Errorf("read index.yaml: %w", err)
	}
	return ParseIndex(raw)
}

// Lists says whether the index lists a version of a chart, and with which digest, which
// is empty where it names none.
func (x *Index) Lists(name, version string) (d digest.Digest, ok bool, err error) {
	if err := x.broken[name]; err != nil {
		return "", false, err
	}
	for _, v := range x.charts[name] {
		if v.Version == version {
			d, err := v.SHA256()
			return d, err == nil, err
		}
	}
	return "", false, nil
}

// similar names charts that may have been meant.
func (x *Index) similar(name string) string {
	var found []string
	for _, other := range slices.Sorted(maps.Keys(x.charts)) {
		if strings.Contains(other, name) || strings.Contains(name, other) {
			found = append(found, other)
		}
	}
	return some(found)
}

// some lists a few of what there is instead.
func some(of []string) string {
	const most = 5
	switch {
	case len(of) == 0:
		return ""
	case len(of) > most:
		return fmt.Sprintf(", but %.100q and %d more", of[:most], len(of)-most)
	}
	return fmt.Sprintf(", but %.100q", of)
}

// A Carried is a chart that an index is to list.
type Carried struct {
	Metadata *Metadata
	URL      string // absolute, or relative to the index
	Digest   digest.Digest
}

// WriteIndex writes an index.yaml that lists charts, the versions of one in the order
// given (helm sorts them when it reads). The same charts give the same bytes: all times
// are the beginning of 1970.
func WriteIndex(w io.Writer, charts []Carried) error {
	type entry struct {
		Metadata `yaml:",inline"`
		Created  string   `yaml:"created"`
		Digest   string   `yaml:"digest"`
		URLs     []string `yaml:"urls"`
	}
	file := struct {
		APIVersion string             `yaml:"apiVersion"`
		Entries    map[string][]entry `yaml:"entries"`
		Generated  string             `yaml:"generated"`
	}{"v1", map[string][]entry{}, created}
	for _, c := range charts {
		m := c.Metadata
		file.Entries[m.Name] = append(file.Entries[m.Name], entry{*m, created, c.Digest.Encoded(), []string{c.URL}})
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(file); err != nil {
		return err
	}
	return e.Close()
}
