package repodata

import (
	"errors"
	"fmt"
	"io"

	"airbundle/internal/rpm/catalog"
	"airbundle/manifest"
)

// CheckSlice reads a slice of metadata of a type, as a bundle carries it: not compressed,
// the modules as documents of YAML that ParseModules takes, one of a module at least, groups
// and updates as well-formed XML. The error is a *MalformedError, or that of r.
func CheckSlice(kind string, r io.Reader) error {
	s := &source{r: r}
	in := &capped{r: s, left: manifest.MaxMetadata, limit: manifest.MaxMetadata}
	nothing := func(*node, []byte) {}
	var err error
	switch kind {
	case manifest.MetadataModules:
		var text []byte
		var m catalog.Modules
		if text, err = io.ReadAll(in); err == nil {
			err = addModules(&m, text)
		}
		if err == nil && len(m.Streams)+len(m.Defaults)+len(m.Obsoletes) == 0 {
			err = errors.New("there is no document about a module")
		}
	case manifest.MetadataComps:
		err = eachChild(in, "comps", "group", nothing)
	case manifest.MetadataUpdateinfo:
		err = eachChild(in, "updates", "update", nothing)
	default:
		err = fmt.Errorf("%q is no type of metadata", kind)
	}
	return s.outcome(kind, err)
}
