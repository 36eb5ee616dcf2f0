package lockfiles

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"airbundle/internal/target"
	"airbundle/manifest"
)

// A want is what KubeOperator 3.16 looks for when it installs v1.20.12-ko1. Paths are
// below its raw repository, images are names at its registry.
type want struct {
	RawAMD64    []struct{ Path string } `yaml:"raw_amd64"`
	RawARM64    []struct{ Path string } `yaml:"raw_arm64"`
	ImagesAMD64 []string                `yaml:"k8s_images_amd64"`
	ImagesARM64 []string                `yaml:"k8s_images_arm64"`
	ToolImages  []string                `yaml:"tool_images_2_31_1"`
	RPMs        []string                `yaml:"rpm_names_ansible_installs"`
}

// TestKubeOperator compares the requests with the list beside the facts: what it asks for
// is there under the name it asks for, but for what lockfiles/README.md names.
func TestKubeOperator(t *testing.T) {
	facts(t) // skips without
	data, err := os.ReadFile(filepath.Join(filepath.Dir(os.Getenv("AIRBUNDLE_FACTS")), "kubeoperator-v1.20.12-ko1.yaml"))
	if err != nil {
		t.Skip(err)
	}
	var w want
	if err := yaml.Unmarshal(data, &w); err != nil {
		t.Fatal(err)
	}
	offered := map[string]bool{}
	for _, p := range pairs(t) {
		for _, i := range p.request.Images {
			for _, ref := range target.Default().Refs(manifest.Image{Name: i.Source, Publish: i.Publish}) {
				offered[ref.String()] = true
			}
		}
		for _, f := range expanded(t, p.request) {
			offered[f.Path] = true
		}
		for _, s := range p.request.Packages {
			for _, name := range s.Install {
				offered[name] = true
			}
		}
	}
	wanted := slices.Concat(w.ImagesAMD64, w.ImagesARM64, w.ToolImages, w.RPMs)
	for _, f := range slices.Concat(w.RawAMD64, w.RawARM64) {
		wanted = append(wanted, f.Path)
	}
	// The playbooks ask for another crictl than the package of the release has.
	for _, goArch := range []string{"amd64", "arm64"} {
		wanted = append(wanted, "crictl/v1.23.0/"+goArch+"/crictl-v1.23.0-linux-"+goArch+".tar.gz")
	}
	var missing []string
	for _, name := range wanted {
		if !offered[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	known := []string{
		"chrony/amd64/chrony_xenial.tar.gz",
		"chrony/arm64/chrony_xenial.tar.gz",
		"cilium/cilium:v1.9.5",
		"cilium/operator-generic:v1.9.5",
		"govc/v0.23.0/amd64/govc_linux_amd64.gz",
		"oceanstor/amd64/passwdEncrypt",
	}
	if diff := cmp.Diff(known, missing); diff != "" {
		t.Errorf("of %d things that KubeOperator looks for, other ones are missing than README.md says (-known +missing):\n%s", len(wanted), diff)
	}
	readme := string(read(t, "README.md"))
	covered := fmt.Sprintf("%d of %d", len(wanted)-len(missing), len(wanted))
	for _, name := range []string{covered, "cilium", "govc", "passwdEncrypt", "chrony_xenial"} {
		if !strings.Contains(readme, name) {
			t.Errorf("README.md does not say %s", name)
		}
	}
	if len(wanted) < 80 {
		t.Errorf("the list names %d things only: it was not read", len(wanted))
	}
}
