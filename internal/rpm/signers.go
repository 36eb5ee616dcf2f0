package rpm

import "io"

// SignatureKeyIDs reads lead and signature header of a package, the part before
// HeaderStart, and not a byte more. It returns the ids of the keys that its signatures say
// they are made with, in the order of the package, each once: 16 digits each, or a
// fingerprint where that is all a signature names; none for an unsigned package.
//
// Nothing of it is checked, for nothing of it can be without the rest of the package:
// Verify does that. The error is a *FormatError, a *BadSignatureError when there are
// signatures but none that can be read, or comes from r.
func SignatureKeyIDs(r io.Reader) ([]string, error) {
	h, err := readSignatureHeader(r)
	if err != nil {
		return nil, err
	}
	blobs, err := signatureBlobs(h)
	if err != nil {
		return nil, err
	}
	var ids []string
	var unreadable error
	seen := make(map[string]bool)
	for _, b := range blobs {
		packet, err := parseSignature(b.data)
		if err != nil {
			unreadable = &BadSignatureError{Err: err}
			continue
		}
		if id := issuer(packet); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, unreadable
	}
	return ids, nil
}
