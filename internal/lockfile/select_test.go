package lockfile

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/manifest"
)

// names lists what a lock carries, for short comparisons.
func names(l *Lock) []string {
	var out []string
	for _, i := range l.Images {
		for _, arch := range manifest.Arches() {
			if _, ok := i.Platforms[manifest.PlatformFor(arch)]; ok {
				out = append(out, "image "+i.Source+" "+arch)
			}
		}
	}
	for _, r := range l.RPMs {
		out = append(out, "rpm "+r.Path())
	}
	for _, f := range l.Files {
		out = append(out, "file "+f.Path)
	}
	for _, c := range l.Charts {
		out = append(out, "chart "+c.File())
	}
	for _, m := range l.Metadata {
		out = append(out, "metadata "+m.Type)
	}
	for _, d := range l.Derived {
		out = append(out, "derived "+d.Path)
	}
	for _, a := range l.Absent {
		out = append(out, "absent "+a.Source+a.Path+a.Name)
	}
	return out
}

func TestSelect(t *testing.T) {
	const (
		app    = "image docker-archive:images/app.tar:example.com/app:1.0 "
		influx = "image docker.io/library/influxdb:1.8.10-alpine "
		api    = "image registry.k8s.io/kube-apiserver:v1.20.12 "
		lvm2   = "rpm centos-base/7/os/x86_64/lvm2-2.02.187-6.el7_9.5.x86_64.rpm"
		socat  = "rpm centos-base/7/os/x86_64/socat-1.7.3.2-2.el7.x86_64.rpm"
		seeder = "rpm own/aarch64/seeder-1.0-1.noarch.rpm"
		etcd   = "file etcd/v3.4.14/amd64/etcd-v3.4.14-linux-amd64.tar.gz"
		govc   = "file govc/v0.23.0/amd64/govc_linux_amd64.gz"
		readme = "file notes/README"
		chart0 = "chart prometheus-14.12.0.tgz"
		chart1 = "chart prometheus-15.0.1.tgz"
		meta   = "metadata updateinfo"
		comps  = "metadata comps"
		appTar = "derived k8s/app/arm64/app.tar"
		tar    = "derived k8s/v1.20.12/amd64/kube-apiserver.tar"
		noKmod = "absent kmod-old"
		noGovc = "absent govc/v0.23.0/arm64/govc_linux_arm64.gz"
		noFlux = "absent docker.io/library/influxdb:1.8.10-alpine"
	)
	x, a := "x86_64", "aarch64"
	tests := []struct {
		name           string
		arches, groups []string
		wantArches     []string
		want           []string
	}{
		{"x86_64", []string{x}, nil, []string{x},
			[]string{app + x, influx + x, api + x, lvm2, socat, etcd, govc, readme, chart0, chart1, comps, meta, tar}},
		{"aarch64", []string{a}, nil, []string{a},
			[]string{app + a, api + a, seeder, readme, chart0, chart1, appTar, noKmod, noGovc, noFlux}},
		{"group", nil, []string{"k8s-core"}, []string{x, a},
			[]string{api + x, api + a, socat, etcd, comps, meta, tar, noKmod, noGovc}},
		{"group without its RPMs", nil, []string{"tools"}, []string{x, a},
			[]string{etcd, chart1, noKmod, noGovc}},
		{"groups", nil, []string{"tools", "k8s-core"}, []string{x, a},
			[]string{api + x, api + a, socat, etcd, chart1, comps, meta, tar, noKmod, noGovc}},
		{"arch and group", []string{a}, []string{"k8s-core"}, []string{a},
			[]string{api + a, noKmod, noGovc}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := everything(t)
			got, err := l.Select(tt.arches, tt.groups)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, names(got)); diff != "" {
				t.Errorf("selected (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantArches, got.Arches); diff != "" {
				t.Errorf("arches (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(everything(t), l); diff != "" {
				t.Errorf("the lock changed (-before +after):\n%s", diff)
			}
			if _, err := got.Encode(); err != nil {
				t.Errorf("what is selected is no lock: %v", err)
			}
		})
	}
}

func TestSelectEverything(t *testing.T) {
	l := everything(t)
	for _, arches := range [][]string{nil, {"x86_64", "aarch64"}, {"aarch64", "x86_64"}} {
		got, err := l.Select(arches, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l, got); diff != "" {
			t.Errorf("Select(%v) (-lock +got):\n%s", arches, diff)
		}
	}
}

func TestSelectUnknown(t *testing.T) {
	minimal, err := DecodeLock("f", read(t, "testdata/good/minimal.lock.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		lock           *Lock
		arches, groups []string
		want           string
	}{
		{everything(t), []string{"x86_64", "s390x"}, nil, `select arch "s390x": the lock has x86_64, aarch64`},
		{everything(t), nil, []string{"nope"}, `select group "nope": the lock has k8s-core, tools`},
		{minimal, []string{"aarch64"}, nil, `select arch "aarch64": the lock has x86_64`},
		{minimal, nil, []string{"tools"}, `select group "tools": the lock has none`},
	}
	for _, tt := range tests {
		if _, err := tt.lock.Select(tt.arches, tt.groups); fmt.Sprint(err) != tt.want {
			t.Errorf("Select(%v, %v): got error %v, want %s", tt.arches, tt.groups, err, tt.want)
		}
	}
}
