package seeder

import (
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/pflag"

	"airbundle/internal/report"
)

// The clock of the host makes a note and nothing else: no verdict, no trust, no exit code
// depends on it (P10, S04).
func TestClockDecidesNothing(t *testing.T) {
	at := time.Date(2030, 12, 31, 0, 0, 0, 0, time.UTC)
	root := digest.FromString("root")
	for _, c := range []struct {
		expires string
		now     time.Time
		noted   bool
	}{
		{"2030-12-31T00:00:00Z", at.AddDate(-10, 0, 0), false},
		{"2030-12-31T00:00:00Z", at.Add(-time.Second), false},
		{"2030-12-31T00:00:00Z", at, true},
		{"2030-12-31T00:00:00Z", at.AddDate(10, 0, 0), true},
		{"2030-12-31T00:00:00Z", time.Unix(0, 0), false},
		{"", at.AddDate(1000, 0, 0), false},
	} {
		var o trust
		o.addFlags(pflag.NewFlagSet("", pflag.ContinueOnError))
		o.root, o.stateDir, o.etc = string(root), t.TempDir(), t.TempDir()
		o.env, o.now = func(string) string { return "" }, func() time.Time { return c.now }
		if err := o.prepare(); err != nil {
			t.Fatal(err)
		}
		v := o.judge(facts{"b.tar", root, "k8s", 3, c.expires})
		text := strings.Join(v.notes, "\n")
		said := "by this host's clock, which says " + c.now.UTC().Format(time.RFC3339)
		if v.err() != nil || v.trust != "root" || strings.Contains(text, said) != c.noted || (text != "") != c.noted {
			t.Errorf("%s at %s: %v, trust %s, %q", c.expires, c.now, v.err(), v.trust, text)
		}
		rep := &report.Report{Bundle: root}
		v.into(rep)
		if rep.Code() != 0 || rep.Serial != 3 || rep.Expires != c.expires {
			t.Errorf("%+v", rep)
		}
		if c.expires != "" && !strings.Contains(ending(rep), "; serial 3; expires "+c.expires+"; trust: root") {
			t.Errorf("%s", ending(rep))
		}
	}
}

// The key files of all users and of the account count together; what is not absolute in the
// environment counts as not set.
func TestSiteFiles(t *testing.T) {
	for _, c := range []struct{ config, home, want string }{
		{"/cfg", "/home/a", "/etc/airbundle/trusted.pub /cfg/airbundle/trusted.pub"},
		{"", "/home/a", "/etc/airbundle/trusted.pub /home/a/.config/airbundle/trusted.pub"},
		{"cfg", "/home/a", "/etc/airbundle/trusted.pub /home/a/.config/airbundle/trusted.pub"},
		{"", "", "/etc/airbundle/trusted.pub"},
		{"", "a", "/etc/airbundle/trusted.pub"},
	} {
		var o trust
		o.addFlags(pflag.NewFlagSet("", pflag.ContinueOnError))
		o.env = func(name string) string { return map[string]string{"XDG_CONFIG_HOME": c.config, "HOME": c.home}[name] }
		if got := strings.Join(o.siteFiles(trustedFile), " "); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
