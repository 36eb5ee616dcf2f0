// Package createrepo writes the metadata of yum repositories: repomd.xml, the lists that it
// names, and its signature. What it writes says the same as createrepo_c does of the same
// packages, in the one form that every client takes (gzip and SHA-256, so yum of
// CentOS 7 too), and it is a pure function of the packages: no clock, no order.
//
// Of the packages of a bundle it reads the headers itself. What a repository says beside them (modules, groups,
// advisories) it takes as documents and looks into none of them: package repodata cuts
// those.
package createrepo

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/rpm"
)

// An Entry is one package of a repository.
type Entry struct {
	Package  *rpm.Package
	Location string        // path below the repository, "Packages/a-1.0-1.noarch.rpm"
	Digest   digest.Digest // of the whole file, sha256
	Size     int64         // of the whole file
	Time     int64         // of the file, seconds since 1970
}

// A Set is the metadata of one repository. Repomd names the digests of all Files, so on a
// live server it is to be written last.
type Set struct {
	Repomd []byte
	Files  map[string][]byte // "repodata/<sha256>-primary.xml.gz"
}

// Slices are what a repository says beside its packages, as documents of their own: YAML
// for the modules, XML for the others. They are passed on as they are; nil: none.
type Slices struct {
	Modules    []byte // modules.yaml
	Comps      []byte // comps.xml
	Updateinfo []byte // updateinfo.xml
}

// Write makes the metadata of a repository of these packages, and of the slices that belong
// to them. The same entries and slices give the same bytes in any order. Revision and
// timestamps are the latest file or build time among the entries. A package with a name,
// dependency or path that XML cannot hold is an error; in descriptions and changelogs
// such characters are left out.
func Write(entries []Entry, with Slices) (*Set, error) {
	entries, err := sorted(entries)
	if err != nil {
		return nil, err
	}
	var latest int64
	for _, e := range entries {
		latest = max(latest, e.Time, e.Package.BuildTime)
	}
	set := &Set{Files: map[string][]byte{}}
	var data []dataFile
	for _, list := range lists {
		file, err := compress(list.kind, list.kind+".xml", latest, func(out io.Writer) error {
			w := newXMLWriter(out)
			w.printf("%s<%s%s packages=\"%d\">\n", xml.Header, list.root, list.namespaces, len(entries))
			for _, e := range entries {
				list.write(w, e)
			}
			w.printf("</%s>\n", list.root)
			return w.flush()
		})
		if err != nil {
			return nil, err
		}
		data = append(data, file)
	}
	more, err := with.files(latest)
	if err != nil {
		return nil, err
	}
	data = append(data, more...)
	for _, file := range data {
		set.Files[file.location] = file.content
	}
	set.Repomd, err = repomd(latest, data)
	return set, err
}

// files makes the files of the slices. Groups come twice, for yum of CentOS 7 reads them
// only uncompressed.
func (s Slices) files(timestamp int64) (data []dataFile, err error) {
	if s.Comps != nil {
		data = append(data, plainFile("group", "comps.xml", timestamp, s.Comps))
	}
	for _, one := range []struct {
		kind, name string
		content    []byte
	}{{"group_gz", "comps.xml", s.Comps}, {"modules", "modules.yaml", s.Modules}, {"updateinfo", "updateinfo.xml", s.Updateinfo}} {
		if one.content == nil {
			continue
		}
		file, err := compress(one.kind, one.name, timestamp, func(w io.Writer) error {
			_, err := w.Write(one.content)
			return err
		})
		if err != nil {
			return nil, err
		}
		data = append(data, file)
	}
	return data, nil
}

// lists are the three parts of the metadata, in the order of repomd.xml.
var lists = []struct {
	kind, root, namespaces string
	write                  func(*xmlWriter, Entry)
}{
	{"primary", "metadata", ` xmlns="` + nsCommon + `" xmlns:rpm="` + nsRPM + `"`, writePrimary},
	{"filelists", "filelists", ` xmlns="` + nsFilelists + `"`, writeFilelists},
	{"other", "otherdata", ` xmlns="` + nsOther + `"`, writeOther},
}

// sorted returns the entries by location, after checking them.
func sorted(entries []Entry) ([]Entry, error) {
	entries = slices.SortedFunc(slices.Values(entries), func(a, b Entry) int {
		return cmp.Compare(a.Location, b.Location)
	})
	for i, e := range entries {
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("repository metadata of %q: %w", e.Location, err)
		}
		if i > 0 && entries[i-1].Location == e.Location {
			return nil, fmt.Errorf("repository metadata of %q: two packages in one place", e.Location)
		}
	}
	return entries, nil
}

// check refuses what would make metadata that clients misread.
func (e Entry) check() error {
	switch {
	case e.Package == nil:
		return errors.New("no package")
	case !fs.ValidPath(e.Location) || e.Location == ".":
		return errors.New("not a path below the repository")
	case e.Digest.Validate() != nil || e.Digest.Algorithm() != digest.SHA256:
		return fmt.Errorf("digest %q is not a SHA-256", e.Digest)
	case e.Size <= 0:
		return fmt.Errorf("size %d", e.Size)
	}
	return checkNames(e)
}

// A dataFile is one file of the metadata and what repomd.xml says of it.
type dataFile struct {
	kind, location    string
	checksum, openSum string // openSum is empty for a file that is not compressed
	size, openSize    int64
	timestamp         int64
	content           []byte
}

func plainFile(kind, name string, timestamp int64, content []byte) dataFile {
	sum := sha256.Sum256(content)
	f := dataFile{kind: kind, timestamp: timestamp, checksum: hex.EncodeToString(sum[:]), size: int64(len(content)), content: content}
	f.location = "repodata/" + f.checksum + "-" + name
	return f
}

// gzipLevel is a number and not the library's default, which may change.
const gzipLevel = 6

// compress makes a file of what write writes, and hashes it before and after compression.
func compress(kind, name string, timestamp int64, write func(io.Writer) error) (dataFile, error) {
	var packed bytes.Buffer
	gz, err := gzip.NewWriterLevel(&packed, gzipLevel)
	if err != nil {
		return dataFile{}, fmt.Errorf("compress %s: %w", name, err)
	}
	gz.ModTime = time.Unix(0, 0) // "no time" in the format; the zero value comes out as one
	open := &counter{to: gz, hash: sha256.New()}
	if err := cmp.Or(write(open), gz.Close()); err != nil {
		return dataFile{}, fmt.Errorf("compress %s: %w", name, err)
	}
	f := plainFile(kind, name+".gz", timestamp, packed.Bytes())
	f.openSum, f.openSize = hex.EncodeToString(open.hash.Sum(nil)), open.n
	return f, nil
}

// A counter hashes and counts what it passes on.
type counter struct {
	to   io.Writer
	hash hash.Hash
	n    int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.hash.Write(p[:n])
	c.n += int64(n)
	return n, err
}

func repomd(revision int64, data []dataFile) ([]byte, error) {
	var out bytes.Buffer
	w := newXMLWriter(&out)
	w.printf("%s<repomd xmlns=%q xmlns:rpm=%q>\n  <revision>%d</revision>\n", xml.Header, nsRepo, nsRPM, revision)
	for _, d := range data {
		w.printf("  <data type=%q>\n", d.kind)
		w.printf("    <checksum type=\"sha256\">%s</checksum>\n", d.checksum)
		if d.openSum != "" {
			w.printf("    <open-checksum type=\"sha256\">%s</open-checksum>\n", d.openSum)
		}
		w.printf("    <location href=%q/>\n", d.location)
		w.printf("    <timestamp>%d</timestamp>\n", d.timestamp)
		w.printf("    <size>%d</size>\n", d.size)
		if d.openSum != "" {
			w.printf("    <open-size>%d</open-size>\n", d.openSize)
		}
		w.put("  </data>\n")
	}
	w.put("</repomd>\n")
	err := w.flush()
	return out.Bytes(), err
}
