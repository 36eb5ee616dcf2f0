package repodata

import (
	"io"

	"airbundle/internal/rpm/xmlscan"
)

// ParseFilelists reads a list of all files of all packages (filelists.xml), packed in any
// of the ways of ParsePrimary, as a stream, and returns for each of the wanted paths the
// pkgids (hexadecimal, the checksums of the primary list) of the packages that have it, in the order
// of the file. What is not wanted is not kept. The error is a *MalformedError that names
// the line, or that of r.
func ParseFilelists(r io.Reader, paths map[string]bool) (map[string][]string, error) {
	owners := map[string][]string{}
	err := read("filelists", r, maxOpen, func(s *xmlscan.Scanner) error {
		found := 0
		if !s.Root("filelists") {
			return s.Err()
		}
		for s.Child() {
			if string(s.Name()) != "package" {
				s.Skip()
				continue
			}
			if found++; found > maxPackages {
				s.Fail("more than the %d packages allowed", maxPackages)
				break
			}
			owned(s, paths, owners)
		}
		return s.Err()
	})
	if err != nil {
		return nil, err
	}
	return owners, nil
}

// owned reads one package.
func owned(s *xmlscan.Scanner, paths map[string]bool, owners map[string][]string) {
	id := string(s.Attr("pkgid"))
	if id == "" || len(id) > maxChecksum {
		s.Fail("a package without a pkgid")
		return
	}
	for s.Child() {
		if string(s.Name()) != "file" {
			s.Skip()
			continue
		}
		path := s.Text()
		if !paths[string(path)] {
			continue
		}
		have := owners[string(path)]
		if n := len(have); n == 0 || have[n-1] != id {
			owners[string(path)] = append(have, id)
		}
	}
}
