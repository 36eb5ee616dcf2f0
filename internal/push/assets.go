package push

import (
	"context"
	"errors"
	"time"

	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// errImagesOnly is why a plain registry takes no RPM, no file and no chart.
var errImagesOnly = report.WithClass(report.ClassUsage, report.Advise(errors.New("a plain registry takes images only"), "push to a Nexus with --nexus, or select --only image"))

// assetTasks returns a task for each RPM, file and chart.
func (r *run) assetTasks(items []target.Item) []task {
	var tasks []task
	for _, it := range items {
		if it.Kind == manifest.KindImage || it.Made != nil {
			continue
		}
		if r.to.Assets == nil {
			r.failed(record(it, r.to.Name), errImagesOnly)
			continue
		}
		desc, _ := r.bundle.Blob(it.Digest)
		r.total.Add(desc.Size)
		tasks = append(tasks, task{false, desc.Size, it.Place.Repository + "/" + it.Place.Path, func(ctx context.Context) { r.asset(ctx, it) }, r.yumOf(it)})
	}
	return tasks
}

// yumOf returns the repository that must be ready for an item; nil when there is none.
func (r *run) yumOf(it target.Item) *yumRepository {
	if it.Kind != manifest.KindRPM || it.Raw {
		return nil
	}
	return r.yum[it.Place.Repository]
}

// asset makes one RPM, file or chart present.
func (r *run) asset(ctx context.Context, it target.Item) {
	start := time.Now()
	rec := record(it, it.Place.Repository+"/"+it.Place.Path)
	sent, state, err := r.putAsset(ctx, it)
	r.settled(it, err)
	r.sent.Add(sent)
	rec.Bytes, rec.Seconds = sent, time.Since(start).Seconds()
	if err != nil {
		r.failed(rec, err)
		return
	}
	rec.State = state
	if (it.Kind == manifest.KindRPM && !it.Raw || it.Kind == manifest.KindChart) && !r.o.DryRun {
		r.hold(it, rec) // not done before the served metadata lists it
		return
	}
	r.add(rec)
}

func (r *run) putAsset(ctx context.Context, it target.Item) (sent int64, state report.State, err error) {
	if err := context.Cause(ctx); err != nil {
		return 0, "", err
	}
	if it.Kind == manifest.KindRPM {
		if err := r.checkRPM(ctx, it); err != nil {
			return 0, "", err
		}
	}
	desc, _ := r.bundle.Blob(it.Digest)
	t := r.o.Progress.Begin(it.Name, desc.Size)
	defer func() { t.End(err) }()
	content := r.reading(desc, t)
	if r.o.DryRun {
		equal, err := r.to.Assets.Present(ctx, it.Place.Repository, it.Place.Path, desc, content.open)
		if err != nil {
			return 0, "", err
		}
		if equal {
			r.skip(desc)
			return 0, report.Present, nil
		}
		return desc.Size, report.Planned, nil
	}
	sent, _, err = r.to.Assets.Put(ctx, it.Place.Repository, it.Place.Path, desc, r.o.Overwrite, content.open)
	if err != nil {
		return sent, "", r.refusedRPM(it, err)
	}
	content.settle()
	if sent == 0 {
		r.skip(desc)
		return 0, report.Present, nil
	}
	return sent, report.Sent, nil
}
