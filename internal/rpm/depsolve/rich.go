package depsolve

import (
	"slices"
	"strings"

	"airbundle/internal/rpm/catalog"
)

// A rich dependency is a tree of conditions (rpm, docs/manual/boolean_dependencies.md).
type rich struct {
	op   op
	a, b *rich // operands; b of opIf and opUnless may be an opElse
	dep  dep   // of opLeaf: a plain dependency
}

type op uint8

const (
	opLeaf op = iota
	opAnd
	opOr
	opIf
	opUnless
	opElse
	opWith
	opWithout
)

var richOps = map[string]op{
	"and": opAnd, "or": opOr, "if": opIf, "unless": opUnless, "else": opElse, "with": opWith, "without": opWithout,
}

// maxRichDepth bounds how deep conditions stand in one another, and how many are chained.
const maxRichDepth = 512

// parseRich reads a rich dependency, and returns nil for what is none.
func (pl *pool) parseRich(s string) *rich {
	p := &richParser{pl: pl, rest: s}
	r := p.group(opLeaf, 0)
	if p.bad || strings.TrimSpace(p.rest) != "" {
		return nil
	}
	return r
}

type richParser struct {
	pl   *pool
	rest string
	bad  bool
}

func (p *richParser) fail() *rich {
	p.bad = true
	return nil
}

func (p *richParser) spaces() { p.rest = strings.TrimLeft(p.rest, " ") }

// group reads from an opening parenthesis, or inside a chain of one operator from the
// next operand on, to the closing one.
func (p *richParser) group(chain op, depth int) *rich {
	if depth > maxRichDepth {
		return p.fail()
	}
	if chain == opLeaf && !p.take("(") {
		return p.fail()
	}
	p.spaces()
	a := p.operand(depth)
	if a == nil {
		return p.fail()
	}
	p.spaces()
	if p.take(")") {
		return a
	}
	word, rest, found := strings.Cut(p.rest, " ")
	o, known := richOps[word]
	if o == opElse {
		known = chain == opIf || chain == opUnless
		chain = opLeaf
	}
	if !found || !known || chain != opLeaf && chain != o { // operators are not mixed in one group
		return p.fail()
	}
	p.rest = rest
	b := p.group(o, depth+1)
	if b == nil {
		return p.fail()
	}
	return &rich{op: o, a: a, b: b}
}

func (p *richParser) take(s string) bool {
	rest, ok := strings.CutPrefix(p.rest, s)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *richParser) operand(depth int) *rich {
	if strings.HasPrefix(p.rest, "(") {
		return p.group(opLeaf, depth+1)
	}
	name := p.word()
	if name == "" {
		return nil
	}
	p.spaces()
	at := 0
	var flags catalog.Flags
	for ; at < len(p.rest) && strings.IndexByte("<>=", p.rest[at]) >= 0; at++ {
		flags |= map[byte]catalog.Flags{'<': catalog.Less, '>': catalog.Greater, '=': catalog.Equal}[p.rest[at]]
	}
	evr := ""
	if flags != 0 {
		p.rest = p.rest[at:]
		p.spaces()
		if evr = p.word(); evr == "" {
			return nil
		}
		evr = strings.TrimPrefix(evr, "0:")
	}
	return &rich{dep: p.pl.dep(p.pl.text(name), flags, p.pl.text(evr))}
}

// word reads up to a space or the parenthesis that closes the group; those that belong to
// the word itself, as in perl(Carp), are balanced.
func (p *richParser) word() string {
	open := 0
	for i := range len(p.rest) {
		switch c := p.rest[i]; {
		case c == ' ', c == ')' && open == 0:
			return p.cut(i)
		case c == '(':
			open++
		case c == ')':
			open--
		}
	}
	return p.cut(len(p.rest))
}

func (p *richParser) cut(n int) string {
	w := p.rest[:n]
	p.rest = p.rest[n:]
	return w
}

// complex tells conditions that a list of providers does not express.
func (r *rich) complex() bool {
	switch r.op {
	case opAnd, opIf, opUnless:
		return true
	case opOr:
		return r.a.complex() || r.b.complex()
	}
	return false
}

// richProviders returns the packages that may fulfil a condition: all of them, where it is
// not complex.
func (pl *pool) richProviders(r *rich) []solvable {
	switch r.op {
	case opLeaf:
		return pl.provides(r.dep)
	case opWith, opWithout:
		b := pl.richProviders(r.b)
		var out []solvable
		for _, p := range pl.richProviders(r.a) {
			if _, found := slices.BinarySearch(b, p); found == (r.op == opWith) {
				out = append(out, p)
			}
		}
		return out
	case opIf, opUnless:
		if r.b.op == opElse {
			return merged(pl.richProviders(r.a), pl.richProviders(r.b.b))
		}
		return pl.richProviders(r.a)
	}
	return merged(pl.richProviders(r.a), pl.richProviders(r.b))
}

func merged(a, b []solvable) []solvable {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// names says whether the condition names a package.
func (r *rich) names(pl *pool, p solvable) bool {
	switch r.op {
	case opLeaf:
		return pl.isNamed(p, r.dep)
	case opOr:
		return r.a.names(pl, p) || r.b.names(pl, p)
	case opAnd, opWith:
		return r.a.names(pl, p) && r.b.names(pl, p)
	case opWithout:
		return r.a.names(pl, p) && !r.b.names(pl, p)
	}
	return false
}

// A truth is what can be said of a condition without looking at packages.
type truth int8

const (
	depends truth = iota // on the blocks
	never
	always
)

// maxLiterals bounds what a condition may grow to when it is multiplied out: real ones have
// some hundred. One that grows beyond cannot be fulfilled.
const maxLiterals = 1 << 18

// blocks multiplies a condition out: to a conjunction of disjunctions, or with dnf the
// other way around (libsolv, cplxdeps.c). Each block is ascending, so it begins with
// what is not to be installed.
func (pl *pool) blocks(r *rich, dnf bool) ([][]int32, truth) {
	if !r.complex() {
		list := pl.richProviders(r)
		switch {
		case len(list) == 0:
			return nil, never
		case list[0] == host:
			return nil, always
		case !dnf:
			return [][]int32{slices.Clone(list)}, depends
		}
		out := make([][]int32, len(list))
		for i, p := range list {
			out[i] = []int32{p}
		}
		return out, depends
	}
	switch r.op {
	case opIf: // (a or not b), and with else: and (c or b)
		if r.b.op == opElse {
			a, at := pl.either(r.a, r.b.a, dnf, true)
			b, bt := pl.either(r.b.a, r.b.b, dnf, false)
			return conjoin(a, at, b, bt, dnf)
		}
		return pl.either(r.a, r.b, dnf, true)
	case opUnless: // (a and not b), and with else: or (c and b)
		if r.b.op == opElse {
			a, at := pl.both(r.a, r.b.a, dnf, true)
			b, bt := pl.both(r.b.a, r.b.b, dnf, false)
			return disjoin(a, at, b, bt, dnf)
		}
		return pl.both(r.a, r.b, dnf, true)
	case opAnd:
		return pl.both(r.a, r.b, dnf, false)
	}
	return pl.either(r.a, r.b, dnf, false)
}

func (pl *pool) either(a, b *rich, dnf, invert bool) ([][]int32, truth) {
	x, xt := pl.blocks(a, dnf)
	y, yt := pl.operandBlocks(b, dnf, invert)
	return disjoin(x, xt, y, yt, dnf)
}

func (pl *pool) both(a, b *rich, dnf, invert bool) ([][]int32, truth) {
	x, xt := pl.blocks(a, dnf)
	y, yt := pl.operandBlocks(b, dnf, invert)
	return conjoin(x, xt, y, yt, dnf)
}

func (pl *pool) operandBlocks(r *rich, dnf, invert bool) ([][]int32, truth) {
	if !invert {
		return pl.blocks(r, dnf)
	}
	return inverted(pl.blocks(r, !dnf))
}

// inverted negates: what was one form becomes the other.
func inverted(blocks [][]int32, t truth) ([][]int32, truth) {
	switch t {
	case never:
		return nil, always
	case always:
		return nil, never
	}
	for _, b := range blocks {
		for i := range b {
			b[i] = -b[i]
		}
		slices.Reverse(b)
	}
	return blocks, depends
}

func disjoin(a [][]int32, at truth, b [][]int32, bt truth, dnf bool) ([][]int32, truth) {
	switch {
	case at == always || bt == always:
		return nil, always
	case at == never:
		return b, bt
	case bt == never:
		return a, at
	case dnf:
		return append(a, b...), depends
	}
	return distribute(a, b, always)
}

func conjoin(a [][]int32, at truth, b [][]int32, bt truth, dnf bool) ([][]int32, truth) {
	switch {
	case at == never || bt == never:
		return nil, never
	case at == always:
		return b, bt
	case bt == always:
		return a, at
	case !dnf:
		return append(a, b...), depends
	}
	return distribute(a, b, never)
}

// distribute makes each block of a one with each block of b. Blocks that hold a literal and
// its negative say nothing; when no other is left, the whole is void.
func distribute(a, b [][]int32, void truth) ([][]int32, truth) {
	if literals(a)*len(b)+literals(b)*len(a) > maxLiterals {
		return nil, never
	}
	var out [][]int32
	for _, x := range a {
		for _, y := range b {
			block := merged(x, y)
			says := true
			for _, l := range block {
				if l > 0 {
					break
				}
				if _, found := slices.BinarySearch(block, -l); found {
					says = false
					break
				}
			}
			if says {
				out = append(out, block)
			}
		}
	}
	if len(out) == 0 {
		return nil, void
	}
	return out, depends
}

func literals(blocks [][]int32) int {
	n := 0
	for _, b := range blocks {
		n += len(b)
	}
	return n
}
