package push

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// judgeOCI refuses an image of which the target is known to take not every part. That is
// before the first byte of it is sent.
func (r *run) judgeOCI(it target.Item, tree *manifest.ImageTree) error {
	oci, odd := target.JudgeOCI(tree, r.to.OCI)
	if oci {
		r.mu.Lock()
		r.oci++
		r.mu.Unlock()
	}
	if len(odd) == 0 || r.o.AcceptOCI {
		return nil
	}
	err := fmt.Errorf("image %s is not sent: Nexus before 3.71 takes plain images only (%s)", it.Name, strings.Join(odd, "; "))
	return report.WithClass(report.ClassRefused, report.Advise(err, "push to a newer one, select without it, or try all the same with --accept-oci"))
}

// ociNotes says what will be taken, and may not be kept.
func (r *run) ociNotes() []string {
	if r.oci == 0 {
		return nil
	}
	return []string{fmt.Sprintf("images in OCI form: %d; Nexus takes it officially from 3.71 on only: this one serves them, but its task that "+
		"deletes unused manifests may remove them; push to a newer Nexus, or bundle these images from sources in Docker's own form", r.oci)}
}

// missing are the blobs that a registry says it does not know: all of them where it does not
// say which.
func missing(unknown UnknownBlobs, m manifest.ImageManifest) []digest.Digest {
	named := unknown.UnknownBlobs()
	if len(named) == 0 {
		for _, b := range m.Node.Blobs() {
			named = append(named, b.Digest)
		}
	}
	return named
}
