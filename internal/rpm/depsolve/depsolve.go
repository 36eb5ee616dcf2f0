// Package depsolve closes a list of wanted packages over their dependencies, and chooses
// as dnf 4 does where there is a choice: what it returns for an empty host is what
// `dnf install` would install there.
//
// It reads no file and opens no socket: it is a function of the catalogs it is given.
package depsolve

import (
	"context"
	"errors"

	"airbundle/internal/rpm/catalog"
)

// A Repo is one repository to choose from.
type Repo struct {
	ID       string
	Priority int // the lower one wins; 0 means 99
	Catalog  *catalog.Catalog
	Modules  *catalog.Modules // nil: the repository has no modules
	Comps    *catalog.Comps   // nil: it has no groups
	Exclude  []string         // packages of this repository that do not exist for us, as Request.Exclude

	// Owners finds the packages that own paths in the repository's whole list of files:
	// indices into Catalog.Packages by path. It is asked at most once, for paths that
	// the catalog cannot know. nil: the catalog lists all there are.
	Owners func(ctx context.Context, paths []string) (map[string][]int, error)
}

// A Request is what is wanted for the hosts of one arch.
type Request struct {
	Arch    string // x86_64 or aarch64
	Repos   []Repo
	Install []string // name, name.arch, NEVRA and its parts, glob, file, capability, @group
	Exclude []string // name, name.arch, NEVRA and its parts, glob
	Present []string // what the hosts have already, as Install; with all that it needs
	Modules []string // module streams to enable, name:stream
	Weak    bool     // Recommends and Supplements too
	NotBest bool     // what Install names may come in an older version than the newest
}

// A Solution is the answer to a request.
type Solution struct {
	Packages []Picked // by NEVRA, bytewise
	Streams  []string // the module streams that packages come from, name:stream, sorted
}

// A Picked package is carried.
type Picked struct {
	NEVRA  string
	Places []Place // never empty: the chosen one first, then the same package (NEVRA and checksum) elsewhere
}

// A Place is a package of a repository of the request.
type Place struct{ Repo, Package int }

// Solve resolves the whole request at once. An unsolvable request is an *UnsolvableError.
func Solve(context.Context, Request) (*Solution, error) {
	return nil, errors.New("not yet")
}
