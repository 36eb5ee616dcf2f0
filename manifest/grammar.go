package manifest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
)

// The grammars below are those of locks as well as of tables, so that what a lock may
// say can be carried. Their errors do not repeat the value: it may be long, or hold a
// secret, and only the caller knows how to show it.

// maxRepository is how long a repository name may be. Registries and clients share the
// bound (distribution/reference, RepositoryNameTotalLengthMax).
const maxRepository = 255

// Repository names and tags of the OCI distribution specification 1.1 ("Pulling
// manifests").
const (
	repositoryPart = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
	repositoryName = repositoryPart + `(/` + repositoryPart + `)*`
	tagName        = `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
)

var (
	repositoryGrammar = regexp.MustCompile(`^` + repositoryName + `$`)
	publishGrammar    = regexp.MustCompile(`^` + repositoryName + `:` + tagName + `$`)
	mediaTypeGrammar  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$`)
	rpmNameGrammar    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]*$`)
	rpmArchGrammar    = regexp.MustCompile(`^[a-z0-9_]+$`)
	evrGrammar        = regexp.MustCompile(`^([1-9][0-9]{0,9}:)?[A-Za-z0-9._+~^]+-[A-Za-z0-9._+~^]+$`)
	chartGrammar      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	versionGrammar    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+-]*$`)
	keyGrammar        = regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{40}|[0-9a-f]{64})$`)
)

// CheckDigest says why d is not a digest of the only algorithm that is carried.
func CheckDigest(d digest.Digest) error {
	hex, ok := strings.CutPrefix(string(d), "sha256:")
	if !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return errors.New("is not sha256: and 64 lower-case hexadecimal digits")
	}
	return nil
}

// matches says that s is not what the grammar describes.
func matches(grammar *regexp.Regexp, s, what string) error {
	if !grammar.MatchString(s) {
		return errors.New("is " + what)
	}
	return nil
}

// CheckMediaType says why t is not a media type without parameters (RFC 6838, section 4.2).
func CheckMediaType(t string) error { return matches(mediaTypeGrammar, t, "no media type") }

// CheckRPMName says why s is not the name of an RPM.
func CheckRPMName(s string) error { return matches(rpmNameGrammar, s, "not the name of an RPM") }

// CheckRPMArch says why s is not the arch of an RPM.
func CheckRPMArch(s string) error { return matches(rpmArchGrammar, s, "not the arch of an RPM") }

// CheckEVR says why s is not [epoch:]version-release.
func CheckEVR(s string) error {
	return matches(evrGrammar, s, "not version-release, with epoch: before it only when it is not 0")
}

// CheckChartName says why s is not the name of a chart.
func CheckChartName(s string) error { return matches(chartGrammar, s, "not the name of a chart") }

// CheckChartVersion says why s is not the version of a chart.
func CheckChartVersion(s string) error {
	return matches(versionGrammar, s, "not the version of a chart")
}

// CheckKeyID says why id is neither a key ID (16 digits) nor a fingerprint (40 or 64)
// as OpenPGP has them (RFC 9580, section 5.5.4).
func CheckKeyID(id string) error {
	return matches(keyGrammar, id, "not a key ID or fingerprint of 16, 40 or 64 lower-case hexadecimal digits")
}

// CheckRepository says why name is not the name of a repository, without a registry.
func CheckRepository(name string) error {
	switch {
	case !repositoryGrammar.MatchString(name):
		return errors.New("is not the name of a repository")
	case len(name) > maxRepository:
		return fmt.Errorf("is a repository name of %d characters, more than the %d allowed", len(name), maxRepository)
	}
	return nil
}

// CheckPublish says why name is not repository:tag, without a registry.
func CheckPublish(name string) error {
	if !publishGrammar.MatchString(name) {
		return errors.New("is not repository:tag")
	}
	repository, _, _ := strings.Cut(name, ":")
	return CheckRepository(repository)
}

// CheckPath says why p is not a clean path: relative, with slashes, that means the same
// as it stands, joined to a directory, or in a URL, and that a terminal shows as it is.
func CheckPath(p string) error {
	switch {
	case p == "":
		return errors.New("is empty")
	case strings.HasPrefix(p, "/"):
		return errors.New("begins with a slash, want a relative path")
	case strings.Contains(p, `\`):
		return errors.New("holds a backslash")
	}
	if err := checkPrintable(p); err != nil {
		return err
	}
	for segment := range strings.SplitSeq(p, "/") {
		switch segment {
		case "":
			return errors.New("holds an empty segment")
		case ".", "..":
			return fmt.Errorf("holds the segment %s", segment)
		}
	}
	return nil
}

// CheckText says why s is not one line of text that can be shown as it is.
func CheckText(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("is not UTF-8")
	}
	for _, r := range s {
		if !Shown(r) {
			return fmt.Errorf("holds the control or invisible character %U", r)
		}
	}
	return nil
}

// Shown reports whether r may stand in a text: it is no control character, no line
// separator, not of zero width, and does not turn the direction of its neighbours. What
// it says is fixed here and not taken from Unicode tables, which change.
func Shown(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0, r == 0xfffe, r == 0xffff: // control, or no character at all
		return false
	case r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r == 0xfeff:
		return false
	}
	return true
}

// checkPrintable is CheckText for names and paths, where what looks alike or like
// nothing would mislead: no white space but the space, no private or soft characters.
func checkPrintable(s string) error {
	if err := CheckText(s); err != nil {
		return err
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("holds the character %U, which is not printable", r)
		}
	}
	return nil
}

// CheckArmor says why s is not the block of a public key in ASCII armor, of which the content
// is not looked into.
func CheckArmor(s string) error {
	const begin, end = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
	switch t := strings.TrimSpace(s); {
	case strings.Contains(t, "PRIVATE KEY"):
		return errors.New("holds a private key: only public keys belong here")
	case !strings.HasPrefix(t, begin) || !strings.HasSuffix(t, end):
		return fmt.Errorf("is not an armored public key, %s to %s", begin, end)
	}
	return CheckText(strings.NewReplacer("\n", "", "\r", "", "\t", "").Replace(s))
}
