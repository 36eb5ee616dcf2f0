package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"airbundle/internal/regular"
)

// wantLayout is what a file is that is none of ours, and what to do about it is nameIt.
const (
	wantLayout = "not a bundle and not an OCI layout in an uncompressed tar"
	nameIt     = "name the .bundle.tar file itself"
	copyIt     = nameIt + "; if it is that, copy it again"
)

// openArchive opens a regular file and nothing else. What is there and cannot be an
// archive is a *FormatError; what is not there, or cannot be opened, is what the system
// says of it. A link is not followed: on a medium that somebody else wrote, it may lead
// anywhere.
func openArchive(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	wrong := func(what string) (*os.File, fs.FileInfo, error) {
		return nil, nil, &FormatError{Path: path, Msg: what + ": " + wantLayout, Todo: nameIt}
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return wrong("is a directory")
	case mode&fs.ModeSymlink != 0:
		return nil, nil, linkError(path)
	case !mode.IsRegular():
		return wrong("is a device, a FIFO or a socket")
	}
	f, now, err := regular.Open(path)
	switch {
	case errors.Is(err, syscall.EISDIR):
		return wrong("is a directory")
	case err != nil:
		return nil, nil, err
	case !os.SameFile(info, now):
		f.Close()
		return wrong("was replaced while it was opened")
	}
	return f, now, nil
}

// linkError says where a link leads, which is for the operator to take or not.
func linkError(path string) error {
	to, err := os.Readlink(path)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(path), to)
	}
	return &FormatError{Path: path, Msg: "is a symbolic link, and none is followed", Todo: fmt.Sprintf("name the file that it leads to, %q", to)}
}

// notTar says what the file at path is whose first block is no tar header.
func notTar(path string, first []byte) *FormatError {
	for _, m := range []struct{ magic, kind, program string }{
		{"\x1f\x8b", "gzip", "gunzip"}, {"\x28\xb5\x2f\xfd", "zstd", "unzstd"}, {"\xfd7zXZ\x00", "xz", "unxz"}, {"BZh", "bzip2", "bunzip2"},
		{"\x04\x22\x4d\x18", "lz4", "unlz4"}, {"PK\x03\x04", "zip", "unzip"}, {"\x50\x2a\x4d\x18", "zstd", "unzstd"},
	} {
		if bytes.HasPrefix(first, []byte(m.magic)) {
			return &FormatError{
				Path: path, Msg: fmt.Sprintf("the file is compressed (%s), and nothing is decompressed here: %s", m.kind, wantLayout),
				Todo: nameIt + ", or decompress it first, with " + m.program,
			}
		}
	}
	if allZero(first) {
		return &FormatError{Path: path, Msg: "not a tar archive, the file begins with zeros: " + wantLayout, Todo: copyIt}
	}
	return &FormatError{Path: path, Msg: "not a tar archive, or one whose beginning is destroyed: " + wantLayout, Todo: copyIt}
}
