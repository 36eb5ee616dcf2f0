package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoLists says that this machine has no usable lists of apt.
var ErrNoLists = errors.New("apt has no lists of bookworm here: dpkg --add-architecture arm64, then i386, then apt-get update")

// Lists is where apt keeps its indices.
const Lists = "/var/lib/apt/lists"

// Repositories makes main-ARCH and sec-ARCH in dir for an rpm arch, x86_64 or aarch64,
// from apt's lists, and returns how many packages each has.
func Repositories(ctx context.Context, dir, arch string) (counts map[string]int, err error) {
	counts = map[string]int{}
	for _, r := range []struct {
		name     string
		suites   []string
		multilib bool
	}{
		{"main", []string{"bookworm", "bookworm-updates"}, arch == "x86_64"},
		{"sec", []string{"bookworm-security"}, false},
	} {
		var in Indices
		in.Main, err = open(ctx, r.suites, map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[arch])
		if err == nil && r.multilib {
			in.Multilib, err = open(ctx, r.suites, "i386")
		}
		if err != nil {
			return nil, err
		}
		packages, err := Read(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		name := r.name + "-" + arch
		counts[name] = len(packages)
		if err := Write(filepath.Join(dir, name), packages); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// open reads the indices of suites; apt says how they are packed.
func open(ctx context.Context, suites []string, arch string) ([]io.Reader, error) {
	var all []io.Reader
	for _, suite := range suites {
		found, err := filepath.Glob(filepath.Join(Lists, "*_dists_"+suite+"_main_binary-"+arch+"_Packages*"))
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(name string) bool { return strings.Contains(name, ".diff") })
		if len(found) == 0 {
			return nil, fmt.Errorf("%s of %s: %w", suite, arch, ErrNoLists)
		}
		out, err := exec.CommandContext(ctx, "/usr/lib/apt/apt-helper", "cat-file", found[0]).Output()
		if err != nil {
			return nil, fmt.Errorf("apt-helper cat-file %s: %w", found[0], err)
		}
		all = append(all, bytes.NewReader(out))
	}
	return all, nil
}
