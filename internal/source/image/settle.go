package image

import (
	"context"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/httpx"
)

// settle finds out what a tag stands for when nothing vouches for the bytes that came:
// the registry names another digest than theirs, or names none and is spoken to without
// TLS. What a registry has under a tag it has under its digest too, where no byte that
// changes on the way goes unseen. The bytes count first, for the header may be wrong.
func (n *named) settle(ctx context.Context, doc document, claimed digest.Digest) (document, error) {
	if claimed == "" && !n.hub.wire.isPlain(n.name.RegistryStr()) {
		return doc, nil
	}
	_, _, err := n.fetch(ctx, doc.desc.Digest.String(), doc.desc.Digest)
	if err == nil || httpx.StatusCode(err) != http.StatusNotFound {
		return doc, err
	}
	place := n.url("manifests/" + n.tag).String()
	if claimed == "" {
		return document{}, &ContentError{Place: place, Err: fmt.Errorf("its bytes have %s, which the registry does not have: they were changed on the way", doc.desc.Digest)}
	}
	meant, _, err := n.fetch(ctx, claimed.String(), claimed)
	if err != nil {
		return document{}, fmt.Errorf("%s: its bytes have %s, which the registry does not have; it names %s: %w", place, doc.desc.Digest, claimed, err)
	}
	return meant, nil
}

// claim is the digest that an answer names for raw: empty when it names none that can be
// compared, or that of the bytes when it is theirs.
func claim(h http.Header, raw []byte, own digest.Digest) digest.Digest {
	d, err := digest.Parse(h.Get("Docker-Content-Digest"))
	if err != nil {
		return ""
	}
	if d.Algorithm().FromBytes(raw) == d {
		return own
	}
	return d
}
