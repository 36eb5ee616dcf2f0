package chart

import (
	"bytes"
	"encoding/json"
	"net/url"
	"testing"

	"github.com/distribution/reference"
	"go.yaml.in/yaml/v3"

	"airbundle/internal/fuzztest"
)

// Whatever an index names, it leads to no file of this machine unless it lies on it, and
// to no plain HTTP from TLS without a digest.
func FuzzJoin(f *testing.F) {
	for _, ref := range []string{"n.tgz", "../n.tgz", "/n.tgz", "//h/n.tgz", "https://h/n.tgz", "http://h/n.tgz", "file:///etc/passwd", "oci://h/n:1", "%2e%2e/n", "?a=b", "HTTP://h/", "fIle:a"} {
		f.Add("https://h/charts?t=1", ref)
		f.Add("file:charts", ref)
	}
	fuzztest.Run(f, func(t *testing.T, repo, ref string) {
		base, err := url.Parse(repo)
		if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
			return
		}
		got, err := join(repo, ref, false)
		if err != nil {
			return
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatalf("join(%q, %q) = %q: %v", repo, ref, got, err)
		}
		if u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "oci" || base.Scheme == "https" && u.Scheme == "http" || u.User != nil && base.User == nil {
			t.Fatalf("join(%q, %q) = %q", repo, ref, got)
		}
	})
}

// What is told of is a whole reference, in whatever form values and manifests are.
func FuzzWalk(f *testing.F) {
	f.Add([]byte("image: {registry: quay.io, repository: a/b, tag: 1.20, digest: sha256:00}"), false)
	f.Add([]byte("a: [{image: busybox}, {1: {image: [x]}}, '--x=quay.io/a/b:1']"), true)
	f.Add([]byte("image: {name: '{{ x }}', tag: ':'}\nsidecarImage: a b"), false)
	fuzztest.Run(f, func(t *testing.T, raw []byte, final bool) {
		var doc any
		if yaml.Unmarshal(raw, &doc) != nil {
			return
		}
		var out bytes.Buffer
		e := &examiner{out: json.NewEncoder(&out)}
		e.walk(doc, "f", nil, final)
		for d := json.NewDecoder(&out); d.More(); {
			var a answer
			if err := d.Decode(&a); err != nil {
				t.Fatal(err)
			}
			if a.Finding != "" {
				continue
			}
			named, err := reference.ParseNamed(a.Ref)
			if err != nil || reference.IsNameOnly(named) || named.String() != a.Ref {
				t.Fatalf("%+v: %v", a, err)
			}
		}
	})
}
