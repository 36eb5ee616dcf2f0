// Command bundler is the connected side of airbundle.
package main

import (
	"context"
	"os"

	"airbundle/internal/cli"
	"airbundle/internal/cli/bundler"
)

func main() {
	ctx, stop := cli.Notify(context.Background())
	s := cli.System()
	code := cli.Main(ctx, bundler.New(s), os.Args[1:], s)
	stop()
	os.Exit(code)
}
