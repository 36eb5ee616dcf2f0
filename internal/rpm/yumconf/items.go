package yumconf

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/target"
	"airbundle/manifest"
)

// Items returns the keys and the sealed .repo files that belong to the RPMs among items, to
// be stored with them; nothing when there is no RPM. Each is of kind metadata and holds its
// content. base is the target's URL as clients know it, without a slash at the end.
func (c *Config) Items(base string, items []target.Item) []target.Item {
	var dirs []target.Place
	for _, d := range target.RPMDirs(items) {
		dirs = append(dirs, d.Place)
	}
	if len(dirs) == 0 {
		return nil
	}
	var out []target.Item
	for _, k := range c.Keys {
		out = append(out, made(keyPath(k.ID), k.At, []byte(k.Armor)))
	}
	for _, f := range c.Repos {
		if slices.ContainsFunc(f.dirs, func(d target.Place) bool { return slices.Contains(dirs, d) }) {
			out = append(out, made("repos/"+f.ID+".repo", f.At, seal([]byte(f.Text(base)))))
		}
	}
	return out
}

func made(name string, at target.Place, content []byte) target.Item {
	return target.Item{
		Artifact: manifest.Artifact{Kind: manifest.KindMetadata, Name: name, Digest: digest.FromBytes(content)},
		Place:    at, Made: content,
	}
}

// sealFormat is the first line of a file that a push may replace unasked: as long as the rest
// has this digest, nobody has changed it.
const sealFormat = "# by seeder push, which replaces this file unless what follows was edited (%s)\n"

func seal(text []byte) []byte {
	return append(fmt.Appendf(nil, sealFormat, digest.FromBytes(text)), text...)
}

// Sealed says whether content is a .repo file as a push wrote it, edited by nobody.
func Sealed(content []byte) bool {
	_, text, ok := bytes.Cut(content, []byte("\n"))
	return ok && bytes.Equal(content, seal(text))
}
