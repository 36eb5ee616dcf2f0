package serve

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/helm"
	"airbundle/internal/report"
	"airbundle/manifest"
)

// A chartIndex is the index.yaml over the charts of one helm repository.
type chartIndex struct {
	charts []indexedChart

	mu   sync.Mutex
	made []byte // nil until somebody asked
}

type indexedChart struct {
	chart manifest.Chart
	desc  ocispec.Descriptor
}

// index returns the file, making it at the first call that succeeds; like repodata it is
// made to its end even when the one who asked first has left.
func (x *chartIndex) index(ctx context.Context, store Store) ([]byte, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.made != nil {
		return x.made, nil
	}
	var carried []helm.Carried
	for _, c := range x.charts {
		m, err := readChart(context.WithoutCancel(ctx), store, c)
		if err != nil {
			return nil, fmt.Errorf("read chart %s (%s): %w", c.chart.File(), c.desc.Digest, err)
		}
		carried = append(carried, helm.Carried{Metadata: m, URL: c.chart.File(), Digest: c.desc.Digest})
	}
	var b bytes.Buffer
	if err := helm.WriteIndex(&b, carried); err != nil {
		return nil, fmt.Errorf("write index.yaml: %w", err)
	}
	x.made = b.Bytes()
	return x.made, nil
}

// readChart reads the metadata of a chart, which must be the one that the table names:
// clients would ask for one and get the other.
func readChart(ctx context.Context, store Store, c indexedChart) (*helm.Metadata, error) {
	rc, err := store.Fetch(ctx, c.desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	m, err := helm.ReadMetadata(rc)
	if err != nil {
		return nil, err
	}
	if m.Name != c.chart.Name || m.Version != c.chart.Version {
		return nil, report.WithClass(report.ClassContent, fmt.Errorf("it is %.100q %.100q by its Chart.yaml", m.Name, m.Version))
	}
	return m, nil
}

// addChartIndexes adds an index.yaml beside the charts of each repository, unless something
// carried has its path.
func (s *Server) addChartIndexes(charts map[string][]indexedChart) {
	for repository, some := range charts {
		p := repository + "/index.yaml"
		if _, taken := s.files.files[p]; !taken {
			s.files.add(p, file{index: &chartIndex{charts: some}})
		}
	}
}

func (s *Server) serveChartIndex(w http.ResponseWriter, r *http.Request, x *chartIndex) {
	raw, err := x.index(r.Context(), s.store)
	if err != nil {
		s.opts.Log.Error("index.yaml cannot be made", "path", r.URL.Path, "err", err)
		http.Error(w, "index.yaml cannot be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	serveBytes(w, r, raw, "text/yaml; charset=utf-8")
}
