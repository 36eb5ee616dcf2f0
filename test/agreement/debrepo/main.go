// Command debrepo writes the repositories that choosing is compared on into a directory, to
// try things by hand: main-ARCH and sec-ARCH made of apt's lists, and, with -cs9 DIR
// (rpm/ of the optional test data), cs9-appstream-aarch64 and cs9-baseos-aarch64.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"airbundle/test/agreement/debian"
	"airbundle/test/agreement/renamed"
)

func main() {
	out := flag.String("out", ".", "directory for the repositories")
	cs9 := flag.String("cs9", "", "directory with cs9-appstream and cs9-baseos")
	flag.Parse()
	if err := run(*out, *cs9); err != nil {
		fmt.Fprintln(os.Stderr, "debrepo:", err)
		os.Exit(1)
	}
}

func run(out, cs9 string) error {
	for _, arch := range []string{"x86_64", "aarch64"} {
		counts, err := debian.Repositories(context.Background(), out, arch)
		if err != nil {
			return err
		}
		fmt.Println(counts)
	}
	for _, name := range []string{"cs9-appstream", "cs9-baseos"} {
		if cs9 == "" {
			break
		}
		if err := renamed.Write(filepath.Join(out, name+"-aarch64"), filepath.Join(cs9, name)); err != nil {
			return err
		}
	}
	return nil
}
