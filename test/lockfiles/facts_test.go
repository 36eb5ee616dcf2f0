package lockfiles

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"

	"airbundle/internal/lockfile"
	"airbundle/manifest"
)

// A fact is a digest that somebody published, or that was computed from the bytes.
type fact struct {
	Kind        string        `yaml:"kind"`
	Name        string        `yaml:"name"`
	Version     string        `yaml:"version"`
	Arch        string        `yaml:"arch"` // index, amd64, x86_64, noarch …
	Digest      digest.Digest `yaml:"digest"`
	SHA256      string        `yaml:"sha256"`
	Fingerprint string        `yaml:"fingerprint"`
	Size        int64         `yaml:"size"`
	URL         string        `yaml:"url"`
	Source      string        `yaml:"source"`
	Confidence  string        `yaml:"confidence"`
	Note        string        `yaml:"note"`
}

// id is what a fact states: a digest or the fingerprint of a key.
func (f fact) id() string {
	switch {
	case f.Digest != "":
		return string(f.Digest)
	case f.SHA256 != "":
		return "sha256:" + f.SHA256
	default:
		return strings.ToLower(f.Fingerprint)
	}
}

// origin is the first word of the source that tells it from others.
func (f fact) origin() string {
	if m := regexp.MustCompile(`^store ids? ([0-9]+)`).FindStringSubmatch(f.Source); m != nil {
		return m[1]
	}
	word, _, _ := strings.Cut(f.Source, " ")
	return strings.TrimRight(word, ",;")
}

// placed says whether a URL is that of an RPM's fact, with a release and repository where
// the RPM was seen.
func (f fact) placed(url string) bool {
	before, after, _ := strings.Cut(f.URL, "<release>/{os,updates,extras}")
	place, ok := strings.CutPrefix(url, before)
	place, ok2 := strings.CutSuffix(place, after)
	return ok && ok2 && strings.Contains(f.Note, "placement seen: ") && strings.Contains(f.Note, place+" (")
}

// facts reads the file that AIRBUNDLE_FACTS names, by kind and what they state.
func facts(t *testing.T) map[string][]fact {
	t.Helper()
	file := os.Getenv("AIRBUNDLE_FACTS")
	if file == "" {
		t.Skip("AIRBUNDLE_FACTS names no file of facts")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Facts []fact `yaml:"facts"`
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	out := map[string][]fact{}
	for _, f := range doc.Facts {
		out[f.Kind+" "+f.id()] = append(out[f.Kind+" "+f.id()], f)
	}
	return out
}

// A claim is what an entry says of an artifact; a fact must say the same.
type claim struct {
	kind, id, what string // what: name and version, or URL; and arch
	url            string // of an RPM
	size           int64
	note           string
}

func (f fact) supports(c claim) error {
	what := f.Name + " " + f.Version + " " + f.Arch
	switch f.Kind {
	case "image":
		what = f.Name + ":" + f.Version + " " + f.Arch
	case "file":
		what = f.URL + " " + f.Arch
	case "gpg-key":
		what = ""
	}
	switch {
	case what != c.what:
		return fmt.Errorf("the fact is about %q", what)
	case c.url != "" && !f.placed(c.url):
		return fmt.Errorf("the fact does not place it at %s", c.url)
	case c.size != 0 && c.size != f.Size:
		return fmt.Errorf("the fact says size %d, not %d", f.Size, c.size)
	case !strings.Contains(c.note, f.origin()):
		return fmt.Errorf("the note does not name the source %s", f.origin())
	case f.Confidence != "published" && f.Confidence != "verified":
		return fmt.Errorf("the fact is %s", f.Confidence)
	case f.Confidence != "verified" && !strings.Contains(c.note, f.Confidence):
		return fmt.Errorf("the note does not say that it is %s", f.Confidence)
	default:
		return nil
	}
}

func check(t *testing.T, where string, known map[string][]fact, c claim) {
	t.Helper()
	var errs []string
	for _, f := range known[c.kind+" "+c.id] {
		err := f.supports(c)
		if err == nil {
			return
		}
		errs = append(errs, err.Error())
	}
	if len(errs) == 0 {
		errs = []string{"no fact states it"}
	}
	t.Errorf("%s: %s %s %s: %s", where, c.kind, c.what, c.id, strings.Join(errs, "; "))
}

// goArch is an arch in the words of the facts about files.
func goArch(arch string) string {
	if arch == "" {
		return "noarch"
	}
	return manifest.GoArch(arch)
}

func lockClaims(l *lockfile.Lock) []claim {
	var out []claim
	for _, i := range l.Images {
		for arch, d := range platforms(i) {
			out = append(out, claim{kind: "image", id: string(d), what: i.Source + " " + arch, note: i.Note})
		}
	}
	for _, f := range l.Files {
		for _, u := range f.URLs {
			out = append(out, claim{kind: "file", id: string(f.Digest), what: u + " " + goArch(f.Arch), size: f.Size, note: f.Note})
		}
	}
	for _, r := range l.RPMs {
		for _, u := range r.URLs {
			out = append(out, claim{kind: "rpm", id: string(r.Digest), what: r.Name + " " + r.EVR + " " + r.Arch, url: u, size: r.Size, note: r.Note})
		}
	}
	for _, k := range l.Keys {
		out = append(out, claim{kind: "gpg-key", id: k.ID, note: k.Note})
	}
	return out
}

var anyDigest = regexp.MustCompile(`sha256:[0-9a-f]+`)

// requestClaims are the digests of indexes that a request holds, in sources or notes.
func requestClaims(r *lockfile.Request) []claim {
	var out []claim
	for _, w := range r.Images {
		source, _, _ := strings.Cut(w.Source, "@")
		for _, d := range anyDigest.FindAllString(w.Source+" "+w.Note, -1) {
			out = append(out, claim{kind: "image", id: d, what: source + " index", note: w.Note})
		}
	}
	return out
}

// sumClaims are the lines of the lists of checksums, each with the comment before it.
func sumClaims(t *testing.T) []claim {
	t.Helper()
	urls := map[string]string{} // by list and digest
	byName := sums(t)
	for _, p := range pairs(t) {
		for _, f := range expanded(t, p.request) {
			for key := range byName {
				if "file:"+key.list == f.Checksums && strings.HasSuffix(f.URL, "/"+key.name) {
					urls[key.list+" "+key.name] = f.URL
				}
			}
		}
	}
	var out []claim
	seen := map[string]bool{}
	for key := range byName {
		if seen[key.list] {
			continue
		}
		seen[key.list] = true
		arch := "noarch"
		for _, a := range manifest.Arches() {
			if strings.HasSuffix(key.list, "-"+manifest.GoArch(a)+".sha256") {
				arch = manifest.GoArch(a)
			}
		}
		comment := ""
		for s := bufio.NewScanner(bytes.NewReader(read(t, key.list))); s.Scan(); {
			line := s.Text()
			if strings.HasPrefix(line, "#") {
				comment = line
				continue
			}
			hex, name, _ := strings.Cut(line, "  ")
			out = append(out, claim{kind: "file", id: "sha256:" + hex, what: urls[key.list+" "+name] + " " + arch, note: comment})
			comment = ""
		}
	}
	return out
}

// TestFacts: every digest of the locks, requests and lists of checksums is one that the
// facts state of the same artifact, and the entry names where it comes from.
func TestFacts(t *testing.T) {
	known := facts(t)
	inLock, inRequest := map[string]bool{}, map[string]bool{}
	note := func(where string, claims []claim, into map[string]bool) {
		for _, c := range claims {
			check(t, where, known, c)
			into[c.kind+" "+c.id] = true
		}
	}
	for _, p := range pairs(t) {
		note(p.name+".lock.yaml", lockClaims(p.lock), inLock)
		note(p.name+".yaml", requestClaims(p.request), inRequest)
	}
	note("sums", sumClaims(t), inRequest)

	readme := string(read(t, "README.md"))
	counts := map[string]*[4]int{}
	sum := new([4]int)
	for key, all := range known {
		kind, _, _ := strings.Cut(key, " ")
		if counts[kind] == nil {
			counts[kind] = new([4]int)
		}
		column := 3
		if inLock[key] {
			column = 1
		} else if inRequest[key] {
			column = 2
		}
		for _, row := range []*[4]int{counts[kind], sum} {
			row[0] += len(all)
			row[column] += len(all)
		}
	}
	counts["all"] = sum
	for kind, n := range counts {
		if row := fmt.Sprintf("| %s | %d | %d | %d | %d |", kind, n[0], n[1], n[2], n[3]); !strings.Contains(readme, row+"\n") {
			t.Errorf("README.md lacks the row\n%s", row)
		}
	}
}
