package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// A Held is what a server says of one thing that it holds. What it does not say is zero.
type Held struct {
	Path     string        // below the repository; of a tag image:tag, of a blob its digest
	Size     int64         // -1: not told
	SHA256   digest.Digest // of a tag that of its manifest
	SHA1     string        // in hex
	Modified time.Time     // to the second
	Page     int           // of the list, from 1
}

// Lists are ways to learn what a target holds beside the bundle. A function that is nil is
// one that the target does not have. An error is the last that is yielded, and a thing may
// be yielded twice.
type Lists struct {
	Files, Tags, Blobs func(ctx context.Context, repo string) iter.Seq2[Held, error]
	// Head asks for one file, which the server opens. Absence is errdef.ErrNotFound.
	Head func(ctx context.Context, repo, path string) (Held, error)
}

// Bounds of what is listed.
const (
	maxListing = 1000    // pages, unless there are more items to ask for, or all must be known
	maxForeign = 100_000 // records of a repository; more are counted
	maxHeads   = 4096    // requests for single files; above, the list's word counts
)

// contents is what a list says of one repository.
type contents struct {
	format   string              // docker, yum, raw, helm
	want     map[string]bool     // what the whole bundle has there
	items    int                 // how many are audited
	repodata map[string][]string // raw: directory of a set to the files in its repodata
	held     map[string]Held     // what is wanted, and listed
	all      []Held              // for a receipt
	foreign  []Held
	more     int // foreign ones beyond

	files, pages int
	complete     bool
	blobs        bool // for a receipt of a docker repository: its blobs are all known
	err          error
	asked        atomic.Int64 // files that were asked for one by one
	gap          atomic.Value // string: something that is there and was not listed
}

func formatOf(it target.Item) string {
	switch {
	case it.Kind == manifest.KindImage:
		return "docker"
	case it.Kind == manifest.KindChart:
		return "helm"
	case it.Kind == manifest.KindRPM && !it.Raw:
		return "yum"
	}
	return "raw"
}

// expect notes for each repository of the items what the bundle has there.
func (r *run) expect(items []target.Item) {
	r.contents = map[string]*contents{}
	for _, it := range items {
		c := r.contents[it.Place.Repository]
		if c == nil {
			c = &contents{format: formatOf(it), want: map[string]bool{}, repodata: map[string][]string{}, held: map[string]Held{}}
			r.contents[it.Place.Repository] = c
		}
		c.items++
	}
	whole := r.o.Whole
	if whole == nil {
		whole = items
	}
	for _, it := range whole {
		c := r.contents[it.Place.Repository]
		if c == nil {
			continue
		}
		for _, ref := range it.Refs {
			c.want[ref.String()] = true
		}
		if it.Kind != manifest.KindImage {
			c.want[it.Place.Path] = true
		}
		if it.Raw {
			c.repodata[path.Dir(it.Place.Path)] = nil
		}
	}
}

// list reads what each repository holds.
func (r *run) list(ctx context.Context) {
	names := slices.Sorted(maps.Keys(r.contents))
	r.each(len(names), func(i int) {
		c := r.contents[names[i]]
		of := r.to.Lists.Files
		if c.format == "docker" {
			of = r.to.Lists.Tags
		}
		if of == nil || r.to.Assets == nil && c.format != "docker" {
			c.err = errors.New("it has no list of what it holds")
			return
		}
		r.fill(ctx, c, of(ctx, names[i]))
		c.blobs = r.o.Receipt == nil || c.format != "docker" || r.to.Lists.Blobs != nil && r.blobsOf(ctx, names[i])
	})
}

// fill takes a list. Where nobody needs all of it, it ends when it costs more than asking.
func (r *run) fill(ctx context.Context, c *contents, all iter.Seq2[Held, error]) {
	seen := map[string]bool{} // of what is foreign
	if err := context.Cause(ctx); err != nil {
		c.err = err
		return
	}
	for h, err := range all {
		if err != nil {
			if c.err = err; isUnauthorized(err) && r.to.Assets != nil {
				r.stop(&refusedLogin{err})
			}
			return
		}
		if h.Page > max(maxListing, c.items) && !r.o.Exact && r.o.Receipt == nil {
			return
		}
		c.files, c.pages = c.files+1, max(c.pages, h.Page)
		if r.o.Receipt != nil && len(c.all) < maxLedger {
			c.all = append(c.all, h)
		}
		switch dir, inRepodata := c.repodataOf(h.Path); {
		case c.want[h.Path]:
			c.held[h.Path] = h
		case inRepodata:
			c.repodata[dir] = append(c.repodata[dir], h.Path)
		case r.generated(c, h.Path) || seen[h.Path]:
		case len(c.foreign) == maxForeign:
			c.more++
		default:
			seen[h.Path] = true
			c.foreign = append(c.foreign, h)
		}
	}
	c.complete = true
}

// repodataOf returns the directory of a set of ours whose repodata a file belongs to.
func (c *contents) repodataOf(at string) (dir string, ok bool) {
	before, _, found := strings.Cut("/"+at, "/repodata/")
	dir = cmp.Or(strings.TrimPrefix(before, "/"), ".")
	_, ok = c.repodata[dir]
	return dir, found && ok
}

// generated says whether the server makes a file by itself.
func (r *run) generated(c *contents, at string) bool {
	switch c.format {
	case "yum":
		return strings.Contains("/"+at, "/repodata/") && !strings.HasSuffix(at, ".rpm")
	case "helm":
		return at == "index.yaml" || strings.HasSuffix(at, ".tgz.prov")
	}
	return false
}

var kindOf = map[string]manifest.Kind{"docker": manifest.KindImage, "yum": manifest.KindRPM, "raw": manifest.KindFile, "helm": manifest.KindChart}

// extras records what the repositories hold beside the bundle, and what could not be listed.
func (r *run) extras(ctx context.Context) {
	for _, name := range slices.Sorted(maps.Keys(r.contents)) {
		c := r.contents[name]
		r.cost(name, c)
		for _, h := range c.foreign {
			rec := report.Record{Kind: string(kindOf[c.format]), Name: h.Path, Place: path.Join(name, h.Path), Digest: h.SHA256, State: report.Foreign, Reason: "the bundle does not hold it"}
			if r.o.Exact {
				rec.Class = report.ClassContent
			}
			r.rep.Add(rec)
		}
		if c.more > 0 {
			rec := report.Record{Kind: "repository", Name: name, State: report.Foreign, Reason: fmt.Sprintf("it holds %d more that the bundle does not", c.more)}
			if r.o.Exact {
				rec.Class = report.ClassContent
			}
			r.rep.Add(rec)
		}
		for _, dir := range slices.Sorted(maps.Keys(c.repodata)) {
			r.superseded(ctx, name, dir, c.repodata[dir])
		}
	}
}

// cost notes how a repository was asked, and what is not known of it.
func (r *run) cost(name string, c *contents) {
	shown := cmp.Or(name, r.to.Name)
	gap, _ := c.gap.Load().(string)
	why, next := "", ""
	switch {
	case c.err != nil:
		why, next = report.Explain(c.err)
		why = "what it holds beside the bundle is not known: " + why
	case !c.complete:
		why = fmt.Sprintf("what it holds beside the bundle is known in part: after %d pages of its list the rest was not asked for; --exact and --receipt read all", c.pages)
	case gap != "":
		why = fmt.Sprintf("what it holds beside the bundle is not known: its list lacks %s, which is there", gap)
		next = "may this login see all of it?"
	}
	asked := ""
	if c.format != "docker" {
		asked = fmt.Sprintf(", %d of %d asked for one by one", c.asked.Load(), c.items)
	}
	if c.files > 0 || c.complete {
		r.note("%s: %d listed in %d pages%s", shown, c.files, c.pages, asked)
	}
	switch {
	case why == "":
	case r.o.Exact:
		class := report.ClassRefused
		if c.err != nil {
			class = cmp.Or(report.Classify(c.err), class)
		}
		r.rep.Add(report.Record{Kind: "repository", Name: shown, State: report.Unknown, Reason: why, Next: next, Class: class})
	case next != "":
		r.note("%s: %s; %s", shown, why, next)
	default:
		r.note("%s: %s", shown, why)
	}
}

// note says something once for the whole report.
func (r *run) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rep.Notes = append(r.rep.Notes, fmt.Sprintf(format, args...))
}

// superseded records the files of a repodata that its repomd.xml does not name any more: a
// push leaves them for clients that have read the one before.
func (r *run) superseded(ctx context.Context, repo, dir string, files []string) {
	if len(files) == 0 || context.Cause(ctx) != nil {
		return
	}
	named, err := r.current(ctx, repo, dir)
	if errors.Is(err, errdef.ErrNotFound) {
		return // the packages say that there is no repodata
	}
	if err != nil {
		r.note("%s: which files of its repodata are superseded is not known: %v", path.Join(repo, dir), err)
		return
	}
	slices.Sort(files)
	for _, at := range slices.Compact(files) {
		if name := path.Base(at); !named[at] && !strings.HasPrefix(name, "repomd.xml") {
			r.rep.Add(report.Record{Kind: string(manifest.KindMetadata), Name: at, Place: path.Join(repo, at), State: report.Superseded, Reason: "repomd.xml does not name it any more"})
		}
	}
}

// current returns the paths that the served repomd.xml of a directory names.
func (r *run) current(ctx context.Context, repo, dir string) (map[string]bool, error) {
	rc, _, err := r.to.Assets.Open(ctx, repo, path.Join(dir, rpm.RepomdPath))
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	counted := &countingReader{rc, &r.read}
	repomd, err := repodata.ParseRepomd(counted)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, d := range repomd.Data {
		named[path.Join(dir, d.Location)] = true
	}
	return named, nil
}

// A countingReader adds what is read to a sum.
type countingReader struct {
	io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}
