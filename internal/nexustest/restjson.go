package nexustest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// jackson prints a value as Nexus does: indented objects with a space on both
// sides of the colon, arrays that continue on their line.
func jackson(v any) ([]byte, error) {
	var compact bytes.Buffer
	enc := json.NewEncoder(&compact)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	p := jacksonPrinter{in: bytes.TrimSpace(compact.Bytes()), out: &out}
	p.value(0)
	return out.Bytes(), nil
}

// jacksonPrinter reformats compact, valid JSON.
type jacksonPrinter struct {
	in  []byte
	out *bytes.Buffer
}

func (p *jacksonPrinter) value(depth int) {
	switch p.in[0] {
	case '{':
		p.list('}', func(first bool) {
			if !first {
				p.out.WriteByte(',')
			}
			p.newline(depth + 1)
			p.scalar()
			p.out.WriteString(" : ")
			p.in = p.in[1:] // the colon
			p.value(depth + 1)
		}, func() { p.newline(depth) })
	case '[':
		p.list(']', func(first bool) {
			if !first {
				p.out.WriteByte(',')
			}
			p.out.WriteByte(' ')
			p.value(depth)
		}, func() { p.out.WriteByte(' ') })
	default:
		p.scalar()
	}
}

// list prints the members between brackets; an empty list is "{ }" or "[ ]".
func (p *jacksonPrinter) list(end byte, member func(first bool), last func()) {
	p.out.WriteByte(p.in[0])
	p.in = p.in[1:]
	if p.in[0] == end {
		p.out.WriteByte(' ')
	} else {
		for first := true; ; first = false {
			member(first)
			if p.in[0] == end {
				break
			}
			p.in = p.in[1:] // the comma
		}
		last()
	}
	p.out.WriteByte(end)
	p.in = p.in[1:]
}

// scalar copies a string, a number or a word.
func (p *jacksonPrinter) scalar() {
	n := 0
	if p.in[0] == '"' {
		for n = 1; p.in[n] != '"'; n++ {
			if p.in[n] == '\\' {
				n++
			}
		}
		n++
	} else {
		for n < len(p.in) && !strings.ContainsRune(",]}", rune(p.in[n])) {
			n++
		}
	}
	p.out.Write(p.in[:n])
	p.in = p.in[n:]
}

func (p *jacksonPrinter) newline(depth int) {
	p.out.WriteByte('\n')
	p.out.WriteString(strings.Repeat("  ", depth))
}

// json answers with a value.
func (x *exchange) json(code int, v any) {
	body, err := jackson(v)
	if err != nil {
		x.serverError(err)
		return
	}
	x.write(code, "application/json", body)
}

// violation is one complaint about a request body.
type violation struct {
	ID      string `json:"id"`
	Message string `json:"message"`
}

// invalid answers 400 with a complaint.
func (x *exchange) invalid(id, message string) {
	x.violations(http.StatusBadRequest, []violation{{id, message}})
}

// violations answers with complaints.
func (x *exchange) violations(code int, all []violation) {
	body, err := jackson(all)
	if err != nil {
		x.serverError(err)
		return
	}
	contentType := "application/json"
	if strings.Contains(x.r.Header.Get("Accept"), siestaErrors) {
		contentType = siestaErrors
	}
	x.write(code, contentType, body)
}

const siestaErrors = "application/vnd.siesta-validation-errors-v1+json"

// serverError answers 500 as REST does.
func (x *exchange) serverError(err error) {
	id := newUUID()
	x.w.Header()["X-Siesta-FaultId"] = []string{id}
	x.textError(http.StatusInternalServerError, "ERROR: (ID "+id+") "+err.Error())
}

// readOnlyError answers REST writes while the server is frozen.
func (x *exchange) readOnlyError() {
	x.textError(http.StatusServiceUnavailable, "Nexus Repository Manager is in read-only mode: (ID "+newUUID()+")")
}

// notFound answers for unknown entities: empty in the Orient generation.
func (x *exchange) notFound() {
	if !x.s.prof.datastore {
		x.status(http.StatusNotFound)
		return
	}
	x.json(http.StatusNotFound, struct {
		Code    int    `json:"status-code"`
		FaultID string `json:"siesta-faultid"`
		Message string `json:"status-message"`
	}{http.StatusNotFound, newUUID(), "NOT_FOUND"})
}
