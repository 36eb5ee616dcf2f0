package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// decidingFields are those of manifests and indexes that decide what they are.
var decidingFields = []string{"schemaVersion", "mediaType", "manifests", "config", "layers", "fsLayers"}

// Unambiguous refuses JSON that two decoders could read differently: a field
// twice, a deciding field in other case, text behind the object. Only the
// outermost object decides what a document is.
func Unambiguous(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	} else if t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
		key := t.(string) // what else the decoder meets here is a syntax error
		if seen[key] {
			return fmt.Errorf("field %q is there twice", key)
		}
		seen[key] = true
		if i := slices.IndexFunc(decidingFields, func(f string) bool { return strings.EqualFold(f, key) }); i >= 0 && decidingFields[i] != key {
			return fmt.Errorf("field %q differs from %q only by case", key, decidingFields[i])
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text follows the JSON object")
	}
	return nil
}
