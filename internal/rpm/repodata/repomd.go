package repodata

import (
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/xmlscan"
)

// A Repomd is what repomd.xml says: which files of metadata a repository has.
type Repomd struct {
	Revision string // any text; mostly seconds since 1970
	Data     []Data // in the order of the file
}

// Data is one file of metadata. What repomd.xml does not say is zero.
type Data struct {
	Type     string       // "primary", "filelists", "group", "modules"…
	Location string       // below the repository, and never outside of it
	Base     string       // xml:base: another place to find Location below
	Checksum rpm.Checksum // of the file as it is served
	Open     rpm.Checksum // of what is packed in it
	Size     int64        // bytes of the file as it is served
	OpenSize int64
	// Timestamp is the time of the last change, in seconds since 1970.
	Timestamp int64
}

// ParseRepomd reads a repomd.xml (createrepo's format, as yum and dnf read it). Elements and
// attributes that it does not know it passes over, and a file of metadata that is
// listed twice in the same words is one. The error is a *MalformedError that names the
// line, or that of r.
func ParseRepomd(r io.Reader) (*Repomd, error) {
	s := &source{r: r}
	m, err := readRepomd(s)
	if err := s.outcome("repomd.xml", err); err != nil {
		return nil, err
	}
	return m, nil
}

// Find returns the first of the types that there is, in the order of the types.
func (m *Repomd) Find(types ...string) (Data, bool) {
	for _, kind := range types {
		if at := slices.IndexFunc(m.Data, func(d Data) bool { return d.Type == kind }); at >= 0 {
			return m.Data[at], true
		}
	}
	return Data{}, false
}

// Age is when the metadata was made, in seconds since 1970, 0 where nothing says it: the
// newest timestamp, without any the revision if that is a number. Of two mirrors of a
// repository, the one with less is behind.
func (m *Repomd) Age() int64 {
	newest := int64(0)
	for _, d := range m.Data {
		newest = max(newest, d.Timestamp)
	}
	if newest == 0 {
		newest, _ = strconv.ParseInt(m.Revision, 10, 64)
	}
	return max(newest, 0)
}

// readRepomd reads repomd.xml, which is never packed.
func readRepomd(r io.Reader) (*Repomd, error) {
	s := xmlscan.New(&capped{r: r, left: rpm.MaxRepomd, limit: rpm.MaxRepomd})
	m := &Repomd{}
	if !s.Root("repomd") {
		return nil, s.Err()
	}
	for s.Child() {
		switch string(s.Name()) {
		case "revision":
			m.Revision = string(s.Trimmed())
		case "data":
			m.add(s)
		default:
			s.Skip()
		}
	}
	if err := s.Finish(); err != nil {
		return nil, err
	}
	return m, nil
}

// add reads one data element.
func (m *Repomd) add(s *xmlscan.Scanner) {
	d := Data{Type: string(s.Attr("type"))}
	for s.Child() {
		switch string(s.Name()) {
		case "location":
			d.Location, d.Base = string(s.Attr("href")), string(s.Attr("xml:base"))
			s.Skip()
		case "checksum":
			d.Checksum = scanChecksum(s)
		case "open-checksum":
			d.Open = scanChecksum(s)
		case "size":
			d.Size = s.ParseNumber(s.Trimmed(), "size")
		case "open-size":
			d.OpenSize = s.ParseNumber(s.Trimmed(), "open-size")
		case "timestamp":
			d.Timestamp = scanTimestamp(s)
		default:
			s.Skip()
		}
	}
	switch {
	case s.Err() != nil:
	case d.Type == "": // nobody can ask for it
	case d.Location == "" || d.Checksum.Type == "":
		if d.Type == "primary" {
			s.Fail("a data without location or checksum")
		}
	case !fs.ValidPath(d.Location):
		s.Fail("location %q is not below the repository", d.Location)
	case len(d.Location) > maxLocation:
		s.Fail("a location of %d bytes", len(d.Location))
	default:
		m.keep(s, d)
	}
}

// keep adds a file of metadata, unless it is there already.
func (m *Repomd) keep(s *xmlscan.Scanner, d Data) {
	switch have, ok := m.Find(d.Type); {
	case !ok:
		m.Data = append(m.Data, d)
	case have.Location != d.Location || have.Checksum != d.Checksum:
		s.Fail("a second %s list", d.Type)
	}
}

// scanChecksum reads an element that holds a checksum.
func scanChecksum(s *xmlscan.Scanner) rpm.Checksum {
	kind := string(s.Attr("type"))
	value := s.Text()
	if s.Err() != nil {
		return rpm.Checksum{}
	}
	if len(value) > maxChecksum {
		s.Fail("a checksum of more than %d bytes", maxChecksum)
		return rpm.Checksum{}
	}
	c, err := rpm.NewChecksum(kind, string(value))
	if err != nil {
		s.Fail("%w", err)
	}
	return c
}

// scanTimestamp reads a number of seconds; some tools write a fraction behind it.
func scanTimestamp(s *xmlscan.Scanner) int64 {
	whole, _, _ := strings.Cut(string(s.Trimmed()), ".")
	return s.ParseNumber([]byte(whole), "timestamp")
}
