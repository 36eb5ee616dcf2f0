package bundler

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"airbundle/internal/cli"
	"airbundle/internal/interchange"
	"airbundle/internal/lockfile"
	"airbundle/internal/regular"
)

// checkLockFlags refuses flags that contradict each other, and reads the lock that stands
// at -o, nil when there is none.
func checkLockFlags(o *lockOptions) (*lockfile.Lock, error) {
	if err := o.charts.check(o.out); err != nil {
		return nil, err
	}
	file := o.out != "" && o.out != "-"
	switch {
	case o.out == "" && !o.dryRun && !o.charts.show:
		return nil, cli.Usage("say where to write the lock: -o NAME.lock.yaml")
	case o.charts.show && o.dryRun:
		return nil, cli.Usage("--show-chart-images and --dry-run both print a result: ask for one of them")
	case o.check && (o.dryRun || o.charts.show || len(o.update) > 0):
		return nil, cli.Usage("--check compares the whole lock and writes nothing: it goes with no other mode")
	case (o.check || len(o.update) > 0) && !file:
		return nil, cli.Usage("--check and --update need the lock: -o NAME.lock.yaml")
	case o.out == "-" && (o.results.Output.JSON() || o.dryRun):
		return nil, cli.Usage("standard output has the lock already: name a file for it, -o NAME.lock.yaml")
	case !file:
		return nil, nil
	}
	return readOldLock(o.out, o.check || len(o.update) > 0)
}

// readOldLock reads the lock that a new one takes the place of. Anything but a lock that
// stands there was named by mistake.
func readOldLock(path string, must bool) (*lockfile.Lock, error) {
	data, err := regular.ReadFile(path, lockfile.MaxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist) && must:
		return nil, cli.Usage("%s: there is no lock yet: lock everything first", path)
	case errors.Is(err, fs.ErrNotExist):
		_, err := os.Stat(filepath.Dir(path)) // said now, and not when all is resolved
		return nil, err
	case err != nil:
		return nil, err
	case len(data) == 0 && !must:
		return nil, nil
	case !strings.Contains(string(data), "kind: Lock"):
		return nil, cli.Usage("%s stands there and is no lock: name another file, or remove it", path)
	}
	old, err := lockfile.DecodeLock(path, data)
	if err != nil {
		return nil, fmt.Errorf("%w\nthe lock that stands there cannot be read, so nothing could be taken over from it: mend it, or remove it to start anew", err)
	}
	return old, nil
}

// readRequest reads the request and adds what other tools' files wish.
func readRequest(o *lockOptions, talk *cli.Talk) (*lockfile.Request, []*interchange.Imported, error) {
	data, err := regular.ReadFile(o.request, lockfile.MaxSize)
	if err != nil {
		return nil, nil, err
	}
	req, err := lockfile.DecodeRequest(o.request, data)
	if err != nil {
		return nil, nil, err
	}
	var all []*interchange.Imported
	for _, arg := range o.imports {
		i, err := readImport(arg, req)
		if err != nil {
			return nil, nil, err
		}
		for _, n := range i.Notes {
			talk.Printf("note: %s", n)
		}
		all = append(all, i)
	}
	return req, all, nil
}

// readImport reads one FORMAT:FILE into the request. What comes from there has no line in
// the request.
func readImport(arg string, req *lockfile.Request) (*interchange.Imported, error) {
	format, file, ok := strings.Cut(arg, ":")
	if !ok || file == "" || !slices.Contains(interchange.Formats(), format) {
		return nil, cli.Usage("--import %s: want FORMAT:FILE, where FORMAT is one of %s", arg, strings.Join(interchange.Formats(), ", "))
	}
	data, err := regular.ReadFile(file, interchange.MaxSize)
	if err != nil {
		return nil, err
	}
	i, err := interchange.Import(format, file, data)
	if err != nil {
		return nil, err
	}
	images, files, charts, sets := len(req.Images), len(req.Files), len(req.Charts), len(req.Packages)
	if err := i.Into(req); err != nil {
		return nil, err
	}
	for n := range req.Images[images:] {
		req.Images[images+n].Line = 0
	}
	for n := range req.Files[files:] {
		req.Files[files+n].Line = 0
	}
	for n := range req.Charts[charts:] {
		req.Charts[charts+n].Line = 0
	}
	for n := range req.Packages[sets:] {
		req.Packages[sets+n].Line = 0
	}
	return i, nil
}
