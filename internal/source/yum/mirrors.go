package yum

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

// Bounds of what a list of mirrors may be: the largest real ones have some hundred.
const (
	maxList    = 4 << 20
	maxMirrors = 1000
)

// A mirror is the URL that the paths of a repository are below.
type mirror struct{ url string }

func (m mirror) shown() string { return httpx.Redact(m.url) }

// A list is where a repository can be had.
type list struct {
	mirrors []mirror // the preferred one first
	skipped []string // "URL: reason"
	reasons []error  // the same, for when no mirror is left
	sums    []sums   // what a metalink says of repomd.xml, the newest first; none: any will do
	single  bool     // a baseurl: there is nowhere else to go
	local   bool     // it comes from disk, and may name files
	foreign []string // URLs of other schemes, which fill half of a metalink
}

func (l *list) skip(shown, format string, args ...any) {
	err := fmt.Errorf("%s: %w", shown, fmt.Errorf(format, args...))
	l.skipped = append(l.skipped, err.Error())
	l.reasons = append(l.reasons, report.WithClass(report.ClassContent, err))
}

// findMirrors expands what the request says to the mirrors that it means.
func (s *Source) findMirrors(ctx context.Context, r lockfile.Repo, arch string) (*list, error) {
	raw := r.BaseURL + r.MirrorList + r.Metalink // one of them
	at, err := expand(raw, arch)
	if err != nil {
		return nil, report.WithClass(report.ClassUsage, fmt.Errorf("%s: %w", httpx.Redact(raw), err))
	}
	if r.BaseURL != "" {
		return &list{mirrors: []mirror{{at}}, single: true, local: isFile(at)}, nil
	}
	data, err := s.opener.ReadSmall(ctx, at, maxList)
	if err != nil {
		return nil, err
	}
	l := &list{local: isFile(at)}
	if r.MirrorList != "" {
		err = l.readMirrorList(data, arch)
	} else {
		err = l.readMetalink(data, arch, s.o.Log)
	}
	if n := len(l.foreign); n == 1 {
		l.skip(l.foreign[0], "only http and https are supported")
	} else if n > 1 {
		l.skip(fmt.Sprintf("%s and %d more", l.foreign[0], n-1), "only http and https are supported")
	}
	if err == nil && len(l.mirrors) == 0 {
		err = &MirrorsError{What: "no usable mirror in it", Reasons: l.reasons}
	}
	if err != nil {
		return nil, report.WithClass(report.ClassContent, fmt.Errorf("mirrors from %s: %w", httpx.Redact(at), err))
	}
	return l, nil
}

func isFile(raw string) bool { return strings.HasPrefix(raw, "file:") }

var variable = regexp.MustCompile(`\$\{?[A-Za-z_]\w*\}?`)

// expand puts the arch in the place of $basearch, the only variable there is: others, such
// as dnf's $releasever, depend on the host, and a lock does not.
func expand(s, arch string) (string, error) {
	s = strings.NewReplacer("${basearch}", arch, "$basearch", arch).Replace(s)
	if left := variable.FindString(s); left != "" {
		return "", fmt.Errorf("%s is not known here: only $basearch is, write the value of others out", left)
	}
	return s, nil
}

// readMirrorList reads a list of one URL a line, with comments.
func (l *list) readMirrorList(data []byte, arch string) error {
	text := string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	switch begin := strings.TrimSpace(text); {
	case begin == "":
		return errors.New("the list is empty")
	case strings.HasPrefix(begin, "<"):
		if strings.Contains(begin[:min(len(begin), 1000)], "<metalink") {
			return errors.New("it is a metalink: name it under metalink, not mirrorlist")
		}
		return errors.New("it is a page of HTML or XML, not a list of mirrors")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := l.add(line, arch); err != nil {
			return err
		}
	}
	return nil
}

// add takes a mirror into the list, or skips it with a reason.
func (l *list) add(raw, arch string) error {
	if len(l.mirrors)+len(l.skipped)+len(l.foreign) >= maxMirrors {
		return fmt.Errorf("it has more than the %d mirrors allowed", maxMirrors)
	}
	scheme, _, isURL := strings.Cut(raw, ":")
	if !isURL || !plainWord(scheme) {
		l.skip(quoted(raw), "not a URL")
		return nil
	}
	at, err := expand(raw, arch)
	u, parseErr := url.Parse(at)
	switch {
	case err != nil:
		l.skip(httpx.Redact(raw), "%w", err)
	case parseErr != nil || strings.ContainsFunc(at, func(r rune) bool { return r <= ' ' || r > '~' }):
		l.skip(httpx.Redact(raw), "a malformed URL")
	case u.Scheme == "file" && !l.local:
		l.skip(httpx.RedactURL(u), "a list from the network names a local file")
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file":
		l.foreign = append(l.foreign, httpx.RedactURL(u))
	case u.User != nil:
		l.skip(httpx.RedactURL(u), "holds a user name")
	case u.Scheme != "file" && u.Hostname() == "":
		l.skip(httpx.RedactURL(u), "names no host")
	case !slices.Contains(l.mirrors, mirror{at}):
		l.mirrors = append(l.mirrors, mirror{at})
	}
	return nil
}

// plainWord tells the scheme of a URL from the beginning of a sentence.
func plainWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-") == ""
}

// quoted shows a line that is no URL, unless it may hold a password.
func quoted(line string) string {
	if strings.Contains(line, "@") {
		return "(a line)"
	}
	return fmt.Sprintf("%.80q", line)
}

// join returns the URL of a path below a base: percent-encoded where it must be, with the
// query of the base, as librepo does.
func join(base, path string) string {
	base, query, hasQuery := strings.Cut(base, "?")
	joined := strings.TrimRight(base, "/") + "/" + escape(strings.TrimLeft(path, "/"))
	if hasQuery {
		joined += "?" + query
	}
	return joined
}

// escape percent-encodes what may not stand in the path of a URL. What is encoded already
// stays: repositories that encode their paths mean them so.
func escape(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~!$&'()*+,;=:@/", c) >= 0:
			b.WriteByte(c)
		case c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }
