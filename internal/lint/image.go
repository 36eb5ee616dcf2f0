package lint

import (
	"fmt"
	"maps"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/lockfile"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// images looks for names that stand for two contents, and for digests that cannot be
// what the lock says they are.
func (c *linter) images() {
	names := map[string]lockfile.Image{}
	for _, i := range c.l.Images {
		name := imageName(i.Source)
		first, known := names[name]
		switch {
		case name == "":
		case !known:
			names[name] = i
		case first.Digest != i.Digest && fullName(first.Source) != fullName(i.Source): // equal ones are refused when decoding
			c.find(TwoDigests, "image", i.Source, i.Line,
				fmt.Sprintf("%s is %s here and %s at line %d", name, i.Digest, first.Digest, first.Line), "keep the one that is wanted")
		}
	}
	c.collisions()
	c.roles()
}

// imageName is NAME:TAG of a source, without what pins it; empty when it has no tag
// at a registry.
func imageName(source string) string {
	if (lockfile.Image{Source: source}).Local() {
		return ""
	}
	named, err := reference.ParseNormalizedNamed(source)
	if err != nil {
		return ""
	}
	if t, ok := named.(reference.Tagged); ok {
		return named.Name() + ":" + t.Tag()
	}
	if _, pinned := named.(reference.Digested); pinned {
		return ""
	}
	return reference.TagNameOnly(named).String()
}

// collisions looks for images that would have one name at the target, with the
// default naming. One source under two digests is found elsewhere.
func (c *linter) collisions() {
	taken := map[string]lockfile.Image{}
	for _, i := range c.l.Images {
		for _, ref := range target.Default().Refs(manifest.Image{Name: imageName(i.Source), Publish: i.Publish}) {
			first, known := taken[ref.String()]
			switch {
			case ref.Tag == "":
			case !known:
				taken[ref.String()] = i
			case first.Digest != i.Digest && imageName(first.Source) != imageName(i.Source):
				c.find(NameCollision, "image", i.Source, i.Line,
					fmt.Sprintf("at the target it is %s with the default naming, and so is %s at line %d", ref, first.Source, first.Line),
					"give one of them another name under publish:, or push with --naming prefix:P and accept this")
			}
		}
	}
}

// roles looks for digests that are an index in one entry and the image of one
// platform in another: an entry whose platform has another digest than the whole must
// be an index. One of the two is wrong; which one, only the registry can tell.
func (c *linter) roles() {
	indexes := map[digest.Digest]lockfile.Image{}
	for _, i := range c.l.Images {
		for _, d := range i.Platforms {
			if d != i.Digest {
				indexes[i.Digest] = i
			}
		}
	}
	for _, i := range c.l.Images {
		for _, p := range slices.Sorted(maps.Keys(i.Platforms)) {
			if first, ok := indexes[i.Platforms[p]]; ok && i.Platforms[p] != "" && first.Line != i.Line { // with itself: the decoder has told
				c.find(DigestRole, "image", i.Source, i.Line,
					fmt.Sprintf("%s is %s, which is an index by what %s at line %d says", p, i.Platforms[p], first.Source, first.Line),
					"lock both again, or lint with --online to learn which is wrong")
			}
		}
	}
}
