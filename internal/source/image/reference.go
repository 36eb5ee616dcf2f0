package image

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/distribution/reference"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
)

// The prefixes of local sources.
const (
	layoutPrefix  = "oci-layout:"
	archivePrefix = "oci-archive:"
	dockerPrefix  = "docker-archive:"
)

// cutLocal splits the prefix off a local source.
func cutLocal(source string) (prefix, rest string, local bool) {
	for _, p := range []string{layoutPrefix, archivePrefix, dockerPrefix} {
		if rest, ok := strings.CutPrefix(source, p); ok {
			return p, rest, true
		}
	}
	return "", source, false
}

// splitPath splits PATH[:REF] at the first colon, as skopeo does, and puts a
// relative path below dir.
func splitPath(dir, rest string) (path, ref string, err error) {
	path, ref, _ = strings.Cut(rest, ":")
	if path == "" {
		return "", "", usage("the source names no path")
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return filepath.Clean(path), ref, nil
}

// parseReference parses a registry source by docker's own grammar, which
// go-containerregistry's does not enforce: it would let "host/../x" through. What is
// left out is filled in: busybox becomes docker.io/library/busybox:latest.
func parseReference(source string) (reference.Named, error) {
	if strings.Contains(source, "://") {
		return nil, usage("image %s: a reference has no scheme", httpx.Redact(source))
	}
	ref, err := reference.ParseNormalizedNamed(source)
	if err != nil && strings.ContainsAny(source, "@?") && !almostPinned.MatchString(source) {
		// The parser's own words would quote secrets.
		return nil, usage("image %s: not a reference, which has neither a login nor a query", strings.TrimPrefix(httpx.Redact("//"+source), "//"))
	}
	if err != nil {
		return nil, usage("image %s: %w", source, err)
	}
	return reference.TagNameOnly(ref), nil
}

// almostPinned is what may be meant as NAME@DIGEST, and holds no secret.
var almostPinned = regexp.MustCompile(`^[^@?]+@[a-z0-9+._-]+:[0-9A-Fa-f]*$`)

// usage is an error of what somebody wrote into a request or a lock.
func usage(format string, args ...any) error {
	return report.WithClass(report.ClassUsage, fmt.Errorf(format, args...))
}
