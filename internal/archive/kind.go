package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"airbundle/internal/regular"
)

// wantLayout is what to do about a file that is none of ours.
const wantLayout = "not a bundle and not an OCI layout in an uncompressed tar; name the .bundle.tar file itself"

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
		return nil, nil, &FormatError{Path: path, Msg: what + ": " + wantLayout}
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return wrong("is a directory")
	case mode&fs.ModeSymlink != 0:
		return wrong("is a symbolic link, which is not followed")
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

// notTar says what a file is whose first block is no tar header.
func notTar(first []byte) string {
	for _, m := range []struct{ magic, kind, program string }{
		{"\x1f\x8b", "gzip", "gunzip"}, {"\x28\xb5\x2f\xfd", "zstd", "unzstd"}, {"\xfd7zXZ\x00", "xz", "unxz"}, {"BZh", "bzip2", "bunzip2"},
		{"\x04\x22\x4d\x18", "lz4", "unlz4"}, {"PK\x03\x04", "zip", "unzip"}, {"\x50\x2a\x4d\x18", "zstd", "unzstd"},
	} {
		if bytes.HasPrefix(first, []byte(m.magic)) {
			return fmt.Sprintf("the file is compressed (%s), and nothing is decompressed here: %s; or decompress it first, with %s", m.kind, wantLayout, m.program)
		}
	}
	if allZero(first) {
		return "not a tar archive, the file begins with zeros: " + wantLayout
	}
	return "not a tar archive, or one whose beginning is destroyed: " + wantLayout
}
