package push_test

import (
	"slices"
	"strings"
	"testing"

	"airbundle/internal/archive"
	"airbundle/internal/bundletest"
	"airbundle/internal/nexustest"
	"airbundle/internal/push"
	"airbundle/internal/report"
	"airbundle/internal/target"
)

func (b *nexusBench) pushImages(o push.Options, takes target.OCI, policy string) *report.Report {
	b.t.Helper()
	places := target.Default()
	if policy != "" {
		places.Docker = strings.ToLower(strings.ReplaceAll(policy, "_", "-"))
		if err := b.double.CreateRepository(nexustest.Repository{Name: places.Docker, Format: "docker", WritePolicy: policy}); err != nil {
			b.t.Fatal(err)
		}
	}
	items, err := places.Items(b.archive.Bundle().Table, onlyImages)
	if err != nil {
		b.t.Fatal(err)
	}
	rep, _, err := push.Run(b.t.Context(), b.archive.Bundle(), b.archive, items,
		push.Target{Name: "nexus", Images: func(repo string) push.Images { return b.nexus.Docker(repo) }, OCI: takes}, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return rep
}

// Contract 3.5, 9.
// Images in OCI form go to an old Nexus with a note; they are not converted.
func TestOCIImagesOnAnOldNexus(t *testing.T) {
	b := newNexusBench(t, nexustest.Options{})
	rep := b.pushImages(push.Options{}, target.OCIUnofficial, "")
	b.clean(rep)
	if len(rep.Notes) != 1 || !strings.Contains(rep.Notes[0], "images in OCI form: ") {
		t.Errorf("notes %q", rep.Notes)
	}
	if rep = b.pushImages(push.Options{}, target.OCIOfficial, ""); len(rep.Notes) != 0 {
		t.Errorf("notes %q", rep.Notes)
	}
}

// Contract 3.5.
// What an old Nexus is known to break on is refused before a byte of it is sent, and goes
// where that is wanted all the same. The other images do not suffer.
func TestArtifactOnAnOldNexus(t *testing.T) {
	for _, accept := range []bool{false, true} {
		f := bundletest.New(t)
		f.AddArtifact("quay.io/team/model:1")
		b := newNexusBench(t, nexustest.Options{})
		a, err := archive.Open(f.Build(t))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		b.archive = a
		rep := b.pushImages(push.Options{AcceptOCI: accept}, target.OCIUnofficial, "")
		there := slices.Contains(b.double.Images("docker-hosted"), "team/model")
		if there != accept || len(b.double.Images("docker-hosted")) < 3 {
			t.Errorf("accepted: %v; the server has %v", accept, b.double.Images("docker-hosted"))
		}
		if accept {
			b.clean(rep)
			continue
		}
		if asked := b.double.Count("", "/team/model/"); rep.Code() != int(report.ClassRefused) || len(rep.Findings()) != 1 || asked != 0 {
			t.Fatalf("code %d, %d requests, %+v", rep.Code(), asked, rep.Findings())
		}
		for _, want := range []string{"team/model:1 is not sent", "no image config", "application/vnd.example.model", "--accept-oci"} {
			if reason := rep.Findings()[0].Reason + "; " + rep.Findings()[0].Next; !strings.Contains(reason, want) {
				t.Errorf("%q is not in %q", want, reason)
			}
		}
	}
}

// Contract 0.1/5 and 6, 3.4.
// A repository that allows no redeployment takes every manifest once, on OrientDB under
// one name only; children go before the index, blobs before both.
func TestImagesIntoARepositoryThatWritesOnce(t *testing.T) {
	for _, profile := range profiles {
		for _, quirks := range []nexustest.Quirks{{}, {NoSinglePost: true, BareUploads: true}, {Mount: true, LocationPrefix: true}, {BlobUnknownStatus: 404, SessionCookie: true}} {
			b := newNexusBench(t, nexustest.Options{Profile: profile, Quirks: quirks})
			b.clean(b.pushImages(push.Options{Jobs: 8}, target.OCIOfficial, "ALLOW_ONCE"))
			if again := b.double.Stats().DuplicateBlobs; again != 0 {
				t.Errorf("%s: %d blobs were sent twice", profile, again)
			}
			var order []string
			for _, e := range b.double.Requests(nexustest.Match{Method: "PUT", Route: nexustest.RouteManifest}) {
				order = append(order, e.Path)
				if e.Status != 201 {
					t.Errorf("%s: %s %d", profile, e.Path, e.Status)
				}
			}
			for _, image := range b.double.Images("allow-once") {
				last := func(mark string) int {
					at := -1
					for i, p := range order {
						if strings.Contains(p, "/v2/"+image+"/manifests/") && strings.Contains(p, "/sha256:") == (mark == "digest") {
							at = i
						}
					}
					return at
				}
				first := slices.IndexFunc(order, func(p string) bool {
					return strings.Contains(p, "/v2/"+image+"/manifests/") && !strings.Contains(p, "/sha256:")
				})
				if last("digest") > first {
					t.Errorf("%s: %s has a tag before its platforms: %q", profile, image, order)
				}
			}
		}
	}
}

// Contract 3.5.
// The server answers 500 for any manifest that is asked for: putting goes on.
func TestManifestsThatCannotBeAskedFor(t *testing.T) {
	broken := nexustest.Fault{On: nexustest.Match{Route: nexustest.RouteManifest, Method: "HEAD", Path: "/sha256:"}, Do: nexustest.Status(500, "")}
	getBroken := broken
	getBroken.On.Method = "GET"
	b := newNexusBench(t, nexustest.Options{Profile: nexustest.CE396, Faults: []nexustest.Fault{broken, getBroken}})
	b.clean(b.pushImages(push.Options{}, target.OCIOfficial, ""))
}

// Contract 3.5: HEAD says that a blob is there and the manifest says that it is not, and
// which it is or not: it is sent once more.
func TestBlobThatIsClaimed(t *testing.T) {
	for _, profile := range profiles {
		for _, quirks := range []nexustest.Quirks{{}, {BlobUnknownStatus: 404}, {BlobUnknownBare: true}} {
			b := newNexusBench(t, nexustest.Options{Profile: profile, Quirks: quirks})
			b.clean(b.pushImages(push.Options{}, target.OCIOfficial, ""))
			lost := ""
			for _, a := range b.double.Assets("docker-hosted") {
				if d, ok := strings.CutPrefix(a.Path, "v2/-/blobs/"); ok && lost == "" {
					lost = d
				}
			}
			b.double.LoseBlob("docker-hosted", lost)
			for _, a := range b.double.Assets("docker-hosted") {
				if strings.Contains(a.Path, "/manifests/") {
					b.double.Delete("docker-hosted", a.Path)
				}
			}
			b.clean(b.pushImages(push.Options{}, target.OCIOfficial, ""))
			if again := len(b.double.Requests(nexustest.Match{Route: nexustest.RouteUpload, Method: "POST", Path: lost[len("sha256:"):]})); again != 2 {
				t.Errorf("%s, %+v: blob %s was uploaded %d times", profile, quirks, lost, again)
			}
		}
	}
}

// Contract 3.5: where that does not help, the store is inconsistent, whatever the status.
func TestInconsistentStore(t *testing.T) {
	for _, status := range []int{400, 404} {
		unknown := nexustest.DockerError(status, "BLOB_UNKNOWN", "blob unknown to registry", nil)
		b := newNexusBench(t, nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Route: nexustest.RouteManifest, Method: "PUT"}, Do: unknown}}})
		rep := b.pushImages(push.Options{}, target.OCIOfficial, "")
		if len(rep.Findings()) == 0 {
			t.Errorf("%d: nothing is told", status)
		}
		for _, f := range rep.Findings() {
			if !strings.Contains(f.Reason, "blob store is inconsistent") || strings.Contains(f.Reason, "no such repository") {
				t.Errorf("%d: %s", status, f.Reason)
			}
		}
	}
}
