package seeder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/pflag"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/cli"
	"airbundle/internal/nexus"
	"airbundle/internal/preflight"
	"airbundle/internal/push"
	"airbundle/internal/registry"
	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// creation are the flags that say whether missing repositories are made.
type creation struct {
	create     bool
	dockerPort int
}

func (o *creation) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.create, "create", false, "make the repositories of the Nexus that are missing; nothing that is there is changed")
	f.IntVar(&o.dockerPort, "docker-port", 0, "with --create: give a docker repository that is made a connector at this `port` (default none: the main port will do)")
}

// question is what a push of the items asks of a Nexus.
func (o *creation) question(b *manifest.Bundle, m target.Map, items []target.Item) (preflight.Question, error) {
	q := preflight.Question{
		Wanted: target.Repositories(items, func(d digest.Digest) int64 { desc, _ := b.Blob(d); return desc.Size }),
		Groups: m.Groups, Items: items, Blobs: b.NumBlobs(), Create: o.create, Ports: maps.Clone(m.HTTPPorts),
	}
	if o.dockerPort == 0 {
		return q, nil
	}
	switch {
	case o.dockerPort < 1 || o.dockerPort > 65535:
		return q, cli.Usage("--docker-port %d is no port", o.dockerPort)
	case !o.create:
		return q, cli.Usage("--docker-port is for repositories that --create makes")
	}
	dockers := slices.DeleteFunc(slices.Clone(q.Wanted), func(w target.Wanted) bool { return w.Format != target.FormatDocker })
	if len(dockers) > 1 {
		return q, cli.Usage("--docker-port gives one docker repository a port, and images go to %d", len(dockers))
	}
	if q.Ports == nil {
		q.Ports = map[string]int{}
	}
	for _, w := range dockers {
		q.Ports[w.Repository] = o.dockerPort
	}
	return q, nil
}

// create makes repositories. What could not be made ends the push before the first byte.
func (c *connection) create(ctx context.Context, designs []preflight.Design) (notes []string, err error) {
	var errs []error
	for _, rec := range preflight.Create(ctx, maker{c.nexus}, designs) {
		if rec.State != report.Sent {
			errs = append(errs, report.WithClass(rec.Class, &recordError{rec}))
			continue
		}
		notes = append(notes, sentence(rec))
	}
	return notes, errors.Join(errs...)
}

// maker lets the Nexus adapter make what preflight has designed.
type maker struct{ *nexus.Nexus }

// Make implements preflight.Maker.
func (m maker) Make(ctx context.Context, d preflight.Design) error {
	s := nexus.Settings{Name: d.Name, Format: d.Format, Type: d.Type, Online: true}
	s.Storage = nexus.Storage{BlobStore: d.BlobStore, Strict: d.Strict, WritePolicy: d.WritePolicy}
	s.Docker = nexus.DockerSettings{HTTPPort: d.Port, ForceBasicAuth: true}
	s.Yum.Depth, s.Yum.DeployPolicy = d.Depth, "STRICT"
	s.Group.Members = d.Members
	err := m.Create(ctx, s)
	if _, taken := errors.AsType[*nexus.NameTakenError](err); taken {
		return fmt.Errorf("%w: %w", preflight.ErrTaken, err)
	}
	if errors.Is(err, nexus.ErrNoAPI) {
		return fmt.Errorf("%w: %w", preflight.ErrNoAPI, err)
	}
	return err
}

// pushTarget returns where a push goes. Repositories that a dry run takes for made answer
// as if they were empty.
func (c *connection) pushTarget(docker map[string]*registry.Registry, empty []preflight.Design) push.Target {
	names := map[string]bool{}
	for _, d := range empty {
		names[d.Name] = true
	}
	return push.Target{Name: c.name, Version: c.info.Version, OCI: c.info.OCI(), Writable: c.nexus.Writable, Assets: emptyAssets{c.nexus, names}, Images: func(repo string) push.Images {
		if names[repo] {
			return emptyImages{docker[repo]}
		}
		return docker[repo]
	}}
}

// emptyAssets is a Nexus of which some repositories are empty.
type emptyAssets struct {
	*nexus.Nexus
	names map[string]bool
}

// Present implements push.Assets.
func (e emptyAssets) Present(ctx context.Context, repo, path string, d ocispec.Descriptor, open push.Opener) (bool, error) {
	if e.names[repo] {
		return false, nil
	}
	return e.Nexus.Present(ctx, repo, path, d, open)
}

// Open implements push.Assets.
func (e emptyAssets) Open(ctx context.Context, repo, path string) (io.ReadCloser, int64, error) {
	if e.names[repo] {
		return nil, 0, fmt.Errorf("%s/%s: %w", repo, path, errdef.ErrNotFound)
	}
	return e.Nexus.Open(ctx, repo, path)
}

// emptyImages is a registry that holds nothing.
type emptyImages struct{ push.Images }

// StatBlob implements push.Blobs.
func (emptyImages) StatBlob(_ context.Context, repo string, d digest.Digest) (int64, error) {
	return 0, fmt.Errorf("%s@%s: %w", repo, d, errdef.ErrNotFound)
}

// Resolve implements push.Manifests.
func (emptyImages) Resolve(_ context.Context, repo, ref string) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, fmt.Errorf("%s:%s: %w", repo, ref, errdef.ErrNotFound)
}
