// Command seeder is the air-gapped side of airbundle.
package main

import (
	"context"
	"os"

	"airbundle/internal/cli"
	"airbundle/internal/cli/seeder"
)

func main() {
	cli.SaveMemory()
	ctx, stop := cli.Notify(context.Background())
	s := cli.System()
	code := cli.Main(ctx, seeder.New(s), os.Args[1:], s)
	stop()
	os.Exit(code)
}
