package push_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/push"
	"airbundle/internal/registrytest"
	"airbundle/internal/report"
)

// A store that yields damaged content for one blob.
type damaged struct {
	push.Store
	bad digest.Digest
}

func (s damaged) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if d.Digest == s.bad {
		return nil, errors.New("input/output error at byte 4096")
	}
	return s.Store.Fetch(ctx, d)
}

// One bad blob fails the images that need it, by name; all others arrive, and no tag
// stands for something incomplete.
func TestOneBadBlob(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	items := b.items(onlyImages)
	tree, err := b.archive.Bundle().ReadImage(t.Context(), b.archive.Bundle().Table.Images[items[0].Index], b.archive.Read)
	if err != nil {
		t.Fatal(err)
	}
	layers := tree.Manifests()[0].Node.Layers
	bad := layers[len(layers)-1].Digest // not shared
	rep, _, err := push.Run(t.Context(), b.archive.Bundle(), damaged{b.archive, bad}, items, push.Target{Images: func(string) push.Images { return b.client }}, push.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(rep.Findings()); n != 1 || rep.Findings()[0].Name != items[0].Name || !strings.Contains(rep.Findings()[0].Reason, string(bad)) {
		t.Errorf("%d findings: %+v", n, rep.Findings())
	}
	if _, err := b.client.Resolve(t.Context(), items[0].Refs[0].Repository, items[0].Refs[0].Tag); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("the tag stands: %v", err)
	}
	if rep.Counts()[report.Sent] != 2 {
		t.Errorf("%v", rep.Counts())
	}
	rep, _ = b.push(onlyImages, push.Options{})
	b.clean(rep, "rerun with a good store")
}

// A refused login stops everything: no account is locked by repeated tries.
func TestRefusedLogin(t *testing.T) {
	b := newBench(t, registrytest.Options{Username: "admin", Password: "right"})
	rep, _ := b.push(onlyImages, push.Options{Jobs: 8})
	if rep.Code() != int(report.ClassRefused) || len(rep.Findings()) != 3 {
		t.Errorf("code %d, %d findings", rep.Code(), len(rep.Findings()))
	}
}

// A registry that loses a blob it said it had is sent the blob again.
func TestRegistryThatLiesAboutABlob(t *testing.T) {
	var lies atomic.Int32
	var b *bench
	b = newBench(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/") && strings.Contains(r.URL.Path, "pause") && lies.Add(1) == 1 {
				_, d, _ := strings.Cut(r.URL.Path, "/blobs/")
				desc, _ := b.archive.Bundle().Blob(digest.Digest(d))
				w.Header().Set("Docker-Content-Digest", d)
				w.Header().Set("Content-Length", strconv.FormatInt(desc.Size, 10))
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	rep, _ := b.push(onlyImages, push.Options{})
	b.clean(rep, "push")
	b.clean(b.audit(onlyImages, true), "audit")
	if lies.Load() == 0 {
		t.Error("the registry told no lie")
	}
}

// A quarter of all requests fail with 503: the push completes all the same, or says what
// is missing; it never claims more than is there.
func TestStorm(t *testing.T) {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(1, 2))
	b := newBench(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			fail := dice.IntN(4) == 0
			mu.Unlock()
			if fail {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	rep, _ := b.push(onlyImages, push.Options{Jobs: 3})
	audited := b.audit(onlyImages, true)
	if (rep.Code() == 0) != (audited.Code() == 0) {
		t.Errorf("push says %d, the audit %d: %+v %+v", rep.Code(), audited.Code(), rep.Findings(), audited.Findings())
	}
	b.clean(rep, "push through a storm")
}

func TestInterrupted(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	why := errors.New("signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, _, err := push.Run(ctx, b.archive.Bundle(), b.archive, b.items(onlyImages), push.Target{Images: func(string) push.Images { return b.client }},
		push.Options{Jobs: 1, Done: func(report.Record) { cancel(why) }})
	if !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}
