package seeder

import (
	"bytes"
	"cmp"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"airbundle/internal/cli"
)

// Each flag that an operator sees is described in docs/, and not only by --help.
func TestFlagsAreDescribed(t *testing.T) {
	var docs strings.Builder
	for _, name := range []string{"operations.md", "nexus.md"} {
		text, err := os.ReadFile("../../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		docs.Write(text)
	}
	seen := 0
	for _, cmd := range New(cli.Streams{}).Commands() {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if seen++; !f.Hidden && !regexp.MustCompile("--"+f.Name+`\b| -`+cmp.Or(f.Shorthand, "-"+f.Name)+`\b`).MatchString(docs.String()) {
				t.Errorf("%s --%s is not described", cmd.Name(), f.Name)
			}
		})
	}
	if seen < 50 {
		t.Errorf("%d flags seen", seen)
	}
}

func TestComplete(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // the shell chooses among them; last is cobra's directive: 4 is no files, 0 files too
	}{
		{[]string{"push", "b.tar", "--docker-via", ""}, "auto\nmain\nconnector\n:4\n"},
		{[]string{"audit", "b.tar", "--target", "kube"}, "kubeoperator-3.16\n:0\n"},
		{[]string{"plan", "b.tar", "--rpm-layout", ""}, "yum\nraw\n:4\n"},
		{[]string{"verify", "b.tar", "--output", "j"}, "text\njson\n:4\n"},
		{[]string{"probe", "--docker-via", "c"}, "auto\nmain\nconnector\n:4\n"},
	} {
		var out bytes.Buffer
		cmd := New(cli.Streams{})
		cmd.SetOut(&out)
		cmd.SetErr(&bytes.Buffer{})
		cmd.SetArgs(append([]string{"__complete"}, c.args...))
		if err := cmd.ExecuteContext(t.Context()); err != nil || out.String() != c.want {
			t.Errorf("%v: %v, %q, want %q", c.args, err, out.String(), c.want)
		}
	}
}
