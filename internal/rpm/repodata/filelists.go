package repodata

import "io"

// ParseFilelists reads a list of all files of all packages (filelists.xml), packed in any
// of the ways of ParsePrimary, as a stream, and returns for each of the wanted paths the
// pkgids (hexadecimal, the checksums of the primary list) of the packages that have it, in the order
// of the file. What is not wanted is not kept. The error is a *MalformedError that names
// the line, or that of r.
func ParseFilelists(r io.Reader, paths map[string]bool) (map[string][]string, error) {
	owners := map[string][]string{}
	err := read("filelists", r, maxOpen, func(s *scanner) error {
		found := 0
		if !s.root("filelists") {
			return s.err
		}
		for s.child() {
			if string(s.name) != "package" {
				s.skip()
				continue
			}
			if found++; found > maxPackages {
				s.fail("more than the %d packages allowed", maxPackages)
				break
			}
			owned(s, paths, owners)
		}
		return s.err
	})
	if err != nil {
		return nil, err
	}
	return owners, nil
}

// owned reads one package.
func owned(s *scanner, paths map[string]bool, owners map[string][]string) {
	id := string(s.attr("pkgid"))
	if id == "" || len(id) > maxChecksum {
		s.fail("a package without a pkgid")
		return
	}
	for s.child() {
		if string(s.name) != "file" {
			s.skip()
			continue
		}
		path := s.text()
		if !paths[string(path)] {
			continue
		}
		have := owners[string(path)]
		if n := len(have); n == 0 || have[n-1] != id {
			owners[string(path)] = append(have, id)
		}
	}
}
