package probe

import (
	"context"
	"fmt"
	"net/http"
)

func (r *run) askRaw(ctx context.Context, s *Scratch) {
	if s == nil {
		r.missing(formatRaw, 14)
		return
	}
	r.try(ctx, s, 14, r.atomicCreate)
}

// atomicCreate puts one file twice, the second time only if there is none.
func (r *run) atomicCreate(ctx context.Context, q *Question, repo string) error {
	const sw = "PutIfNoneMatch=%t"
	name := mark + "/" + r.id + "/if-none-match.bin"
	put := call{method: http.MethodPut, path: r.content(repo, name), body: []byte("first " + r.id + "\n"),
		header: map[string]string{"Content-Type": "application/octet-stream", "If-None-Match": "*"}}
	first, err := r.exchange(ctx, q, put)
	if first.stored() {
		r.keep(kindFile, repo, put.path, name)
	}
	if err != nil {
		return err
	}
	if !first.ok() {
		return &unexpectedError{"the first PUT with If-None-Match: *", first.says()}
	}
	put.body = []byte("second " + r.id + "\n")
	second, err := r.exchange(ctx, q, put)
	switch {
	case err != nil:
		return err
	case second.status == http.StatusPreconditionFailed:
		q.answered(repo, fmt.Sprintf(sw, true), "raw PUT with If-None-Match: * onto a file answers %s: it is obeyed", second.says())
	case second.ok():
		q.answered(repo, fmt.Sprintf(sw, false), "raw PUT with If-None-Match: * onto a file answers %s: it is not obeyed, the file is replaced", second.says())
	default:
		q.open(repo, "raw PUT with If-None-Match: * onto a file answers %s, which may be the deployment policy's word: name a raw scratch repository that allows redeploy", second.says())
	}
	return nil
}
