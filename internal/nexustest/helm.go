package nexustest

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// chart is what a packaged chart says about itself.
type chart struct {
	APIVersion  string `yaml:"apiVersion"`
	Name        string `yaml:"name"`
	Version     string `yaml:"version"`
	AppVersion  string `yaml:"appVersion,omitempty"`
	Description string `yaml:"description,omitempty"`
}

// indexEntry is one line of index.yaml.
type indexEntry struct {
	chart   `yaml:",inline"`
	Created string   `yaml:"created"`
	Digest  string   `yaml:"digest"`
	URLs    []string `yaml:"urls"`
}

// serveHelm answers requests for a helm repository.
func (x *exchange) serveHelm() {
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		a := x.s.lookup(x.repo, x.path)
		if a == nil {
			x.htmlError(http.StatusNotFound, x.s.prof.apiPath(x.path))
			return
		}
		x.serveAsset(a, x.s.prof.datastore)
	case http.MethodPut:
		x.putChart()
	case http.MethodDelete:
		x.deleteAsset(http.StatusOK)
	default:
		x.methodNotAllowed("GET,HEAD,PUT,DELETE")
	}
}

// putChart stores a chart, 200; index.yaml follows later.
func (x *exchange) putChart() {
	x.storeListed(orDefault(x.s.opts.Quirks.HelmPutStatus, http.StatusOK), func(c *content) error {
		if strings.HasSuffix(x.path, ".tgz.prov") {
			return nil // a signature, which says nothing that the index needs
		}
		if _, err := readChart(c); err != nil || !strings.HasSuffix(x.path, ".tgz") {
			return &refusal{http.StatusBadRequest, "Invalid chart: " + x.path}
		}
		return nil
	})
}

// helmChart returns what the asset is a package of, nil if it is none.
func (a *asset) helmChart() *chart {
	if !strings.HasSuffix(a.path, ".tgz") {
		return nil
	}
	a.once.Do(func() { a.chart, a.bad = readChart(a.content) })
	return a.chart
}

// readChart reads Chart.yaml of a packaged chart.
func readChart(c *content) (*chart, error) {
	f, err := c.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if err != nil {
			return nil, fmt.Errorf("look for Chart.yaml: %w", err)
		}
		if dir, file, _ := strings.Cut(h.Name, "/"); dir == "" || file != "Chart.yaml" {
			continue
		}
		var ch chart
		if err := yaml.NewDecoder(io.LimitReader(tr, 1<<20)).Decode(&ch); err != nil {
			return nil, err
		}
		if ch.Name == "" || ch.Version == "" {
			return nil, errors.New("no name or version in Chart.yaml")
		}
		return &ch, nil
	}
}

// publishIndex writes index.yaml. The caller holds s.mu.
func (s *Server) publishIndex(r *repository) error {
	entries := map[string][]indexEntry{}
	for _, member := range append([]string{r.Name}, r.Members...) {
		m := s.repos[member]
		if m == nil {
			continue
		}
		for _, p := range sortedKeys(m.assets) {
			a := m.assets[p]
			ch := a.helmChart()
			if ch == nil {
				continue
			}
			entries[ch.Name] = append(entries[ch.Name], indexEntry{
				chart: *ch, Created: a.created.UTC().Format(time.RFC3339Nano), Digest: a.content.sums["sha256"], URLs: []string{p}})
		}
	}
	data, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "entries": entries, "generated": s.opts.Now().UTC().Format(time.RFC3339Nano)})
	if err != nil {
		return fmt.Errorf("nexustest: index.yaml of %s: %w", r.Name, err)
	}
	c, err := s.disk.save(data, s.prof.computed("helm"))
	if err != nil {
		return err
	}
	s.store(r, "index.yaml", "text/x-yaml", c, nil).generated = true
	for _, g := range s.repos {
		for _, member := range g.Members {
			if member == r.Name && g.Format == "helm" {
				s.changed(g)
			}
		}
	}
	return nil
}
