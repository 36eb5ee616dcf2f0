package chart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/helm"
	"airbundle/internal/helmtest"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

// TestMain makes the process that looks into charts out of the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "examine" {
		if err := Examine(os.Stdin, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func examinerProcess(ctx context.Context) *exec.Cmd {
	return exec.CommandContext(ctx, os.Args[0], "examine")
}

// look has one chart examined.
func look(t *testing.T, o Options, archive []byte) helm.Images {
	t.Helper()
	o.Examiner = examinerProcess
	s := New(o)
	s.kept[digest.FromBytes(archive)] = archive
	got, err := s.Images(t.Context(), lockfile.Chart{Digest: digest.FromBytes(archive)})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// lines writes images as "reference place; place".
func lines(i helm.Images) []string {
	var out []string
	for _, r := range i.Refs {
		out = append(out, r.Reference+" "+strings.Join(r.Found, "; "))
	}
	return out
}

const deployment = `apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      initContainers:
      - {name: init, image: busybox}
      containers:
      - name: main
        image: "{{ .Values.image.registry }}/{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
        args: ["--reloader=quay.io/x/reloader:v1", "--listen=:80", "a=b"]
        env: [{name: HELPER, value: "quay.io/x/helper@sha256:` + hex64 + `"}, {name: URL, value: "https://example.com/a:1"}]
`

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestImages(t *testing.T) {
	sub := helmtest.Chart(t, "packed", "1.0.0", map[string]string{"values.yaml": "image: packed:1"})
	archive := helmtest.Chart(t, "app", "1.2.3", map[string]string{
		"Chart.yaml": `apiVersion: v2
name: app
version: 1.2.3
appVersion: "7.8"
dependencies:
- {name: sub, version: 1.0.0, condition: sub.enabled}
- {name: idle, version: 1.0.0, condition: idle.enabled}
- {name: packed, version: 1.0.0}
annotations:
  artifacthub.io/images: |
    - {name: one, image: "quay.io/hub/one:1"}
    - {name: two, image: "two"}
  images: |
    - {name: three, image: "docker.io/three:3"}
`,
		"values.yaml": `
image: {registry: quay.io, repository: team/app, tag: ""}
plain: {image: "plain:1"}
beside: {image: team/beside, tag: 2}
float: {image: {repository: team/float, tag: 1.25}}
bitnami: {registry: docker.io, repository: bitnami/os-shell, tag: "12", digest: ""}
pinned: {image: {repository: team/pinned, tag: "3", sha: "` + hex64 + `"}}
byDigest: {image: {repository: team/digest, digest: "sha256:` + hex64 + `"}}
sidecarImage: {name: side/car, tag: v4}
registryTwice: {image: {registry: quay.io, repository: ghcr.io/team/full, tag: "5"}}
list: [{image: "listed:6"}]
option: "--with=quay.io/opt/ion:7"
text: "quay.io/in/text:8"
url: "https://quay.io/no/image:1"
git: {repository: "https://example.com/git"}
words: {repository: team/words}
empty: {image: ""}
template: {image: "{{ .Values.x }}"}
sub: {enabled: true, tag: given}
idle: {enabled: false}
`,
		"templates/_helpers.tpl":      `{{ define "name" }}helped:1{{ end }}`,
		"templates/deployment.yaml":   deployment,
		"templates/helped.yaml":       `{kind: Pod, spec: {containers: [{image: {{ include "name" . }}}]}}`,
		"templates/NOTES.txt":         "image: notes:1",
		"templates/tests/pod.yaml":    "---\n---\nkind: Pod\nspec: {containers: [{image: 'probe:{{ .Capabilities.KubeVersion.Minor }}'}]}\n",
		"templates/lookup.yaml":       `{{ if lookup "v1" "Secret" "a" "b" }}image: looked:1{{ end }}`,
		"templates/api.yaml":          `{{ if .Capabilities.APIVersions.Has "example.com/v1" }}{image: "api:1"}{{ end }}`,
		"templates/dns.yaml":          `{image: "dns:1{{ getHostByName "localhost" }}"}`,
		"crds/crd.yaml":               "kind: CustomResourceDefinition\nspec: {image: {type: string}, example: 'quay.io/crd/image:9'}\n",
		"charts/sub/Chart.yaml":       "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"charts/sub/values.yaml":      "image: {repository: team/sub, tag: latest}\ntag: own",
		"charts/sub/templates/a.yml":  `{image: "sub:{{ .Values.tag }}"}`,
		"charts/sub/crds/a.yaml":      `{image: "subcrd:1"}`,
		"charts/idle/Chart.yaml":      "apiVersion: v2\nname: idle\nversion: 1.0.0\n",
		"charts/idle/values.yaml":     "image: idle:1",
		"charts/idle/templates/a.yml": `{image: "never:1"}`,
		"charts/packed-1.0.0.tgz":     string(sub),
		"values.schema.json":          `{"$ref": "http://127.0.0.1:1/schema"}`,
	})
	want := []string{
		"docker.io/bitnami/os-shell:12 values.yaml: bitnami",
		"docker.io/library/busybox:latest templates/deployment.yaml",
		"docker.io/library/dns:1 templates/dns.yaml",
		"docker.io/library/helped:1 templates/helped.yaml",
		"docker.io/library/idle:1 charts/idle/values.yaml: image",
		"docker.io/library/listed:6 values.yaml: list.0.image",
		"docker.io/library/packed:1 charts/packed/values.yaml: image",
		"docker.io/library/plain:1 values.yaml: plain.image",
		"docker.io/library/probe:20 templates/tests/pod.yaml",
		"docker.io/library/sub:given charts/sub/templates/a.yml",
		"docker.io/library/subcrd:1 charts/sub/crds/a.yaml",
		"docker.io/library/three:3 Chart.yaml: annotations.images",
		"docker.io/library/two:latest Chart.yaml: annotations.artifacthub.io/images",
		"docker.io/side/car:v4 values.yaml: sidecarImage",
		"docker.io/team/beside:2 values.yaml: beside.image",
		"docker.io/team/digest@sha256:" + hex64 + " values.yaml: byDigest.image",
		"docker.io/team/float:1.25 values.yaml: float.image",
		"docker.io/team/pinned:3@sha256:" + hex64 + " values.yaml: pinned.image",
		"docker.io/team/sub:latest charts/sub/values.yaml: image",
		"ghcr.io/team/full:5 values.yaml: registryTwice.image",
		"quay.io/crd/image:9 crds/crd.yaml",
		"quay.io/hub/one:1 Chart.yaml: annotations.artifacthub.io/images",
		"quay.io/in/text:8 values.yaml: text",
		"quay.io/opt/ion:7 values.yaml: option",
		"quay.io/team/app:7.8 templates/deployment.yaml",
		"quay.io/x/helper@sha256:" + hex64 + " templates/deployment.yaml",
		"quay.io/x/reloader:v1 templates/deployment.yaml",
	}
	got := look(t, Options{}, archive)
	if diff := cmp.Diff(want, lines(got)); diff != "" || got.Findings != nil {
		t.Errorf("findings %q, images (-want +got):\n%s", got.Findings, diff)
	}
	if diff := cmp.Diff(got, look(t, Options{}, archive)); diff != "" {
		t.Errorf("a second run differs (-first +second):\n%s", diff)
	}
	other := lines(look(t, Options{Capabilities: Capabilities{KubeVersion: "1.31", APIVersions: []string{"example.com/v1"}}}, archive))
	for _, image := range []string{"docker.io/library/probe:31 templates/tests/pod.yaml", "docker.io/library/api:1 templates/api.yaml"} {
		if !slices.Contains(other, image) {
			t.Errorf("with other capabilities %s is missing", image)
		}
	}
}

// What cannot be rendered is told, and does not hide what was found otherwise.
func TestImagesFindings(t *testing.T) {
	const values = "image: found:1\nopen: {image: {repository: team/open}}\n"
	const open = "values.yaml: open.image names an image without a tag, which the templates would add"
	tgz := func(files map[string]string) []byte {
		files["values.yaml"] = values
		return helmtest.Chart(t, "app", "1.0.0", files)
	}
	for name, c := range map[string]struct {
		archive []byte
		texts   []string
		found   bool
	}{
		"required":         {tgz(map[string]string{"templates/a.yaml": `{{ required "say who" .Values.who }}`}), []string{"does not render with its default values: ", "say who", open}, true},
		"syntax":           {tgz(map[string]string{"templates/a.yaml": "{{ if }}"}), []string{"does not render", open}, true},
		"no function":      {tgz(map[string]string{"templates/a.yaml": `{{ env "HOME" }}`}), []string{"does not render", `function "env" not defined`}, true},
		"includes itself":  {tgz(map[string]string{"templates/a.yaml": `{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}`}), []string{"does not render", "nested reference"}, true},
		"template itself":  {tgz(map[string]string{"templates/a.yaml": `{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`}), nil, true},
		"no YAML":          {tgz(map[string]string{"templates/a.yaml": "a: b: c"}), []string{"templates/a.yaml is no YAML"}, true},
		"no reference":     {tgz(map[string]string{"templates/a.yaml": "image: 'a b'"}), []string{`templates/a.yaml: image is "a b", which is no image reference`}, true},
		"bad annotation":   {tgz(map[string]string{"Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\nannotations: {images: '{', artifacthub.io/images: '[{image: A}]'}\n"}), []string{"Chart.yaml: annotations.images: yaml", `annotations.artifacthub.io/images: "A" is no image reference`}, true},
		"subchart missing": {tgz(map[string]string{"charts/sub/values.yaml": "a: 1"}), []string{"helm does not load it", "sub"}, true},
		"bad values":       {helmtest.Chart(t, "app", "1.0.0", map[string]string{"values.yaml": "a: b: c"}), []string{"helm does not load it", "values.yaml"}, false},
		"link":             {helmtest.Archive(t, helmtest.Entry{Name: "app/values.yaml", Type: '2', Link: "/etc/passwd"}), []string{"cannot be read", "a link"}, false},
		"traversal":        {helmtest.Archive(t, helmtest.Entry{Name: "app/../../etc/x"}), []string{"cannot be read", "does not stay inside"}, false},
		"escapes":          {tgz(map[string]string{"templates/a.yaml": `{{ fail "\u001b[2Jbad" }}`}), []string{"[2Jbad"}, true},
		"files":            {tgz(map[string]string{"templates/a.yaml": `{{ .Files.Get "/etc/passwd" }}{{ .Files.Get "../../etc/passwd" }}`}), []string{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := look(t, Options{Limits: Limits{Memory: testMemory}}, c.archive)
			all := strings.Join(got.Findings, "\n")
			if (all == "") != (c.texts != nil && len(c.texts) == 0) || strings.Contains(all, "\x1b") {
				t.Errorf("findings %q", got.Findings)
			}
			for _, text := range c.texts {
				if !strings.Contains(all, text) {
					t.Errorf("findings %q lack %q", got.Findings, text)
				}
			}
			if found := slices.Contains(lines(got), "docker.io/library/found:1 values.yaml: image"); found != c.found {
				t.Errorf("images %v", lines(got))
			}
		})
	}
}

// testMemory is what the process that renders a chart may use.
var testMemory int64 = 256 << 20

// Neither time nor memory is the chart's to take.
func TestHostileCharts(t *testing.T) {
	ended := fmt.Sprintf("may use %d MiB, ended early", testMemory>>20)
	deep := strings.Repeat("{{ range $a }}", 12) + strings.Repeat("{{ end }}", 12)
	for name, c := range map[string]struct{ template, text string }{
		"loop":    {`{{ $a := until 1000 }}` + deep, "does not render within 2s"},
		"until":   {`{{ until 1000000000 | len }}`, ended},
		"repeat":  {`{{ repeat 1000000000 "aaaaaaaa" }}`, ended},
		"doubled": {`{{ $a := "aaaaaaaaaaaaaaaa" }}{{ range until 40 }}{{ $a = printf "%s%s" $a $a }}{{ end }}{{ len $a }}`, ended},
		"tpl":     {`{{ define "a" }}{{ tpl "{{ include \"a\" . }}" . }}{{ end }}{{ include "a" . }}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			archive := helmtest.Chart(t, "app", "1.0.0", map[string]string{"values.yaml": "image: found:1", "templates/a.yaml": c.template})
			start := time.Now()
			limits := Limits{Patience: time.Minute, Memory: testMemory}
			if name == "loop" {
				limits.Patience = 2 * time.Second
			}
			got := look(t, Options{Limits: limits}, archive)
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("took %s", took)
			}
			if len(got.Findings) != 1 || !strings.Contains(got.Findings[0], c.text) || len(got.Refs) != 1 {
				t.Errorf("%v, findings %q", lines(got), got.Findings)
			}
		})
	}
}

func TestImagesErrors(t *testing.T) {
	archive := helmtest.Chart(t, "app", "1.0.0", map[string]string{"templates/a.yaml": `{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}`})
	repo := newRepository(t)
	repo.files["/a.tgz"] = archive
	c := lockfile.Chart{URLs: []string{repo.URL + "/gone.tgz", repo.URL + "/a.tgz"}, Size: int64(len(archive)), Digest: digest.FromBytes(archive)}
	s := newSource(t, "", nil)
	s.o.Examiner = examinerProcess
	ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, errors.New("no more"))
	defer cancel()
	if _, err := s.Images(ctx, c); err == nil || err.Error() != "no more" {
		t.Errorf("stopped: %v", err)
	}
	c.URLs = c.URLs[:1]
	if _, err := s.Images(t.Context(), c); report.Classify(err) != report.ClassUnavailable {
		t.Errorf("gone: %v", err)
	}
	c.URLs, repo.files["/gone.tgz"] = []string{repo.URL + "/gone.tgz"}, slices.Repeat([]byte("x"), len(archive))
	if _, err := s.Images(t.Context(), c); report.Classify(err) != report.ClassContent {
		t.Errorf("damaged: %v", err)
	}
	repo.files["/gone.tgz"] = archive
	s.o.Examiner = func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "/no/such/program") }
	if _, err := s.Images(t.Context(), c); report.Classify(err) != report.ClassLocal {
		t.Errorf("no program: %v", err)
	}
}
