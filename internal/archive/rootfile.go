package archive

import (
	"errors"
	"fmt"
	"io"

	"airbundle/manifest"
)

// OpenRoot reads the bundle of an archive, or of a file that holds nothing but root and
// table (manifest.OpenRootFile).
func OpenRoot(path string) (*manifest.Bundle, error) {
	if raw, ok, err := rootFile(path); err != nil {
		return nil, err
	} else if ok {
		b, err := manifest.OpenRootFile(raw)
		if err != nil {
			todo := rootFileAgain
			if _, newer := errors.AsType[*manifest.VersionError](err); newer {
				todo = "" // the error says what helps
			}
			return nil, &FormatError{Path: path, Msg: err.Error(), Todo: todo, Err: err}
		}
		return b, nil
	}
	a, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return a.Bundle(), nil
}

const rootFileAgain = "have it written again, by bundler inspect --root"

// maxRootFile is more than a file of root and table can have.
const maxRootFile = manifest.MaxTable + 2*manifest.MaxRootManifest

// rootFile returns the content of a file that begins as JSON does; no tar does that.
func rootFile(path string) ([]byte, bool, error) {
	f, info, err := openArchive(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	var first [1]byte
	if _, err := f.ReadAt(first[:], 0); err != nil || first[0] != '{' {
		return nil, false, nil
	}
	size := info.Size()
	if size > maxRootFile {
		return nil, false, &FormatError{Path: path, Msg: fmt.Sprintf("%d bytes are too many for a root file", size), Todo: rootFileAgain}
	}
	raw, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	return raw, true, err
}
