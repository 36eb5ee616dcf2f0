// Package targets holds ready target maps for products whose repositories are known, for
// seeder to carry: each is a file NAME.yaml here, read by what reads any other map.
package targets

import "embed"

//go:embed *.yaml
var files embed.FS

// Names returns the names of the maps, sorted.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil // it is in the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name()[:len(e.Name())-len(".yaml")])
	}
	return names
}

// Read returns the map of a name; false when there is none.
func Read(name string) ([]byte, bool) {
	data, err := files.ReadFile(name + ".yaml")
	return data, err == nil
}
