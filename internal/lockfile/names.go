package lockfile

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"airbundle/manifest"
)

// maxText is how much of a bad value an error shows.
const maxText = 100

var (
	nameGrammar   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)
	streamGrammar = regexp.MustCompile(`^[A-Za-z0-9._+-]+:[A-Za-z0-9._+-]+$`)
)

var errHasUserinfo = errors.New("holds a user name or password: credentials are never in files")

// matches makes a check from a grammar and its description.
func matches(grammar *regexp.Regexp, what string) func(string) error {
	return func(s string) error {
		if !grammar.MatchString(s) {
			return fmt.Errorf("%q is not %s", show(s), what)
		}
		return nil
	}
}

var (
	checkName   = matches(nameGrammar, "a name of letters, digits and . _ + -")
	checkStream = matches(streamGrammar, "a module stream, name:stream")
)

// The grammars of what goes into the table as it is are those of the table.
var (
	checkPath    = shown(manifest.CheckPath)
	checkOneLine = shown(manifest.CheckText)
	checkRPMName = shown(manifest.CheckRPMName)
	checkRPMArch = shown(manifest.CheckRPMArch)
	checkEVR     = shown(manifest.CheckEVR)
	checkChart   = shown(manifest.CheckChartName)
	checkVersion = shown(manifest.CheckChartVersion)
	checkKeyID   = shown(manifest.CheckKeyID)
	checkSource  = shown(placeOrReference)
	checkPublish = shown(manifest.CheckPublish)
	checkDigest  = shown(func(s string) error { return manifest.CheckDigest(digest.Digest(s)) })
)

// shown makes a check whose error shows the value, of one whose error does not.
func shown(check func(string) error) func(string) error {
	return func(s string) error {
		if err := check(s); err != nil {
			return fmt.Errorf("%q %w", show(s), err)
		}
		return nil
	}
}

func checkArch(arch string) error {
	if manifest.GoArch(arch) != "" {
		return nil
	}
	if rpm := manifest.ArchOf("linux/" + arch); rpm != "" {
		return fmt.Errorf("%q is what images call it, write %s", arch, rpm)
	}
	return fmt.Errorf("%q is not known, known are %s", show(arch), strings.Join(manifest.Arches(), ", "))
}

// checkNote takes text of any number of lines.
func checkNote(s string) error {
	return checkOneLine(strings.NewReplacer("\n", "", "\t", "", "\r", "").Replace(s))
}

// checkWhy takes a note that says something: it goes into the table on one line.
func checkWhy(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("holds white space only")
	}
	return checkNote(s)
}

// checkURL takes http, https and file URLs. Its errors never show the URL,
// which may hold a secret.
func checkURL(raw string) error {
	if strings.ContainsAny(raw, " \"<>\\^`{|}") || checkOneLine(raw) != nil {
		return errors.New("holds a character that must be percent-encoded in a URL")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("is not a URL")
	}
	if u.User != nil {
		return errHasUserinfo
	}
	switch u.Scheme {
	case "http", "https":
		if u.Hostname() == "" {
			return fmt.Errorf("is an %s URL without a host", u.Scheme)
		}
	case "file":
		switch {
		case u.Host != "" && u.Host != "localhost":
			return errors.New("is a file URL with a host, write file:path or file:///path")
		case u.Opaque == "" && (u.Path == "" || u.Path == "/"):
			return errors.New("is a file URL without a path")
		case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
			return errors.New("is a file URL with a query or fragment")
		}
	case "":
		return errors.New("is not a URL: no scheme, want http, https or file")
	default:
		return errors.New("has a scheme that is not http, https or file")
	}
	return nil
}

// checkRepoURL is checkURL for URLs in which $basearch stands for the arch.
func checkRepoURL(raw string) error { return checkURL(strings.ReplaceAll(raw, "$basearch", "x")) }

// checkChartRepo takes the URL of a chart repository, or of the registry path above a chart.
func checkChartRepo(raw string) error {
	rest, oci := strings.CutPrefix(raw, "oci://")
	if !oci {
		return checkURL(raw)
	}
	if named, err := reference.ParseNormalizedNamed(rest + "/chart"); err != nil || named.Name() != rest+"/chart" {
		return errors.New("is no registry path, want oci://HOST/PATH")
	}
	return nil
}

// checkChartURL takes the URL of a chart's archive, or of its manifest in a registry:
// oci://HOST/PATH/NAME@sha256:…. Names are never completed as docker does.
func checkChartURL(raw string) error {
	rest, oci := strings.CutPrefix(raw, "oci://")
	if !oci {
		return checkURL(raw)
	}
	name, d, _ := strings.Cut(rest, "@")
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil || named.String() != name || !reference.IsNameOnly(named) || checkDigest(d) != nil {
		return errors.New("is no chart in a registry, want oci://HOST/PATH/NAME@sha256:…, the digest of its manifest")
	}
	return nil
}

// placeOrReference takes the sources of images: references, and places on disk.
func placeOrReference(source string) error {
	path, ref, local := manifest.LocalSource(source)
	if !local {
		_, err := manifest.ImageName(source)
		return err
	}
	if err := manifest.CheckText(source); err != nil {
		return err
	}
	if path == "" || strings.HasSuffix(source, ":") {
		return errors.New("is no place on disk, want oci-layout:DIR[:REF], oci-archive:FILE[:REF] or docker-archive:FILE[:REF]")
	}
	if strings.HasPrefix(source, "docker-archive:") && ref != "" {
		if _, err := manifest.ImageName(ref); err != nil {
			return fmt.Errorf("ends in a REF that %w", err)
		}
	}
	return nil
}

// sourceKey is the same for sources that name the same thing: busybox and
// docker.io/library/busybox:latest.
func sourceKey(source string) string {
	if _, _, local := manifest.LocalSource(source); local {
		return source
	}
	named, err := reference.ParseNormalizedNamed(source)
	if err != nil {
		return source
	}
	return reference.TagNameOnly(named).String()
}

// sourceDigest is the digest that a source pins by itself, if it does.
func sourceDigest(source string) digest.Digest {
	if _, _, local := manifest.LocalSource(source); local {
		return ""
	}
	named, err := reference.ParseNormalizedNamed(source)
	if err != nil {
		return ""
	}
	if d, ok := named.(reference.Digested); ok {
		return d.Digest()
	}
	return ""
}

func checkTime(t time.Time) error {
	if t.Year() < 1970 || t.Year() > 9999 {
		return fmt.Errorf("the year %d is not between 1970 and 9999", t.Year())
	}
	return nil
}

// show gives a value for an error: not all of a long one, and without what
// stands before an @ as a name and password do. The @ before a digest is that of a
// reference.
func show(s string) string {
	rest, pin := s, ""
	if i := strings.LastIndex(s, "@sha256:"); i >= 0 {
		rest, pin = s[:i], s[i:]
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 && strings.Contains(rest[:i], ":") {
		s = "…" + rest[i:] + pin
	}
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}

// Show gives a value as errors of this package do: not all of a long one, and
// without what stands before an @ as a name and password do.
func Show(s string) string { return show(s) }
