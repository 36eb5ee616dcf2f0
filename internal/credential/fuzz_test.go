package credential

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airbundle/internal/fuzztest"
)

// Whatever stands in a docker config, reading it runs nothing, and no error repeats it.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"credsStore":"good","auths":{"a":{"auth":"` + canary + `"}}}`))
	f.Add([]byte(`{"credHelpers":{"a":"good","b":"../x"}}`))
	f.Add([]byte(`{"auths":"` + canary + `"}`))
	dir := f.TempDir()
	f.Setenv("DOCKER_CONFIG", dir)
	fuzztest.Run(f, func(t *testing.T, raw []byte) {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := Read(false)
		if (h == nil) == (err == nil) {
			t.Fatalf("Read() = %v, %v", h, err)
		}
		if err != nil {
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("%v", err)
			}
			return
		}
		if h.Asks("a") && h.of("a") == "" || h.Asks() {
			t.Errorf("asks nobody about a: %+v", h)
		}
	})
}
