package messages

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"airbundle/internal/cli"
	"airbundle/internal/cli/bundler"
	"airbundle/internal/cli/seeder"
)

// TestExamples: each command shows examples, which name commands and flags that there are, with
// values that are taken, and as many arguments as the command wants.
func TestExamples(t *testing.T) {
	seen := 0
	for _, tree := range []func(cli.Streams) *cobra.Command{bundler.New, seeder.New} {
		root := tree(cli.Streams{})
		for _, cmd := range root.Commands() {
			if cmd.Hidden {
				continue
			}
			if cmd.Example == "" {
				t.Errorf("%s shows no example", cmd.CommandPath())
			}
			for line := range strings.Lines(cmd.Example) {
				seen++
				line, _, _ = strings.Cut(line, " > ")
				args := strings.Fields(line)
				fresh := tree(cli.Streams{})
				found, rest, err := fresh.Find(args[1:])
				if err != nil || args[0] != root.Name() || found.Name() != cmd.Name() {
					t.Errorf("%q: %v, %v", line, found, err)
					continue
				}
				if err = found.ParseFlags(rest); err == nil {
					err = found.ValidateArgs(found.Flags().Args())
				}
				if err != nil {
					t.Errorf("%q: %v", line, err)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d examples only", seen)
	}
}

// TestShells: completion is written for each shell, and what is no command, no flag or no
// value ends with exit code 2 and a hint.
func TestShells(t *testing.T) {
	p := newProcess(t)
	for _, program := range []string{"bundler", "seeder"} {
		for _, shell := range []string{"bash", "zsh", "fish"} {
			if r := p.run(t, program, "completion", shell); r.code != 0 || !strings.Contains(r.out, "__complete") {
				t.Errorf("%s completion %s: exit %d, %d bytes: %s", program, shell, r.code, len(r.out), r.err)
			}
		}
		for _, args := range [][]string{{"nope"}, {"--nope"}, {"help", "--nope"}, {"completion", "--nope"}} {
			if r := p.run(t, program, args...); r.code != 2 || r.out != "" || !strings.Contains(r.err, "--help' for usage") {
				t.Errorf("%s %q: exit %d, %s%s", program, args, r.code, r.out, r.err)
			}
		}
	}
	for _, c := range []struct{ args, hint string }{
		{"seeder verfy x", "verify"},
		{"seeder verify", "--help' for usage"},
		{"seeder verify x --jobs 0", "from 1 to 1024"},
		{"seeder verify x --output yaml", "text nor json"},
		{"bundler build x.lock.yaml", "-o"},
		{"bundler lock", "--help' for usage"},
		{"seeder push x --nexus http://h --arch=", "leave it out"},
		{"seeder push x --nexus http://h --only=", "leave it out"},
		{"seeder verify x --key=", "leave it out"},
		{"bundler build x.lock.yaml -o y --group=", "leave it out"},
	} {
		args := strings.Fields(c.args)
		r := p.run(t, args[0], args[1:]...)
		if r.code != 2 || !strings.Contains(r.err, c.hint) || bytes.Contains([]byte(r.err), []byte("\n"+args[0]+": \n")) {
			t.Errorf("%s: exit %d, %q", c.args, r.code, r.err)
		}
	}
}
