package rpm

// fields reads typed values out of a header and keeps the first error.
type fields struct {
	h   *header
	err error
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) strings(tag uint32) []string {
	values, err := f.h.strings(tag)
	f.fail(err)
	return values
}

func (f *fields) ints(tag uint32) []uint64 {
	values, err := f.h.ints(tag)
	f.fail(err)
	return values
}

// text returns the first string of a tag; of translated ones that is the C locale's.
func (f *fields) text(tag uint32) string {
	if values := f.strings(tag); len(values) > 0 {
		return values[0]
	}
	return ""
}

// number returns the first value of the first of the tags that the header has.
func (f *fields) number(tags ...uint32) uint64 {
	for _, tag := range tags {
		if values := f.ints(tag); len(values) > 0 {
			return values[0]
		}
	}
	return 0
}

// dependencies puts together what the header keeps in three parallel lists.
func (f *fields) dependencies(nameTag, flagsTag, versionTag uint32) []Dependency {
	names, flags, versions := f.strings(nameTag), f.ints(flagsTag), f.strings(versionTag)
	if len(names) == 0 || f.err != nil {
		return nil
	}
	if len(flags) != len(names) || len(versions) != len(names) {
		f.fail(malformed("tags %d, %d and %d have %d, %d and %d values for one list of dependencies",
			nameTag, flagsTag, versionTag, len(names), len(flags), len(versions)))
		return nil
	}
	deps := make([]Dependency, len(names))
	for i, name := range names {
		deps[i] = Dependency{Name: name, Flags: Sense(flags[i]), EVR: versions[i]}
	}
	return deps
}

// A path longer than this cannot be installed; without a bound one long directory name, which
// the header has once, could be repeated for each of its files.
const maxPath = 4096

func (f *fields) files() []File {
	bases, dirs, dirOf := f.strings(tagBaseNames), f.strings(tagDirNames), f.ints(tagDirIndexes)
	modes, flags := f.ints(tagFileModes), f.ints(tagFileFlags)
	if len(bases) == 0 || f.err != nil {
		return nil
	}
	if len(dirOf) != len(bases) || len(modes) != len(bases) || len(flags) != len(bases) {
		f.fail(malformed("the header has %d file names, %d directory indexes, %d modes and %d flags",
			len(bases), len(dirOf), len(modes), len(flags)))
		return nil
	}
	files := make([]File, len(bases))
	for i, base := range bases {
		if dirOf[i] >= uint64(len(dirs)) {
			f.fail(malformed("file %q is in directory %d of %d", base, dirOf[i], len(dirs)))
			return nil
		}
		dir := dirs[dirOf[i]]
		if len(dir)+len(base) > maxPath {
			f.fail(malformed("a file name has %d bytes, at most %d are possible", len(dir)+len(base), maxPath))
			return nil
		}
		files[i] = File{Dir: dir, Base: base, Mode: uint16(modes[i]), Flags: uint32(flags[i])}
	}
	return files
}

func (f *fields) changelog() []Change {
	times, authors, texts := f.ints(tagChangelogTime), f.strings(tagChangelogName), f.strings(tagChangelogText)
	if f.err != nil {
		return nil
	}
	if len(authors) != len(times) || len(texts) != len(times) {
		f.fail(malformed("the changelog has %d times, %d authors and %d texts", len(times), len(authors), len(texts)))
		return nil
	}
	changes := make([]Change, len(times))
	for i := range changes {
		changes[i] = Change{Time: int64(times[i]), Author: authors[i], Text: texts[i]}
	}
	return changes
}
