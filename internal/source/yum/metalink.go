package yum

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"airbundle/internal/rpm"
)

// Sums are what a metalink says of one repomd.xml.
type sums struct {
	size   int64             // 0: not said
	hashes map[string]string // kind (sha256) to lower-case hexadecimal
}

// strongest names the best hash there is, none when there is none that is known.
func (s sums) strongest() string {
	for _, kind := range []string{"sha512", "sha384", "sha256", "sha224", "sha1", "md5"} {
		if s.hashes[kind] != "" {
			return kind
		}
	}
	return ""
}

// forged says that the best hash is one for which two contents can be made.
func (s sums) forged() bool { k := s.strongest(); return k == "sha1" || k == "md5" }

// A listed is a URL of a metalink.
type listed struct {
	url        string
	preference int
}

// A metalink is what a metalink of version 3.0 says of repomd.xml, as Fedora's
// MirrorManager writes it and librepo reads it.
type metalink struct {
	main       sums
	alternates []sums // older, but valid: mm0:alternates
	urls       []listed
}

// maxDepth is far above what a metalink has.
const maxDepth = 32

// parseMetalink reads a metalink. A value that makes no sense is taken as not said, as
// librepo does; XML that is malformed, or knows no repomd.xml, is an error.
func parseMetalink(data []byte) (*metalink, error) {
	p := &metalinkParser{}
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && p.found != nil:
			return p.found, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("no file repomd.xml in it")
		case err != nil:
			return nil, fmt.Errorf("malformed metalink: %w", err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, errors.New("malformed metalink: a document type is not allowed")
		case xml.StartElement:
			if err := p.start(t); err != nil {
				return nil, err
			}
		case xml.CharData:
			if p.inside {
				p.text = append(p.text, t...)
			}
		case xml.EndElement:
			p.end()
		}
	}
}

type metalinkParser struct {
	found  *metalink
	inside bool // the file that is read is the first repomd.xml
	path   []string
	attrs  map[string]string // of the element that began last
	text   []byte
	alt    sums // the alternate that is read
}

func (p *metalinkParser) start(e xml.StartElement) error {
	if len(p.path) == 0 && e.Name.Local != "metalink" {
		return fmt.Errorf("it is a document of <%.40s>, not a metalink", e.Name.Local)
	}
	if p.path = append(p.path, e.Name.Local); len(p.path) > maxDepth {
		return fmt.Errorf("malformed metalink: deeper than %d elements", maxDepth)
	}
	p.text = p.text[:0]
	p.attrs = make(map[string]string, len(e.Attr))
	for _, a := range e.Attr {
		p.attrs[a.Name.Local] = a.Value
	}
	switch p.where() {
	case "metalink/files/file":
		if p.found == nil && p.attrs["name"] == "repomd.xml" {
			p.found, p.inside = &metalink{main: newSums()}, true
		}
	case "metalink/files/file/alternates/alternate":
		p.alt = newSums()
	}
	return nil
}

func newSums() sums { return sums{hashes: make(map[string]string)} }

func (p *metalinkParser) where() string { return strings.Join(p.path, "/") }

func (p *metalinkParser) end() {
	if p.inside {
		p.value(strings.TrimPrefix(p.where(), "metalink/files/file"), strings.TrimSpace(string(p.text)))
	}
	p.path, p.text = p.path[:len(p.path)-1], p.text[:0]
}

// value takes the text of an element of the file.
func (p *metalinkParser) value(where, text string) {
	const alternate = "/alternates/alternate"
	of, isAlternate := &p.found.main, strings.HasPrefix(where, alternate)
	if isAlternate {
		of, where = &p.alt, strings.TrimPrefix(where, alternate)
	}
	switch where {
	case "":
		if isAlternate {
			p.found.alternates = append(p.found.alternates, p.alt)
		} else {
			p.inside = false
		}
	case "/size":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
			of.size = n
		}
	case "/verification/hash":
		if c, err := readChecksum(p.attrs["type"], text); err == nil {
			of.hashes[c.Type] = c.Value
		}
	case "/resources/url":
		if text != "" {
			p.found.urls = append(p.found.urls, listed{text, preference(p.attrs["preference"])})
		}
	}
}

// preference is 0 to 100; 0 when it is something else.
func preference(s string) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 || n > 100 {
		return 0
	}
	return n
}

// readMetalink takes the mirrors of a metalink into the list, the preferred ones first,
// and what their repomd.xml must be.
func (l *list) readMetalink(data []byte, arch string, logger *slog.Logger) error {
	m, err := parseMetalink(data)
	if err != nil {
		return err
	}
	slices.SortStableFunc(m.urls, func(a, b listed) int { return cmp.Compare(b.preference, a.preference) })
	for _, u := range m.urls {
		base, ok := strings.CutSuffix(u.url, rpm.RepomdPath)
		if !ok {
			l.skip(quoted(u.url), "does not lead to "+rpm.RepomdPath)
			continue
		}
		if err := l.add(base, arch); err != nil {
			return err
		}
	}
	if m.main.strongest() == "" {
		logger.Warn("the metalink has no hash of repomd.xml: its mirrors are compared with each other only")
		return nil
	}
	if m.main.forged() {
		logger.Warn("the metalink has only a hash of repomd.xml that can be forged", "hash", m.main.strongest())
	}
	l.sums = []sums{m.main}
	for _, alt := range m.alternates {
		// One weak hash among strong ones would be the way in.
		if alt.strongest() != "" && (m.main.forged() || !alt.forged()) {
			l.sums = append(l.sums, alt)
		}
	}
	return nil
}
