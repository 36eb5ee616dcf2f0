package depsolve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/fuzztest"
	"airbundle/internal/rpm/catalog"
)

// lettersPool is a pool of a package for each letter of names; what is not among them
// nobody provides.
func lettersPool(names string) *pool {
	b := catalog.NewBuilder()
	for _, n := range names {
		b.Add(catalog.Package{Name: b.Text([]byte(string(n))), EVR: b.Text([]byte("2-1")), Arch: b.Text([]byte("noarch"))})
	}
	return newPool([]Repo{{ID: "letters", Catalog: b.Catalog()}}, "x86_64")
}

func TestParseRich(t *testing.T) {
	pl := lettersPool("abcd")
	for _, c := range []struct{ text, want string }{
		{"(a)", "a"},
		{"(a or b)", "(a or b)"},
		{"( a  and b )", "(a and b)"},
		{"(a or b or c)", "(a or (b or c))"},
		{"(a if b)", "(a if b)"},
		{"(a if b else c)", "(a if (b else c))"},
		{"(a unless b else c)", "(a unless (b else c))"},
		{"((a or b) and (c or d))", "((a or b) and (c or d))"},
		{"(a >= 1.0-2 with a < 0:3)", "(a >= 1.0-2 with a < 3)"},
		{"(a without b)", "(a without b)"},
		{"(perl(Carp) or libc.so.6()(64bit))", "(perl(Carp) or libc.so.6()(64bit))"},
		{"(a and b or c)", ""}, // operators are not mixed
		{"(a else b)", ""},
		{"(a if b else c else d)", ""},
		{"(a or b) c", ""},
		{"(a or b", ""},
		{"(a or )", ""},
		{"(a xor b)", ""},
		{"()", ""},
		{"(a >= )", ""},
		{"a or b", ""},
		{strings.Repeat("(", 2000) + "a" + strings.Repeat(")", 2000), ""},
	} {
		got := ""
		if r := pl.parseRich(c.text); r != nil {
			got = treeText(pl, r)
		}
		if got != c.want {
			t.Errorf("%.60s: got %q, want %q", c.text, got, c.want)
		}
	}
}

func treeText(pl *pool, r *rich) string {
	if r.op == opLeaf {
		return pl.depText(r.dep)
	}
	for word, o := range richOps {
		if o == r.op {
			return "(" + treeText(pl, r.a) + " " + word + " " + treeText(pl, r.b) + ")"
		}
	}
	return "?"
}

// conditions are all shapes, of packages a to d and of one, x, that does not exist.
var conditions = []string{
	"(a or b)", "(a and b)", "(a if b)", "(a if b else c)", "(a unless b)", "(a unless b else c)",
	"(a with b)", "(a without b)", "((a and b) or c)", "((a or b) and (c or d))", "((a if b) and (c unless d))",
	"((a and b) if (c or d) else b)", "(a if x)", "(x if a)", "(x or a)", "(x and a)", "(a unless x)", "(x unless a)",
	"((a unless b) if (c unless d))", "((a and b and c) or (b and c and d) or (a and d))", "(a and (b or c) and d)",
	"((x or x) if a)", "(a if (x and b) else c)", "(a unless (b and c) else d)", "((a or b) without b)",
}

// Multiplied out either way, a condition says of every set of packages what it says itself.
func TestBlocksSayTheSame(t *testing.T) {
	for _, text := range conditions {
		pl := lettersPool("abcd")
		r := pl.parseRich(text)
		if r == nil {
			t.Fatalf("%s: not read", text)
		}
		s := &solver{pl: pl, decision: make([]int32, len(pl.pkgs))}
		cnf, cnfTruth := pl.blocks(r, false)
		dnf, dnfTruth := pl.blocks(r, true)
		for set := range 1 << 4 {
			for p := range 4 {
				s.decision[int(host)+1+p] = -1
				if set&(1<<p) != 0 {
					s.decision[int(host)+1+p] = 1
				}
			}
			want := s.holds(r)
			if got := s.holdsCNF(cnf, cnfTruth); got != want {
				t.Errorf("%s of set %04b: as a conjunction %v, want %v", text, set, got, want)
			}
			if got := s.holdsDNF(dnf, dnfTruth); got != want {
				t.Errorf("%s of set %04b: as a disjunction %v, want %v", text, set, got, want)
			}
		}
	}
}

func (s *solver) holdsCNF(blocks [][]int32, t truth) bool {
	for _, block := range blocks {
		any := false
		for _, l := range block {
			any = any || s.isTrue(l)
		}
		if !any {
			return false
		}
	}
	return t != never
}

func (s *solver) holdsDNF(blocks [][]int32, t truth) bool {
	for _, block := range blocks {
		all := true
		for _, l := range block {
			all = all && s.isTrue(l)
		}
		if all {
			return true
		}
	}
	return t == always
}

// A condition that grows beyond all measure when it is multiplied out cannot be fulfilled,
// and costs no time.
func TestBlocksAreBounded(t *testing.T) {
	pl := lettersPool("abcd")
	var groups []string
	for range 60 {
		groups = append(groups, "(a and b)", "(c and d)")
	}
	r := pl.parseRich("(" + strings.Join(groups, " or ") + ")")
	if r == nil {
		t.Fatal("not read")
	}
	blocks, _ := pl.blocks(r, false)
	if n := literals(blocks); n > maxLiterals {
		t.Errorf("%d literals", n)
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		provided, required string
		want               bool
	}{
		{"= 1.0-1", "= 1.0-1", true},
		{"= 1.0-1", "= 1.0", true}, // any release
		{"= 1.0", "= 1.0-1", true},
		{"= 1.0-1", "= 1.0-2", false},
		{"= 1.0-1", ">= 1.0", true},
		{"= 1.0-1", "> 1.0", false},
		{"= 1.0-1", "< 1.0", false},
		{"= 1:0.1-1", ">= 9", true},
		{"= 9-1", ">= 1:0.1", false},
		{"= 1.0~rc1-1", ">= 1.0", false},
		{"= 1.0^git1-1", "> 1.0", true},
		{"<= 2", ">= 2", true},
		{"< 2", ">= 2", false},
		{"< 2", "> 1", true},
		{"> 2", "< 1", false},
		{"> 2", "> 9", true}, // both have no end
		{">= 2", "= 3", true},
		{"< 2", "= 2", false},
	} {
		pl := lettersPool("a")
		pf, pe := splitRange(pl, c.provided)
		rf, re := splitRange(pl, c.required)
		if got := pl.fits(pf, pe, rf, re); got != c.want {
			t.Errorf("provided %s, required %s: got %v, want %v", c.provided, c.required, got, c.want)
		}
		if got := pl.fits(rf, re, pf, pe); got != c.want {
			t.Errorf("provided %s, required %s: got %v, want %v", c.required, c.provided, got, c.want)
		}
	}
}

func splitRange(pl *pool, s string) (catalog.Flags, text) {
	op, evr, _ := strings.Cut(s, " ")
	var flags catalog.Flags
	for _, c := range op {
		flags |= map[rune]catalog.Flags{'<': catalog.Less, '>': catalog.Greater, '=': catalog.Equal}[c]
	}
	return flags, pl.text(evr)
}

func TestNEVRAForms(t *testing.T) {
	for _, c := range []struct {
		form int
		spec string
		want wantedNEVRA
		ok   bool
	}{
		{0, "bash-5.1-2.el9.x86_64", wantedNEVRA{"bash", "5.1", "2.el9", "x86_64", -1}, true},
		{0, "java-11-openjdk-1:11.0.1-3.noarch", wantedNEVRA{"java-11-openjdk", "11.0.1", "3", "noarch", 1}, true},
		{0, "bash", wantedNEVRA{}, false},
		{0, "bash-5.1", wantedNEVRA{}, false},
		{1, "bash.x86_64", wantedNEVRA{name: "bash", arch: "x86_64", epoch: -1}, true},
		{1, ".x86_64", wantedNEVRA{}, false},
		{2, "perl(Carp)", wantedNEVRA{}, false},
		{2, "bash*", wantedNEVRA{name: "bash*", epoch: -1}, true},
		{3, "bash-5.1-2.el9", wantedNEVRA{"bash", "5.1", "2.el9", "", -1}, true},
		{4, "bash-0:5.1", wantedNEVRA{name: "bash", version: "5.1"}, true},
		{4, "-5.1", wantedNEVRA{}, false},
	} {
		got, ok := nevraForms[c.form](c.spec)
		if ok != c.ok {
			t.Errorf("%s as form %d: got %v, want %v", c.spec, c.form, ok, c.ok)
		} else if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(wantedNEVRA{})); ok && diff != "" {
			t.Errorf("%s as form %d (-want +got):\n%s", c.spec, c.form, diff)
		}
	}
}

func TestMatcher(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a*c", "abc", true},
		{"a*c", "abd", false},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"[ab]c", "bc", true},
		{"[!ab]c", "bc", false},
		{"[!ab]c", "dc", true},
		{"a.c", "abc", false},
		{"a[c", "a[c", true},
		{"*", "", true},
		{"/usr/*/x", "/usr/a/b/x", true},
		{"c++*", "c++-x", true},
	} {
		if got := newMatcher(c.pattern).match(c.text); got != c.want {
			t.Errorf("%q of %q: got %v, want %v", c.pattern, c.text, got, c.want)
		}
	}
}

// FuzzRich looks for conditions that panic, grow without bound, or say something else when
// they are multiplied out.
func FuzzRich(f *testing.F) {
	for _, c := range conditions {
		f.Add(c)
	}
	f.Add("(a >= 1.0-2 with a < 3)")
	f.Add("(perl(Carp) or libc.so.6()(64bit))")
	f.Add("((((a")
	fuzztest.Run(f, func(t *testing.T, text string) {
		pl := lettersPool("abcd")
		d := pl.dep(pl.text(text), 0, 0)
		_ = pl.provides(d)
		_ = pl.depText(d)
		r := pl.parseRich(text)
		if r == nil {
			return
		}
		s := &solver{pl: pl, decision: []int32{0, 1, 1, -1, 1, -1}}
		cnf, cnfTruth := pl.blocks(r, false)
		dnf, dnfTruth := pl.blocks(r, true)
		want := s.holds(r)
		if literals(cnf)+literals(dnf) > maxLiterals/8 || strings.Contains(text, "rpmlib(") {
			return // bounded, or not a matter of the packages
		}
		if got := s.holdsCNF(cnf, cnfTruth); got != want {
			t.Errorf("%q: as a conjunction %v, want %v", text, got, want)
		}
		if got := s.holdsDNF(dnf, dnfTruth); got != want {
			t.Errorf("%q: as a disjunction %v, want %v", text, got, want)
		}
	})
}

// What of a request means nothing is said, since a typo would else go unseen.
func TestNotes(t *testing.T) {
	comps := &catalog.Comps{Groups: []catalog.Group{{ID: "g", Packages: []catalog.GroupPackage{{Name: "b"}, {Name: "zz"}}}}}
	s, err := Solve(t.Context(), Request{
		Arch: "x86_64", Install: []string{"@g"}, Exclude: []string{"nosuch", "c"}, Present: []string{"elsewhere"},
		Repos: []Repo{{ID: "letters", Catalog: lettersPool("abc").repos[0].Catalog, Comps: comps}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"exclude nosuch: no repository has such a package",
		"present elsewhere: no repository has it; taken to be on the hosts, in any version",
		"@g: no repository has its package zz",
	}
	if diff := cmp.Diff(want, s.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}
