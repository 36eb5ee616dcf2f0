package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/content/oci"

	"airbundle/internal/bundletest"
	"airbundle/internal/rpmtest"
)

// TestOrasAndCreaterepoTakeMetadata takes a repository out of an archive without any
// program of ours, and makes repodata of its packages and slices as docs/format.md,
// section 9, says.
func TestOrasAndCreaterepoTakeMetadata(t *testing.T) {
	t.Parallel()
	create, modify := rpmtest.Tool(t, "createrepo_c"), rpmtest.Tool(t, "modifyrepo_c")
	want := map[string]string{
		"modules.yaml": "---\ndocument: modulemd\nversion: 2\ndata:\n  name: hello\n  stream: \"1\"\n  version: 1\n  context: c0ffee\n  arch: x86_64\n" +
			"  summary: Says hello\n  description: A module.\n  license: {module: [MIT]}\n  artifacts: {rpms: [\"hello-0:1.2-3.x86_64\"]}\n...\n",
		"comps.xml":      "<comps><group><id>g</id><name>g</name><packagelist><packagereq>hello</packagereq></packagelist></group></comps>",
		"updateinfo.xml": "<updates><update type=\"security\"><id>SEC-1</id><title>t</title></update></updates>",
	}
	f := bundletest.New(t)
	for name, text := range want {
		f.Metadata("os/x86_64", name[:len(name)-len(filepath.Ext(name))], text)
	}
	store, err := oci.NewFromTar(t.Context(), f.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	to, err := file.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := oras.Copy(t.Context(), store, "rpms/os/x86_64", to, "rpms/os/x86_64", oras.DefaultCopyOptions); err != nil {
		t.Fatal(err)
	}
	repo := filepath.Join(dir, "os", "x86_64")
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(repo, name)); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, args := range [][]string{
		{create, "-g", filepath.Join(repo, "comps.xml"), repo},
		{modify, filepath.Join(repo, "updateinfo.xml"), filepath.Join(repo, "repodata")},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	repomd, err := os.ReadFile(filepath.Join(repo, "repodata", "repomd.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, m := range regexp.MustCompile(`<data type="([a-z]+)">`).FindAllSubmatch(repomd, -1) {
		types = append(types, string(m[1]))
	}
	for _, kind := range []string{"primary", "group", "modules", "updateinfo"} {
		if !slices.Contains(types, kind) {
			t.Errorf("createrepo_c and modifyrepo_c list %v, no %s", types, kind)
		}
	}
}
