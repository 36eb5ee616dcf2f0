package helm

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"go.yaml.in/yaml/v3"
)

// Bounds of a chart's archive. Those of the unpacked content are helm's own
// (pkg/chart/loader/archive of helm 4): what exceeds them no helm installs.
const (
	MaxArchive  = 32 << 20  // bytes of the .tgz, where it is read as a whole
	MaxUnpacked = 100 << 20 // bytes of the tar in it
	MaxFile     = 5 << 20   // bytes of one file in it
	maxEntries  = 20_000
)

// Metadata is a chart's Chart.yaml, in the fields that helm knows
// (https://helm.sh/docs/topics/charts/#the-chartyaml-file). It is also what an index
// repeats of each chart.
type Metadata struct {
	APIVersion   string            `yaml:"apiVersion,omitempty"`
	Name         string            `yaml:"name"`
	Version      string            `yaml:"version"`
	KubeVersion  string            `yaml:"kubeVersion,omitempty"`
	AppVersion   string            `yaml:"appVersion,omitempty"`
	Description  string            `yaml:"description,omitempty"`
	Type         string            `yaml:"type,omitempty"`
	Keywords     []string          `yaml:"keywords,omitempty"`
	Home         string            `yaml:"home,omitempty"`
	Sources      []string          `yaml:"sources,omitempty"`
	Dependencies []Dependency      `yaml:"dependencies,omitempty"`
	Maintainers  []Maintainer      `yaml:"maintainers,omitempty"`
	Icon         string            `yaml:"icon,omitempty"`
	Condition    string            `yaml:"condition,omitempty"`
	Tags         string            `yaml:"tags,omitempty"`
	Deprecated   bool              `yaml:"deprecated,omitempty"`
	Annotations  map[string]string `yaml:"annotations,omitempty"`
}

// A Dependency is a subchart that Chart.yaml names.
type Dependency struct {
	Name       string   `yaml:"name"`
	Version    string   `yaml:"version,omitempty"`
	Repository string   `yaml:"repository"`
	Condition  string   `yaml:"condition,omitempty"`
	Tags       []string `yaml:"tags,omitempty"`
	Alias      string   `yaml:"alias,omitempty"`
}

// A Maintainer is a person or an organisation that Chart.yaml names.
type Maintainer struct {
	Name  string `yaml:"name,omitempty"`
	Email string `yaml:"email,omitempty"`
	URL   string `yaml:"url,omitempty"`
}

// A FormatError says that something is no chart or no index that helm could use.
type FormatError struct{ Err error }

func (e *FormatError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *FormatError) Unwrap() error { return e.Err }

// ExitCode makes the error one of content, which report.ClassContent is: a package of
// the same layer.
func (e *FormatError) ExitCode() int { return 4 }

func malformed(format string, args ...any) error {
	return &FormatError{fmt.Errorf(format, args...)}
}

// ReadMetadata reads a chart's archive to its end and returns its Chart.yaml. Errors
// are those of r, or a *FormatError: for what is no gzipped tar, for more than the bounds
// allow, for paths that lead out of the chart, and for an archive that has not exactly
// one Chart.yaml directly below its directory.
func ReadMetadata(r io.Reader) (*Metadata, error) {
	var found *Metadata
	err := Walk(r, func(name string, content io.Reader) error {
		if name != "Chart.yaml" {
			return nil
		}
		if found != nil {
			return malformed("there are two Chart.yaml")
		}
		raw, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		found, err = parseMetadata(raw)
		return err
	})
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, malformed("there is no Chart.yaml in a directory of the archive")
	}
	return found, nil
}

// parseMetadata reads a Chart.yaml, which must have name and version.
func parseMetadata(raw []byte) (*Metadata, error) {
	m := new(Metadata)
	if err := yaml.Unmarshal(raw, m); err != nil {
		return nil, malformed("Chart.yaml: %s", oneLine(err))
	}
	if m.Name == "" || m.Version == "" {
		return nil, malformed("Chart.yaml has no name or no version")
	}
	return m, nil
}

// Check reads a chart's archive to its end, as ReadMetadata does, and says whether it is
// the chart of that name and version.
func Check(r io.Reader, name, version string) error {
	m, err := ReadMetadata(r)
	if err != nil {
		return fmt.Errorf("not a chart: %w", err)
	}
	if m.Name != name || m.Version != version {
		return malformed("the chart is %.100q %.100q by its Chart.yaml, not %s %s", m.Name, m.Version, name, version)
	}
	return nil
}

// Walk calls f for each file of a chart's archive, with its path below the chart's
// directory, and reads the archive to its end. The bounds, and the errors, are those of
// ReadMetadata. Links and special files, which helm does not follow either, are refused.
func Walk(r io.Reader, f func(name string, content io.Reader) error) error {
	in := &source{r: r}
	z, err := gzip.NewReader(in)
	if err != nil {
		return in.blame(err)
	}
	limited := &io.LimitedReader{R: z, N: MaxUnpacked + 1}
	t := tar.NewReader(limited)
	for range maxEntries {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			if _, err := io.Copy(io.Discard, limited); err != nil {
				return in.blame(err)
			}
			if limited.N <= 0 {
				return malformed("it unpacks to more than %d bytes", MaxUnpacked)
			}
			return nil
		}
		if err != nil {
			if limited.N <= 0 {
				return malformed("it unpacks to more than %d bytes", MaxUnpacked)
			}
			return in.blame(err)
		}
		if err := entry(h, t, f); err != nil {
			return in.blame(err)
		}
	}
	return malformed("it has more than %d entries", maxEntries)
}

// entry judges one entry of the tar and hands it to f.
func entry(h *tar.Header, t io.Reader, f func(string, io.Reader) error) error {
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir, tar.TypeXGlobalHeader, tar.TypeXHeader:
		return nil
	default:
		return malformed("%.100q is a link or a special file", h.Name)
	}
	name := strings.TrimPrefix(h.Name, "./")
	if strings.Contains(name, `\`) || path.IsAbs(name) || name != path.Clean(name) || strings.HasPrefix(name, "../") {
		return malformed("the path %.100q does not stay inside the chart", h.Name)
	}
	_, below, ok := strings.Cut(name, "/")
	if !ok {
		return malformed("%.100q lies in no directory", h.Name)
	}
	if h.Size > MaxFile {
		return malformed("%.100q has %d bytes, more than the %d that helm reads", h.Name, h.Size, MaxFile)
	}
	return f(below, t)
}

// A source remembers whether it was the reading that failed, and not what was read.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// blame returns the error of the source, else err as one of the format.
func (s *source) blame(err error) error {
	if s.err != nil {
		return s.err
	}
	if fe, ok := errors.AsType[*FormatError](err); ok {
		return fe
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return malformed("it is no gzipped tar: %w", err)
}

// oneLine is the text of an error without line breaks.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}

// Tag is the OCI tag of a version: "+" may not be in a tag, so helm writes "_" for it
// (https://helm.sh/docs/topics/registries/).
func Tag(version string) string { return strings.ReplaceAll(version, "+", "_") }
