// Package renamed makes an aarch64 repository of an x86_64 one: the same packages under
// another arch, without those of the second one. Real aarch64 metadata need not be at hand
// to see that no arch is treated as the only one.
package renamed

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"
)

// kinds are the files that are carried over, and as what: test data may lack one of two forms.
var kinds = map[string]string{"primary": "primary", "filelists": "filelists", "modules": "modules", "group": "group", "group_gz": "group"}

type repomd struct {
	Data []struct {
		Type     string `xml:"type,attr"`
		Location struct {
			Href string `xml:"href,attr"`
		} `xml:"location"`
	} `xml:"data"`
}

// Write writes to dir what the repository in from would be for aarch64.
func Write(dir, from string) error {
	raw, err := os.ReadFile(filepath.Join(from, "repodata/repomd.xml"))
	if err != nil {
		return err
	}
	var md repomd
	if err := xml.Unmarshal(raw, &md); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "repodata"), 0o755); err != nil {
		return err
	}
	var out strings.Builder
	out.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<repomd xmlns="http://linux.duke.edu/metadata/repo">` + "\n<revision>1</revision>\n")
	done := map[string]bool{"": true}
	for _, d := range md.Data {
		kind := kinds[d.Type]
		content, err := read(filepath.Join(from, d.Location.Href))
		if done[kind] || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		entry, err := write(dir, kind, rename(content))
		if err != nil {
			return err
		}
		done[kind] = true
		out.WriteString(entry)
	}
	return os.WriteFile(filepath.Join(dir, "repodata/repomd.xml"), []byte(out.String()+"</repomd>\n"), 0o644)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	switch {
	case strings.HasSuffix(path, ".gz"):
		r, err = gzip.NewReader(f)
	case strings.HasSuffix(path, ".xz"):
		r, err = xz.NewReader(f)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func write(dir, kind string, content []byte) (string, error) {
	name := filepath.Join("repodata", kind+".gz")
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return "", err
	}
	if _, err := z.Write(content); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	return fmt.Sprintf(`<data type="%s"><checksum type="sha256">%s</checksum><open-checksum type="sha256">%s</open-checksum><location href="%s"/><timestamp>1</timestamp><size>%d</size><open-size>%d</open-size></data>`+"\n",
		kind, sum(packed.Bytes()), sum(content), name, packed.Len(), len(content)), os.WriteFile(filepath.Join(dir, name), packed.Bytes(), 0o644)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

var (
	open, end = []byte("<package "), []byte("</package>\n")
	others    = [][]byte{[]byte("<arch>i686</arch>"), []byte(` arch="i686"`)}
	names     = strings.NewReplacer("x86_64", "aarch64", "x86-64", "aarch-64")
)

// rename drops the packages of the second arch and renames the first one.
func rename(content []byte) []byte {
	var out bytes.Buffer
	for {
		at := bytes.Index(content, open)
		to := bytes.Index(content, end)
		if at < 0 || to < at {
			break
		}
		to += len(end)
		out.Write(content[:at])
		if p := content[at:to]; !bytes.Contains(p, others[0]) && !bytes.Contains(p[:bytes.IndexByte(p, '>')], others[1]) {
			out.Write(p)
		}
		content = content[to:]
	}
	out.Write(content)
	text := out.String()
	return []byte(names.Replace(count(text)))
}

// count puts the number of packages right.
func count(text string) string {
	head, rest, found := strings.Cut(text, ` packages="`)
	if !found {
		return text
	}
	_, rest, _ = strings.Cut(rest, `"`)
	return fmt.Sprintf(`%s packages="%d"%s`, head, strings.Count(rest, "</package>"), rest)
}
