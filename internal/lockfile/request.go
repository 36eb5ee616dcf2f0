package lockfile

import (
	"fmt"
	"strings"

	"airbundle/manifest"
)

// A Request is a request file: what is wanted, to be resolved to a lock. Its
// lists keep the order of the file.
type Request struct {
	Name     string       `yaml:"name"`
	Arches   []string     `yaml:"arches"`
	Images   []ImageWish  `yaml:"images"`
	Repos    []Repo       `yaml:"repos"`
	Packages []PackageSet `yaml:"packages"`
	Files    []FileWish   `yaml:"files"`
	Charts   []ChartWish  `yaml:"charts"`
	Absent   []Absent     `yaml:"absent"` // goes to the lock as it is
	Accept   []Accept     `yaml:"accept"` // goes to the lock; what the resolver finds is accepted by it
}

// An ImageWish is a wanted image, for all arches of the request.
type ImageWish struct {
	Source  string   `yaml:"source"`
	Publish []string `yaml:"publish"`
	Groups  []string `yaml:"groups"`
	Note    string   `yaml:"note"`
	Line    Line     `yaml:"-"`
}

// A Repo is a yum repository that packages are resolved against. Exactly one of
// BaseURL, MirrorList and Metalink is set; $basearch in it stands for the arch.
type Repo struct {
	ID           string   `yaml:"id"`
	Arches       []string `yaml:"arches"` // empty: all of the request
	BaseURL      string   `yaml:"baseurl"`
	MirrorList   string   `yaml:"mirrorlist"`
	Metalink     string   `yaml:"metalink"`
	GPGKeys      []string `yaml:"gpgkeys"`       // files relative to the request, or URLs
	RepoGPGCheck bool     `yaml:"repo_gpgcheck"` // repomd.xml must be signed by one of GPGKeys
	Priority     int64    `yaml:"priority"`      // lower wins; 0: the default, 99
	Exclude      []string `yaml:"exclude"`       // packages of this repository that do not exist for us, globs
	Note         string   `yaml:"note"`
	Line         Line     `yaml:"-"`
}

// A PackageSet is a set of packages, closed over their dependencies for each
// arch.
type PackageSet struct {
	Into    string   `yaml:"into"`   // repository path at the target, without the arch
	Arches  []string `yaml:"arches"` // empty: all of the request
	From    []string `yaml:"from"`   // repository IDs; empty: all of the arch
	Install []string `yaml:"install"`
	Exclude []string `yaml:"exclude"` // globs
	Present []string `yaml:"present"` // what the hosts have already
	Modules []string `yaml:"modules"` // enabled module streams, name:stream
	Weak    bool     `yaml:"weak"`    // follow Recommends
	Best    *bool    `yaml:"best"`    // nil or true: what Install names comes in its newest version, or not at all
	Groups  []string `yaml:"groups"`
	Note    string   `yaml:"note"`
	Line    Line     `yaml:"-"`
}

// A FileWish is a wanted file. Path, URL and Checksums may hold {arch} and
// {goarch}: then it is one file for each arch.
type FileWish struct {
	Path      string   `yaml:"path"`
	URL       string   `yaml:"url"`
	Checksums string   `yaml:"checksums"` // URL of a list that names the file's sha256
	Arches    []string `yaml:"arches"`    // empty: all of the request
	Groups    []string `yaml:"groups"`
	Note      string   `yaml:"note"`
	Line      Line     `yaml:"-"`
}

// A ChartWish is a wanted Helm chart.
type ChartWish struct {
	Name    string   `yaml:"name"`
	Version string   `yaml:"version"`
	Repo    string   `yaml:"repo"` // URL of the chart repository, or oci://host/path above the chart's name
	Groups  []string `yaml:"groups"`
	Note    string   `yaml:"note"`
	Line    Line     `yaml:"-"`
}

// DecodeRequest reads a request. The name is that of the file and only used in
// errors, which are an *Errors with every problem of the file.
func DecodeRequest(name string, data []byte) (*Request, error) {
	d := newDecoder(name)
	r := new(Request)
	if d.document(data, "Request", r) {
		checkRequest(d.checker(), r)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// Encode gives the request in the form that locks have. It refuses, with an
// *Errors, what DecodeRequest would not read.
func (r *Request) Encode() ([]byte, error) {
	c := &checker{problems: &problems{}}
	checkRequest(c, r)
	return finish(c, encode("Request", r))
}

// Expand replaces {arch} and {goarch} in s by what they stand for: x86_64 and
// amd64, or aarch64 and arm64. Any other brace is an error.
func Expand(s, arch string) (string, error) {
	goArch := manifest.GoArch(arch)
	if goArch == "" {
		return "", fmt.Errorf("expand %q: arch %w", show(s), checkArch(arch))
	}
	out := strings.NewReplacer("{arch}", arch, "{goarch}", goArch).Replace(s)
	if strings.ContainsAny(out, "{}") {
		return "", fmt.Errorf("expand %q: only {arch} and {goarch} are known between braces", show(s))
	}
	return out, nil
}

// Expand gives the files that the wish stands for, each with expanded fields:
// one for each arch, with that arch in Arches, when one of its fields holds a
// placeholder or it names a single arch; else one that is for every arch, with
// no Arches. The arches are those of the request.
func (f FileWish) Expand(arches []string) ([]FileWish, error) {
	if len(f.Arches) > 0 {
		arches = f.Arches
	}
	perArch := len(f.Arches) == 1 || strings.Contains(f.Path+f.URL+f.Checksums, "{")
	if !perArch {
		if len(f.Arches) > 1 {
			return nil, fmt.Errorf("expand file %s: it names several arches but holds no {arch} or {goarch}", show(f.Path))
		}
		return []FileWish{f}, nil
	}
	out := make([]FileWish, 0, len(arches))
	for _, arch := range arches {
		one := f
		one.Arches = []string{arch}
		for _, field := range []*string{&one.Path, &one.URL, &one.Checksums} {
			var err error
			if *field, err = Expand(*field, arch); err != nil {
				return nil, err
			}
		}
		out = append(out, one)
	}
	return out, nil
}
