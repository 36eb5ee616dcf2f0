package bundler

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"airbundle/internal/atomicfile"
	"airbundle/internal/cli"
	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

// A lockOutcome is what a run of lock has to say or to write.
type lockOutcome struct {
	*lock.Result
	old     *lockfile.Lock
	encoded []byte
	took    time.Duration
}

// lockedJSON is the JSON form of lock's result.
type lockedJSON struct {
	Name    string        `json:"name"`
	Lock    string        `json:"lock"` // digest
	File    string        `json:"file,omitempty"`
	Written bool          `json:"written"`
	Totals  []lockedTotal `json:"totals"`
	Absent  int           `json:"absent"`
	Changes []string      `json:"changes"`
	Notes   []string      `json:"notes"`
	Seconds float64       `json:"seconds"`
}

type lockedTotal struct {
	Kind    string `json:"kind"`
	Arch    string `json:"arch,omitempty"`
	Entries int    `json:"entries"`
	Bytes   int64  `json:"bytes,omitempty"` // of images it is known when they are planned
}

// finishLock writes the lock, or says what it would be.
func finishLock(s cli.Streams, talk *cli.Talk, o *lockOptions, out lockOutcome) error {
	if o.check {
		return printChecked(s.Out, o, out)
	}
	for _, c := range out.Changes {
		talk.Printf("%s", c)
	}
	switch {
	case o.dryRun:
		return printLocked(s.Out, o, out)
	case o.out == "-":
		_, err := s.Out.Write(out.encoded)
		return err
	}
	if err := writeLock(o.out, out); err != nil {
		return err
	}
	if o.results.Output.JSON() && !o.charts.show {
		return printLocked(s.Out, o, out)
	}
	l := out.Lock
	talk.Printf("locked %s: %d images, %d RPMs, %d files, %d charts, %d absences; %s; lock %s; %.1f s",
		o.out, len(l.Images), len(l.RPMs), len(l.Files), len(l.Charts), len(l.Absent), changed(out), l.Digest(), out.took.Seconds())
	return nil
}

// checkRelative refuses a lock in another directory than the request, where it names paths
// that are relative: they would mean other files there.
func checkRelative(o *lockOptions, l *lockfile.Lock) error {
	if o.out == "" || o.out == "-" {
		return nil
	}
	from, err := filepath.Abs(filepath.Dir(o.request))
	if err != nil {
		return err
	}
	to, err := filepath.Abs(filepath.Dir(o.out))
	if err != nil || from == to {
		return err
	}
	for _, i := range l.Images {
		if _, name, _ := strings.Cut(i.Source, ":"); i.Local() && !strings.HasPrefix(name, "/") {
			return relativeError(o, i.Source)
		}
	}
	var urls []string
	for _, p := range l.RPMs {
		urls = append(urls, p.URLs...)
	}
	for _, f := range l.Files {
		urls = append(urls, f.URLs...)
	}
	for _, c := range l.Charts {
		urls = append(urls, c.URLs...)
	}
	for _, u := range urls {
		if name, ok := strings.CutPrefix(u, "file:"); ok && !strings.HasPrefix(name, "/") {
			return relativeError(o, u)
		}
	}
	return nil
}

func relativeError(o *lockOptions, what string) error {
	return cli.Usage("%s is relative to %s, and would be to the lock: write the lock beside the request, or name an absolute path", what, o.request)
}

// changed sums up what is different from the lock that stood there.
func changed(out lockOutcome) string {
	switch {
	case out.old == nil:
		return "a new lock"
	case len(out.Changes) == 0:
		return "nothing changed"
	case len(out.Changes) == 1:
		return "1 change"
	}
	return fmt.Sprintf("%d changes", len(out.Changes))
}

// writeLock writes side files first and the lock last, so that a lock always finds its
// own; then it removes those of the old lock that the new one does not name.
func writeLock(file string, out lockOutcome) error {
	dir := filepath.Dir(file)
	for _, name := range sortedNames(out.Files) {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := atomicfile.WriteFile(to, out.Files[name], 0o644); err != nil {
			return err
		}
	}
	if err := atomicfile.WriteFile(file, out.encoded, 0o644); err != nil {
		return err
	}
	side, left := sideDir(file), sideFiles(out.Lock)
	atomicfile.Sweep(filepath.Join(dir, filepath.FromSlash(side)))
	if out.old == nil {
		return nil
	}
	for _, name := range sideFiles(out.old) {
		if path.Dir(name) != side || slices.Contains(left, name) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, filepath.FromSlash(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the lock is written, but an old side file stays: %w", err)
		}
	}
	return nil
}

// sideFiles are the relative paths that a lock's metadata lies at.
func sideFiles(l *lockfile.Lock) []string {
	var names []string
	for _, m := range l.Metadata {
		for _, u := range m.URLs {
			raw, ok := strings.CutPrefix(u, "file:")
			if name, err := url.PathUnescape(raw); ok && err == nil && !strings.HasPrefix(name, "/") {
				names = append(names, path.Clean(name))
			}
		}
	}
	return names
}

// printChecked says whether the lock is still right; what differs is the result.
func printChecked(w io.Writer, o *lockOptions, out lockOutcome) error {
	var err error
	if o.results.Output.JSON() {
		err = printLocked(w, o, out)
	} else {
		var text strings.Builder
		for _, c := range out.Changes {
			fmt.Fprintln(&text, c)
		}
		if len(out.Changes) == 0 {
			fmt.Fprintf(&text, "%s is what %s gives now; lock %s\n", o.out, o.request, out.old.Digest())
		} else {
			fmt.Fprintf(&text, "%s is not what %s gives now: %s\n", o.out, o.request, changed(out))
		}
		_, err = io.WriteString(w, text.String())
	}
	if err == nil && len(out.Changes) > 0 {
		return &cli.ResultError{Code: int(report.ClassContent)}
	}
	return err
}

// printLocked prints the summary of a lock.
func printLocked(w io.Writer, o *lockOptions, out lockOutcome) error {
	l := out.Lock
	if o.results.Output.JSON() {
		return cli.WriteJSON(w, lockedJSON{
			Name: l.Name, Lock: string(l.Digest()), File: o.out, Written: !o.dryRun && !o.check, Totals: totals(l), Absent: len(l.Absent),
			Changes: append([]string{}, out.Changes...), Notes: append([]string{}, out.Notes...), Seconds: out.took.Seconds(),
		})
	}
	var text strings.Builder
	for _, t := range totals(l) {
		fmt.Fprintf(&text, "%-9s %-8s %6d", t.Kind, t.Arch, t.Entries)
		if t.Bytes > 0 {
			fmt.Fprintf(&text, " %14d bytes", t.Bytes)
		}
		text.WriteByte('\n')
	}
	fmt.Fprintf(&text, "%d absences; %s; lock %s; nothing written\n", len(l.Absent), changed(out), l.Digest())
	_, err := io.WriteString(w, text.String())
	return err
}

// totals counts a lock by kind and arch.
func totals(l *lockfile.Lock) []lockedTotal {
	sums := []lockedTotal{}
	add := func(kind, arch string, size int64) {
		i := slices.IndexFunc(sums, func(t lockedTotal) bool { return t.Kind == kind && t.Arch == arch })
		if i < 0 {
			i = len(sums)
			sums = append(sums, lockedTotal{Kind: kind, Arch: arch})
		}
		sums[i].Entries++
		sums[i].Bytes += size
	}
	for range l.Images {
		add("images", "", 0)
	}
	for _, arch := range l.Arches {
		for _, p := range l.RPMs {
			if p.BaseArch == arch {
				add("rpms", arch, p.Size)
			}
		}
	}
	for _, arch := range append(slices.Clone(l.Arches), "") {
		for _, f := range l.Files {
			if f.Arch == arch {
				add("files", arch, f.Size)
			}
		}
	}
	for _, c := range l.Charts {
		add("charts", "", c.Size)
	}
	for _, m := range l.Metadata {
		add("metadata", "", m.Size)
	}
	return sums
}
