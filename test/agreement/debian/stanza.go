package debian

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// A stanza is one paragraph of an index: fields by name, folded lines left out but the first.
type stanza map[string]string

// wanted are the fields that a conversion looks at.
var wanted = map[string]bool{
	"Package": true, "Version": true, "Architecture": true, "Source": true, "Multi-Arch": true, "Section": true,
	"Depends": true, "Pre-Depends": true, "Recommends": true, "Suggests": true, "Enhances": true,
	"Provides": true, "Conflicts": true, "Breaks": true, "Replaces": true,
	"Description": true, "Homepage": true, "Filename": true, "Size": true, "Installed-Size": true, "SHA256": true,
}

// stanzas reads an index (deb822, Debian policy 5.1) paragraph by paragraph.
func stanzas(r io.Reader, each func(stanza) error) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	s, line := stanza{}, 0
	for in.Scan() {
		line++
		text := in.Text()
		switch {
		case text == "":
			if len(s) > 0 {
				if err := each(s); err != nil {
					return fmt.Errorf("paragraph before line %d: %w", line, err)
				}
			}
			s = stanza{}
		case text[0] == ' ' || text[0] == '\t':
		default:
			name, value, found := strings.Cut(text, ":")
			if !found {
				return fmt.Errorf("line %d: no field: %.40q", line, text)
			}
			if wanted[name] {
				s[name] = strings.Clone(strings.TrimSpace(value))
			}
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("line %d: %w", line+1, err)
	}
	if len(s) > 0 {
		return each(s)
	}
	return nil
}
