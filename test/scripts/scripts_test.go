package scripts

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"airbundle/internal/bundletest"
	"airbundle/internal/cli"
	"airbundle/internal/cli/bundler"
	"airbundle/internal/cli/seeder"
)

// TestMain makes both programs out of the test binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"bundler": func() { program(bundler.New) },
		"seeder":  func() { program(seeder.New) },
	})
}

// program is what the main functions in cmd do.
func program(tree func(cli.Streams) *cobra.Command) {
	ctx, stop := cli.Notify(context.Background())
	s := cli.System()
	code := cli.Main(ctx, tree(s), os.Args[1:], s)
	stop()
	os.Exit(code)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds:                commands,
		Condition: func(name string) (bool, error) {
			return name == "smalldisk" && smallDisk(), nil
		},
	})
}

// smallDisk says whether a private mount of a small file system works here.
var smallDisk = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "smalldisk")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	return exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=64k", "none", dir).Run() == nil
})

// The login that servers want. The password must not come up in any output.
const (
	user     = "deploy"
	password = "canary-5e2f-do-not-print"
)

// A world is what one script has started.
type world struct {
	t       testing.TB
	fixture *bundletest.Fixture
	source  source
	servers map[string]server
}

type worldKey struct{}

func setup(env *testscript.Env) error {
	t := env.T().(testing.TB)
	env.Values[worldKey{}] = &world{t: t, fixture: bundletest.New(t), servers: map[string]server{}}
	env.Setenv("DOCKER_CONFIG", env.WorkDir+"/.docker")
	env.Setenv("USER", user)
	env.Setenv("PASSWORD", password)
	env.Setenv("HELLO_AMD64", "os/x86_64/hello-1.2-3.x86_64.rpm")
	return nil
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }
