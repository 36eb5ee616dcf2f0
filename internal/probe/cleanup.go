package probe

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// cleanupTime bounds the cleanup, which goes on after an interruption.
const cleanupTime = time.Minute

// upload is something that lies in a scratch repository now.
type upload struct {
	repo string
	path string // that DELETE is sent to
	kind kind
	name string // for people
}

// kind is what is uploaded. Manifests go before blobs, indexes before what they name.
type kind int

const (
	kindFile kind = iota
	kindIndex
	kindManifest
	kindBlob
)

// keep notes what was uploaded, so that it can be deleted.
func (r *run) keep(k kind, repo, path, name string) {
	r.left = append(r.left, upload{repo, path, k, name})
}

// cleanup deletes what the run has uploaded, as far as the server lets it.
func (r *run) cleanup(ctx context.Context) {
	q := &r.questions[0]
	q.Text = "Cleanup"
	switch {
	case len(r.left) == 0:
		q.answered("", "", "nothing was uploaded")
		return
	case r.o.Keep:
		q.notAsked("--keep: %s stay", r.leftovers(r.left))
		return
	}
	r.o.Talk("delete what was uploaded")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	var stay []upload
	told := false // how DELETE of a blob answers
	for _, k := range []kind{kindFile, kindIndex, kindManifest, kindBlob} {
		for _, up := range slices.Backward(r.left) { // an index in an index comes after it
			if up.kind == k {
				status := r.remove(ctx, q, up)
				if status/100 != 2 && status != http.StatusNotFound {
					stay = append(stay, up)
				}
				if k == kindBlob && !told && status != 0 && !slices.Contains(beside, status) {
					told = true
					q.answered(up.repo, fmt.Sprintf("DeleteBlobs=%t", status/100 == 2), "DELETE of a blob answers %d", status)
				}
			}
		}
	}
	if len(stay) > 0 {
		q.open("", "%s stay: %s. Blobs without a manifest go when the server's task Docker - Delete unused manifests and images runs and the blob store is compacted; delete the rest by hand, or the scratch repository", r.leftovers(stay), names(stay))
		return
	}
	q.answered("", "", "%s are deleted", r.leftovers(r.left))
}

// remove deletes one thing and returns the status of the answer, 0 for none. Headers and
// body are noted of the first answer of each kind only.
func (r *run) remove(ctx context.Context, q *Question, up upload) int {
	a, _ := r.send(ctx, call{method: http.MethodDelete, path: up.path}) // what went wrong is in the exchange
	for _, x := range q.Exchanges {
		if strings.HasPrefix(x.Request, http.MethodDelete) && x.Answer == a.exchange.Answer {
			a.exchange.Headers, a.exchange.Body = nil, ""
		}
	}
	q.Exchanges = append(q.Exchanges, a.exchange)
	return a.status
}

// leftovers counts by kind.
func (r *run) leftovers(ups []upload) string {
	var n [4]int
	for _, up := range ups {
		n[up.kind]++
	}
	var parts []string
	for k, word := range []string{"files", "indexes", "manifests", "blobs"} {
		if n[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[k], word))
		}
	}
	return strings.Join(parts, ", ")
}

func names(ups []upload) string {
	var all []string
	for _, up := range ups {
		all = append(all, up.repo+" "+up.name)
	}
	return strings.Join(all, ", ")
}
