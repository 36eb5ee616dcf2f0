package chart

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"helm.sh/helm/v4/pkg/chart/common"

	"airbundle/internal/digestio"
	"airbundle/internal/helm"
	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

// Bounds of looking into one chart, which is somebody else's program: templates can ask
// for any amount of time and memory, and nothing inside one process can stop them.
const (
	defaultPatience = time.Minute
	defaultMemory   = 1 << 30
	maxAnswer       = 16 << 20 // of what the process says
)

// Limits bound the process that looks into a chart. Zero fields are the defaults.
type Limits struct {
	Patience time.Duration // default 1 minute
	Memory   int64         // bytes of data; default 1 GiB
}

// Capabilities are what templates are told of the cluster. Zero fields are helm's own
// defaults, which are those of "helm template".
type Capabilities struct {
	KubeVersion string   `json:"kubeVersion,omitempty"`
	APIVersions []string `json:"apiVersions,omitempty"` // in addition to those of Kubernetes itself
}

// Check returns an error where KubeVersion is no version.
func (c Capabilities) Check() error {
	if c.KubeVersion == "" {
		return nil
	}
	_, err := common.ParseKubeVersion(c.KubeVersion)
	return err
}

// A task is the first line that Examine reads; the chart's archive follows.
type task struct {
	Capabilities
	Memory int64 `json:"memory"`
}

// An answer is one line that Examine writes.
type answer struct {
	Ref     string `json:"ref,omitempty"`
	At      string `json:"at,omitempty"`
	Finding string `json:"finding,omitempty"`
	Done    bool   `json:"done,omitempty"` // the last line: nothing was cut off
}

// Images lists the images that a chart and its subcharts name: in their values.yaml, in
// the annotations of their Chart.yaml (artifacthub.io/images, images), in their CRDs and
// in what their templates make of the default values, without a cluster. A chart that
// does not render, or not within the limits, is no error but a finding, beside the images
// that were found until then.
func (s *Source) Images(ctx context.Context, c lockfile.Chart) (helm.Images, error) {
	archive, err := s.archive(ctx, c)
	if err != nil {
		return helm.Images{}, err
	}
	return s.examine(ctx, archive)
}

// archive returns the bytes of a locked chart: those that Resolve has kept, else from the
// first of its URLs that gives them.
func (s *Source) archive(ctx context.Context, c lockfile.Chart) ([]byte, error) {
	if kept, ok := s.take(c.Digest); ok {
		return kept, nil
	}
	want := ocispec.Descriptor{Digest: c.Digest, Size: c.Size}
	var errs []error
	for _, u := range c.URLs {
		rc, err := s.Open(ctx, u, want)
		if err == nil {
			var archive []byte
			archive, err = digestio.ReadAll(rc, want, helm.MaxArchive)
			rc.Close()
			if err == nil {
				return archive, nil
			}
		}
		errs = append(errs, fmt.Errorf("%s: %w", httpx.Redact(u), err))
	}
	return nil, errors.Join(errs...)
}

// keep holds an archive for Images, which mostly comes next.
func (s *Source) keep(archive []byte) {
	if !s.o.Keep {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[digest.FromBytes(archive)] = archive
}

func (s *Source) take(d digest.Digest) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	archive, ok := s.kept[d]
	delete(s.kept, d)
	return archive, ok
}

// examine has a chart looked into by a process of its own.
func (s *Source) examine(ctx context.Context, archive []byte) (helm.Images, error) {
	patience := cmp.Or(s.o.Limits.Patience, defaultPatience)
	memory := cmp.Or(s.o.Limits.Memory, defaultMemory)
	head, err := json.Marshal(task{s.o.Capabilities, memory})
	if err != nil {
		return helm.Images{}, err
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := s.o.Examiner(bounded)
	cmd.Stdin = io.MultiReader(bytes.NewReader(append(head, '\n')), bytes.NewReader(archive))
	said := &head64{}
	cmd.Stderr = said
	cmd.WaitDelay = time.Second
	if cmd.Env == nil {
		cmd.Env = []string{} // nothing of ours is a template's business
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return helm.Images{}, report.WithClass(report.ClassLocal, fmt.Errorf("start the process that looks into charts: %w", err))
	}
	c := collection{found: map[string]map[string]bool{}, findings: map[string]bool{}}
	done := c.read(io.LimitReader(out, maxAnswer))
	cancelled := bounded.Err()
	if !done {
		cancel() // it may go on for no one
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return helm.Images{}, context.Cause(ctx)
	case done && err == nil:
	case errors.Is(cancelled, context.DeadlineExceeded):
		c.findings[fmt.Sprintf("it does not render within %s", patience)] = true
	default:
		c.findings[fmt.Sprintf("the process that rendered it, which may use %d MiB, ended early: %s", memory>>20, said.reason(err))] = true
	}
	return c.images(), nil
}

// A collection is what has been found so far.
type collection struct {
	found    map[string]map[string]bool // places by reference
	findings map[string]bool
}

// read takes in the answers, and says whether the last of them came.
func (c *collection) read(r io.Reader) bool {
	for d := json.NewDecoder(r); ; {
		var a answer
		if err := d.Decode(&a); err != nil {
			return false
		}
		switch {
		case a.Done:
			return true
		case a.Finding != "":
			c.findings[a.Finding] = true
		case a.Ref == "":
			return false
		default:
			if c.found[a.Ref] == nil {
				c.found[a.Ref] = map[string]bool{}
			}
			c.found[a.Ref][a.At] = true
		}
	}
}

func (c *collection) images() helm.Images {
	var all helm.Images
	for _, ref := range slices.Sorted(maps.Keys(c.found)) {
		all.Refs = append(all.Refs, helm.ImageRef{Reference: ref, Found: slices.Sorted(maps.Keys(c.found[ref]))})
	}
	all.Findings = slices.Sorted(maps.Keys(c.findings))
	return all
}

// head64 keeps the first 64 KiB that a process says.
type head64 struct{ text []byte }

// Write implements io.Writer.
func (h *head64) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), 64<<10-len(h.text))]...)
	return len(p), nil
}

// reason is the line of Go's runtime that says why a process died, else its exit status.
func (h *head64) reason(err error) string {
	for line := range strings.Lines(string(h.text)) {
		line = strings.TrimSpace(line)
		for _, begin := range []string{"fatal error: ", "panic: ", "runtime: goroutine stack"} {
			if strings.HasPrefix(line, begin) {
				return fmt.Sprintf("%.200q", line)
			}
		}
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.String()
	}
	return "it did not finish its answer"
}
