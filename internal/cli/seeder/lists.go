package seeder

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/audit"
	"airbundle/internal/nexus"
	"airbundle/internal/registry"
)

// nexusLists lets the Nexus adapter list as the audit asks.
func nexusLists(n *nexus.Nexus) audit.Lists {
	of := func(list func(context.Context, string) iter.Seq2[nexus.Listed, error]) func(context.Context, string) iter.Seq2[audit.Held, error] {
		return func(ctx context.Context, repo string) iter.Seq2[audit.Held, error] {
			return func(yield func(audit.Held, error) bool) {
				for l, err := range list(ctx, repo) {
					if !yield(held(l.Path, l.Asset, l.Page), err) {
						return
					}
				}
			}
		}
	}
	return audit.Lists{
		Files: of(n.Files), Tags: of(n.Tags), Blobs: of(n.Blobs),
		Head: func(ctx context.Context, repo, path string) (audit.Held, error) {
			a, err := n.Head(ctx, repo, path)
			return held(path, a, 0), err
		},
	}
}

func held(path string, a nexus.Asset, page int) audit.Held {
	h := audit.Held{Path: path, Size: a.Size, SHA1: a.Checksums["sha1"], Modified: a.Modified, Page: page}
	if sum := a.Checksums["sha256"]; sum != "" {
		h.SHA256 = digest.NewDigestFromEncoded(digest.SHA256, sum)
	}
	return h
}

// registryLists is nexusLists for a plain registry, which lists names only.
func registryLists(r *registry.Registry) audit.Lists {
	return audit.Lists{Tags: func(ctx context.Context, _ string) iter.Seq2[audit.Held, error] {
		return func(yield func(audit.Held, error) bool) {
			for t, err := range r.Tags(ctx) {
				if !yield(audit.Held{Path: t.Repository + ":" + t.Tag, Size: -1, Page: t.Page}, err) {
					return
				}
			}
		}
	}}
}
