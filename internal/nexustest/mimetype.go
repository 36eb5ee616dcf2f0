package nexustest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
)

// byExtension is the content type that a file name promises.
var byExtension = map[string]string{
	".rpm": "application/x-rpm", ".tgz": "application/x-tgz", ".gz": "application/gzip", ".zip": "application/zip",
	".jar": "application/java-archive", ".tar": "application/x-tar", ".xz": "application/x-xz", ".bz2": "application/x-bzip2",
	".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif", ".pdf": "application/pdf",
	".deb": "application/x-debian-package", ".txt": "text/plain", ".html": "text/html", ".xml": "application/xml",
	".json": "application/json", ".yaml": "text/x-yaml", ".yml": "text/x-yaml", ".sh": "application/x-sh",
	".md": "text/x-web-markdown", ".css": "text/css", ".js": "application/javascript",
}

// magics are the types that content shows by its first bytes.
var magics = []struct {
	at    int
	magic string
	types []string // the most exact first; all are in order for a name that promises them
}{
	{0, "\xed\xab\xee\xdb", []string{"application/x-rpm"}},
	{0, "\x1f\x8b", []string{"application/gzip", "application/x-tgz"}},
	{0, "PK\x03\x04", []string{"application/zip", "application/java-archive"}},
	{0, "\xfd7zXZ\x00", []string{"application/x-xz"}},
	{0, "BZh", []string{"application/x-bzip2"}},
	{0, "\x89PNG\r\n\x1a\n", []string{"image/png"}},
	{0, "\xff\xd8\xff", []string{"image/jpeg"}},
	{0, "GIF8", []string{"image/gif"}},
	{0, "%PDF-", []string{"application/pdf"}},
	{0, "!<arch>\n", []string{"application/x-debian-package"}},
	{0, "\x7fELF", []string{"application/x-executable"}},
	{257, "ustar", []string{"application/x-tar"}},
}

// contentTypeOf returns the type that a file is served with.
func contentTypeOf(name, declared string) string {
	if t := byExtension[strings.ToLower(path.Ext(name))]; t != "" {
		return t
	}
	return orText(declared, "application/octet-stream")
}

// checkContentType is the strict content type validation: what the content
// shows must fit what the extension promises. Unknown extensions pass, and so
// does content that shows nothing.
func checkContentType(name string, c *content) error {
	expected := byExtension[strings.ToLower(path.Ext(name))]
	if expected == "" {
		return nil
	}
	detected, err := detect(c)
	if err != nil {
		return err
	}
	if len(detected) == 0 || slices.Contains(detected, expected) || detected[0] == "text/plain" && isText(expected) {
		return nil
	}
	return &refusal{http.StatusBadRequest,
		fmt.Sprintf("Detected content type [%s], but expected [%s]: /%s", strings.Join(detected, ", "), expected, name)}
}

// detect returns the types that content shows, none for plain binary data.
func detect(c *content) ([]string, error) {
	f, err := c.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 512))
	if err != nil {
		return nil, err
	}
	for _, m := range magics {
		if len(head) >= m.at+len(m.magic) && string(head[m.at:m.at+len(m.magic)]) == m.magic {
			return m.types, nil
		}
	}
	if bytes.ContainsFunc(head, func(r rune) bool { return r < 0x20 && !strings.ContainsRune("\t\n\f\r\x1b", r) }) ||
		!strings.HasPrefix(http.DetectContentType(head), "text/") {
		return nil, nil
	}
	return []string{"text/plain"}, nil
}

// isText says whether text is no contradiction to a promised type.
func isText(t string) bool {
	if strings.HasPrefix(t, "text/") {
		return true
	}
	return slices.Contains([]string{"application/xml", "application/json", "application/x-sh", "application/javascript"}, t)
}
