package verify_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"airbundle/internal/archive"
	"airbundle/internal/bundletest"
	"airbundle/internal/report"
)

// Slices of metadata are artifacts like others, and are read by their types.
func TestMetadata(t *testing.T) {
	f := bundletest.New(t)
	f.Metadata("os/x86_64", "comps", "<comps><group><id>a</id></group></comps>")
	f.Metadata("os/x86_64", "updateinfo", "<updates><update>")
	f.Metadata("os/aarch64", "modules", "document: [modulemd\n")
	path := f.Build(t)
	rep, sum := run(t, path)
	if rep.Code() != int(report.ClassContent) || sum.Artifacts != 10 {
		t.Errorf("code %d, %+v", rep.Code(), sum)
	}
	want := map[string]string{
		"os/x86_64/comps.xml":      "",
		"os/x86_64/updateinfo.xml": "read updateinfo: XML syntax error on line 1: unexpected EOF",
		"os/aarch64/modules.yaml":  "read modules: document in line 1",
	}
	for _, rec := range rep.Records() {
		reason, ours := want[rec.Name]
		delete(want, rec.Name)
		switch {
		case !ours || reason == "":
			if rec.State != report.OK {
				t.Errorf("%+v", rec)
			}
		case rec.State != report.Damaged || rec.Kind != "metadata" || !strings.Contains(rec.Reason, reason):
			t.Errorf("%+v, want %q", rec, reason)
		}
	}
	if len(want) > 0 {
		t.Errorf("no record of %v", want)
	}
}

// A damaged slice is told once, as the blob that it is.
func TestDamagedMetadata(t *testing.T) {
	f := bundletest.New(t)
	f.Metadata("os/x86_64", "comps", "<comps><group><id>a</id></group></comps>")
	path := f.Build(t)
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	at, ok := a.Offset(f.Lock.Metadata[0].Digest)
	a.Close()
	if !ok {
		t.Fatal("the slice is not in the archive")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.Clone(data)
	data[at] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	rep, _ := run(t, path)
	found := rep.Findings()
	if len(found) != 1 || found[0].Name != "os/x86_64/comps.xml" || !strings.Contains(found[0].Reason, "hashes to") || strings.Contains(found[0].Reason, "root element") {
		t.Errorf("%+v", found)
	}
}
