package catalog

// A Module is one build of a module stream: a document of kind modulemd
// (fedora-modularity/libmodulemd, modulemd_stream_v2.yaml).
type Module struct {
	Name, Stream  string
	Version       string // decimal, rises with each build
	Context       string
	StaticContext bool // Context is a chosen name, not a hash of what it requires
	Arch          string
	Requires      []map[string][]string // all of them, as dnf reads it: module to streams; no streams: any; "-s": any but s
	Artifacts     []string              // packages, name-epoch:version-release.arch
	Profiles      map[string][]string   // names of packages by profile
	Demodularized []string              // names of packages that have left the module
	Raw           []byte                // the document as the repository has it
}

// NSVCA is the module's full name, name:stream:version:context:arch.
func (m *Module) NSVCA() string {
	return m.Name + ":" + m.Stream + ":" + m.Version + ":" + m.Context + ":" + m.Arch
}

// ModuleDefaults say which stream of a module is used when nobody enables one: a document
// of kind modulemd-defaults. Stream is empty where there is no default.
type ModuleDefaults struct {
	Module, Stream string
	Profiles       map[string][]string // default profiles by stream
	Modified       uint64              // the larger one wins
	Raw            []byte
}

// A Group is a group of comps.xml.
type Group struct {
	ID, Name string
	Packages []GroupPackage
	Raw      []byte // the element as the repository has it
}

// A GroupPackage is one package of a group.
type GroupPackage struct {
	Name     string
	Type     GroupType
	Requires string   // conditional: wanted when this package is chosen
	Arches   []string // of the hosts that it is for; none: all
}

// A GroupType says when a package of a group is wanted.
type GroupType uint8

// The types of comps.xml.
const (
	Mandatory GroupType = iota
	Default
	Optional
	Conditional
)

// An Environment is an environment group of comps.xml: groups by their IDs.
type Environment struct {
	ID, Name string
	Groups   []string // mandatory
	Options  []string // offered, by default not taken
	Defaults []string // of Options, those that are taken
	Raw      []byte
}

// Comps are the groups of a repository.
type Comps struct {
	Groups       []Group
	Environments []Environment
}

// Modules are the module documents of a repository.
type Modules struct {
	Streams   []Module
	Defaults  []ModuleDefaults
	Obsoletes [][]byte // documents of kind modulemd-obsoletes, as they are
}
