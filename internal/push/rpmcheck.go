package push

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/target"
)

// zstdSince is the first version that is certain to read packages with zstd payload; of
// 3.40.1 it is not known.
const zstdSince = "3.71"

// checkRPM says why a package is not sent. A server reads the headers of all packages to
// make its metadata, and makes none because of one that it cannot read. So that one is
// found here, by lead and headers alone; the payload is verified as it goes.
func (r *run) checkRPM(ctx context.Context, it target.Item) error {
	if y := r.yumOf(it); y != nil {
		if err := y.fits(it); err != nil {
			return err
		}
	}
	desc, _ := r.bundle.Blob(it.Digest)
	h, err := createrepo.Header(ctx, r.store, desc)
	if err != nil {
		return fmt.Errorf("it is not sent, for its header cannot be read: %w", err)
	}
	if p := r.bundle.Table.RPMs[it.Index]; h.Name != p.Name || h.EVR() != strings.TrimPrefix(p.EVR, "0:") || h.Arch != p.Arch {
		return report.WithClass(report.ClassContent, fmt.Errorf("it is not sent: its header says that it is %s, the bundle has it as %s", h.NEVRA(), p.NEVRA()))
	}
	if h.Compressor == "zstd" && r.mayNotReadZstd(it) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.zstd = append(r.zstd, it.Place.Path)
	}
	return nil
}

// mayNotReadZstd says whether it is not certain that the server reads zstd payloads, and
// has to.
func (r *run) mayNotReadZstd(it target.Item) bool {
	return r.yumOf(it) != nil && r.to.Version != "" && rpm.CompareVersion(r.to.Version, zstdSince) < 0
}

// A rpmRefusal is a server's refusal of a package whose header is good, with what may be
// behind it. It is no absence, whatever the status.
type rpmRefusal struct {
	err  error
	hint string
}

func (e *rpmRefusal) Error() string  { return e.err.Error() + "; " + e.hint }
func (e *rpmRefusal) Advice() string { return e.hint }

// Unwrap returns the server's answer.
func (e *rpmRefusal) Unwrap() error { return e.err }

// ExitCode is that of a refusal.
func (e *rpmRefusal) ExitCode() int { return int(report.ClassRefused) }

// refusedRPM says what may be behind a refusal of a package by a yum repository.
func (r *run) refusedRPM(it target.Item, err error) error {
	y := r.yumOf(it)
	code := httpx.StatusCode(err)
	switch {
	case y == nil || code != http.StatusBadRequest && code != http.StatusNotFound, report.Classify(err) == report.ClassIncomplete:
		return err
	case strings.Contains(err.Error(), "Invalid RPM"):
		return &rpmRefusal{err, "its header is good, so the server cannot read packages of this kind: push them with --rpm-layout raw"}
	case y.depth == unknownDepth && (code == http.StatusBadRequest || report.Classify(err) != report.ClassRefused): // else there is no such repository
		return &rpmRefusal{err, fmt.Sprintf("it lies %d directories deep: if that is less than the Repodata Depth of %s, name another repository with --yum-repo, or push with --rpm-layout raw", it.Place.Depth(), y.name)}
	}
	return err
}
