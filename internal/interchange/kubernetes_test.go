package interchange

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const operator = `apiVersion: apps/v1
kind: Deployment
metadata: {name: prometheus-operator}
spec:
  template:
    spec:
      initContainers:
      - {name: i, image: busybox}
      containers:
      - name: prometheus-operator
        image: quay.io/prometheus-operator/prometheus-operator:v0.52.1
        args:
        - --kubelet-service=kube-system/kubelet
        - --prometheus-config-reloader=quay.io/prometheus-operator/prometheus-config-reloader:v0.52.1
        - --listen=0.0.0.0:8080
        - --sidecar-image
        - mirror/side:1
        - --image-pull-policy=Always/x:y
        env:
        - {name: RELATED_IMAGE_X, value: "quay.io/x/y:2"}
        - {name: IMAGE_DIR, value: /var/lib/images}
        - {name: OTHER, value: "quay.io/no/no:1"}
      ephemeralContainers:
      - {name: e, image: "busybox:1.35@sha256:AA"}
      volumes:
      - {name: v, image: {reference: "quay.io/vol/ume:3", pullPolicy: IfNotPresent}}
`

func TestImportKubernetes(t *testing.T) {
	testImport(t, "kubernetes", []importCase{
		{name: "operator", data: strings.Replace(operator, "@sha256:AA", "@sha256:"+hexA, 1), want: []string{
			"8 image busybox", "11 image quay.io/prometheus-operator/prometheus-operator:v0.52.1",
			"14 image quay.io/prometheus-operator/prometheus-config-reloader:v0.52.1", "17 image mirror/side:1",
			"20 image quay.io/x/y:2", "24 image busybox:1.35@sha256:" + hexA, "26 image quay.io/vol/ume:3"}},
		{name: "bad in a container", data: operator, errs: []string{"24: image busybox:1.35@sha256:AA: source"}},
		{name: "custom resources", data: "# comment only\n---\napiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {name: k8s}\nspec:\n  image: quay.io/prometheus/prometheus:v2.31.1\n" +
			"  thanos: {baseImage: quay.io/thanos/thanos, sidecarImage: \"\"}\n  osImage: word\n  grafana:\n    image: {registry: docker.io, repository: grafana/grafana, tag: 8.3.1}\n    other: {image: {repository: x, pullPolicy: Always}}\n",
			want:  []string{"7 image quay.io/prometheus/prometheus:v2.31.1", "8 image quay.io/thanos/thanos", "11 image docker.io/grafana/grafana:8.3.1"},
			notes: []string{"in:9: Prometheus/k8s spec.osImage: \"word\" is taken for no image"}},
		{name: "schema", data: "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: c}\nspec:\n  properties:\n    image: {type: string, description: an image}\n    baseImage: {type: string}\n    required: [image]\n",
			notes: []string{"asks for nothing"}},
		{name: "JSON list", data: `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"image":"a:1"},{"image":"a:1"}]}}]}`,
			want: []string{"1 image a:1"}},
		{name: "anchors", data: "apiVersion: v1\nkind: Pod\nx: &i q/a:1\nspec:\n  containers:\n  - {image: *i}\n  - &c {image: b}\n  - *c\n", want: []string{"6 image q/a:1", "7 image b"}},
		{name: "template", data: "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: \"{{ .Values.image }}\"\n", errs: []string{"5: image {{ .Values.image }}: source"}},
		{name: "no objects", data: "- a\n---\nfoo: bar\n---\nhello\n", errs: []string{"1: the document is a list", "3: apiVersion is missing", "5: the document is \"hello\""}},
		{name: "deep", data: "apiVersion: v1\nkind: X\na: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n", errs: []string{"3: nested deeper than 100"}},
	})
}

func TestPlaces(t *testing.T) {
	got, err := Import("kubernetes", "x/in.yaml", []byte(`{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"image":"a:1"},
{"image":"a:1","args":["--x=quay.io/y:1"]}]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Place{
		{"a:1", 2, "Pod/p spec.containers[0].image"}, {"a:1", 3, "Pod/p spec.containers[1].image"},
		{"quay.io/y:1", 3, "Pod/p spec.containers[1].args[0]"},
	}
	if diff := cmp.Diff(want, got.Places); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if n := got.Images[0].Note; n != "from in.yaml" {
		t.Errorf("note %q", n)
	}
}
