package chart

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"

	"airbundle/internal/helm"
)

// Examine is the other end of Images. It reads a task and a chart from in, limits the
// memory of the process that it runs in for good, and writes what it finds to out. The
// process is to do nothing else: a template may end it at any time.
func Examine(in io.Reader, out io.Writer) error {
	r := bufio.NewReader(io.LimitReader(in, helm.MaxArchive+maxAnswer))
	line, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	var t task
	if err := json.Unmarshal(line, &t); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	if err := confine(t.Memory); err != nil {
		return err
	}
	e := &examiner{out: json.NewEncoder(out)}
	e.chart(r, t.Capabilities)
	e.write(answer{Done: true})
	return e.err
}

// confine limits what the process may allocate.
func confine(memory int64) error {
	debug.SetMemoryLimit(memory / 4 * 3) // collect before it comes to that
	limit := unix.Rlimit{Cur: uint64(memory), Max: uint64(memory)}
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &limit); err != nil {
		return fmt.Errorf("limit the memory: %w", err)
	}
	core := unix.Rlimit{} // what it dies of is no use to anybody
	return unix.Setrlimit(unix.RLIMIT_CORE, &core)
}

// An examiner looks into one chart and tells what it finds at once: what comes next may
// be its end.
type examiner struct {
	out *json.Encoder
	err error
	// open are images that values name without a tag. What the templates add is known
	// only if they render.
	open []string
}

func (e *examiner) write(a answer) {
	if e.err == nil {
		e.err = e.out.Encode(a)
	}
}

func (e *examiner) finding(format string, args ...any) {
	text := strings.Join(strings.FieldsFunc(fmt.Sprintf(format, args...), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if len(text) > 600 { // the cause of a template's error stands at its end
		text = strings.ToValidUTF8(text[:200], "") + " … " + strings.ToValidUTF8(text[len(text)-400:], "")
	}
	e.write(answer{Finding: text})
}

func (e *examiner) chart(r io.Reader, caps Capabilities) {
	var files []*archive.BufferedFile
	err := helm.Walk(r, func(name string, content io.Reader) error {
		raw, err := io.ReadAll(content)
		files = append(files, &archive.BufferedFile{Name: name, Data: bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))})
		return err
	})
	if err != nil {
		e.finding("it cannot be read: %v", err)
		return
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		e.finding("helm does not load it: %v", err)
	}
	if c == nil || c.Metadata == nil {
		return
	}
	e.static(c, "")
	if err != nil {
		return
	}
	if err := e.render(c, caps); err != nil {
		e.finding("it does not render with its default values: %v", err)
		for _, at := range e.open {
			e.finding("%s names an image without a tag, which the templates would add", at)
		}
	}
}

// static looks at what is written in a chart and its subcharts, before any template.
func (e *examiner) static(c *v2.Chart, below string) {
	e.walk(c.Values, below+"values.yaml", nil, false)
	for _, key := range []string{"artifacthub.io/images", "images"} {
		text := c.Metadata.Annotations[key]
		if text == "" {
			continue
		}
		var list []struct {
			Image string `yaml:"image"`
		}
		at := below + "Chart.yaml: annotations." + key
		if err := yaml.Unmarshal([]byte(text), &list); err != nil {
			e.finding("%s: %v", at, err)
		}
		for _, l := range list {
			if !e.image(l.Image, at) {
				e.finding("%s: %.100q is no image reference", at, l.Image)
			}
		}
	}
	for _, f := range c.Files {
		if strings.HasPrefix(f.Name, "crds/") {
			e.documents(f.Data, below+f.Name)
		}
	}
	for _, sub := range c.Dependencies() {
		e.static(sub, below+"charts/"+sub.Name()+"/")
	}
}

// render has helm's engine render the chart with its default values, as "helm template"
// does. There is no cluster and no DNS, lookup finds nothing, and schemas, which can name
// URLs, are not consulted.
func (e *examiner) render(c *v2.Chart, caps Capabilities) error {
	known := common.DefaultCapabilities.Copy()
	if caps.KubeVersion != "" {
		v, err := common.ParseKubeVersion(caps.KubeVersion)
		if err != nil {
			return err
		}
		known.KubeVersion = *v
	}
	known.APIVersions = append(slices.Clone(known.APIVersions), caps.APIVersions...)
	if err := chartutil.ProcessDependencies(c, map[string]any{}); err != nil {
		return err
	}
	values, err := util.ToRenderValuesWithSchemaValidation(c, map[string]any{}, common.ReleaseOptions{Name: "release-name", Namespace: "default", Revision: 1, IsInstall: true}, known, true)
	if err != nil {
		return err
	}
	rendered, err := engine.Engine{}.RenderWithContext(context.Background(), c, values)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if path.Base(name) == "NOTES.txt" {
			continue
		}
		_, below, _ := strings.Cut(name, "/")
		e.documents([]byte(rendered[name]), below)
	}
	return nil
}

// documents looks at the manifests of a file.
func (e *examiner) documents(raw []byte, at string) {
	for d := yaml.NewDecoder(bytes.NewReader(raw)); ; {
		var doc any
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			e.finding("%s is no YAML: %v", at, err)
			return
		}
		e.walk(doc, at, nil, true)
	}
}
