package receipt

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MaxSize is how many bytes a receipt has at most.
const MaxSize = 128 << 20

// malformedCode is the exit code of a file that cannot be read, as in package report.
const malformedCode = 2

// A MalformedError says that a file is no receipt, or none that this version knows.
type MalformedError struct{ Err error }

func (e *MalformedError) Error() string { return "receipt: " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *MalformedError) Unwrap() error { return e.Err }

// ExitCode says that an input file cannot be read.
func (e *MalformedError) ExitCode() int { return malformedCode }

// Encode sorts a receipt and returns its only form: JSON, indented by one space, that ends
// with a line feed.
func (r *Receipt) Encode() ([]byte, error) {
	r.Schema = Schema
	r.sort()
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	raw, err := r.marshal()
	if err == nil && len(raw) > MaxSize {
		err = fmt.Errorf("receipt: it would have %d bytes, %d are allowed: audit fewer repositories at once", len(raw), MaxSize)
	}
	return raw, err
}

func (r *Receipt) marshal() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(r)
	return out.Bytes(), err
}

// Decode reads what Encode wrote and takes no other form: unknown and doubled members,
// other orders and other white space are a *MalformedError.
func Decode(raw []byte) (*Receipt, error) {
	if len(raw) > MaxSize {
		return nil, &MalformedError{fmt.Errorf("%d bytes, %d are allowed", len(raw), MaxSize)}
	}
	r := &Receipt{}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return nil, &MalformedError{err}
	}
	if err := r.check(); err != nil {
		return nil, &MalformedError{err}
	}
	again, err := r.marshal()
	if err != nil {
		return nil, &MalformedError{err}
	}
	if !bytes.Equal(again, raw) {
		return nil, &MalformedError{fmt.Errorf("not in the form that seeder audit writes, from byte %d on; was it edited?", common(again, raw))}
	}
	return r, nil
}

// Is says whether a file begins as a receipt does.
func Is(head []byte) bool {
	return bytes.HasPrefix(head, []byte("{\n \"schema\": \"airbundle/receipt/"))
}

// common returns the length of the common beginning.
func common(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
