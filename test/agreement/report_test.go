package agreement

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// report says how often both agree, and fails where they must and do not.
func report(t *testing.T, all []*outcome) {
	t.Helper()
	var same, forced, forcedSame, bothRefuse, onlyDNF, onlyWe, invalid int
	var took time.Duration
	dnfTook := 0.0
	for _, o := range all {
		took += o.took
		dnfTook += o.dnf.Seconds
		if !o.dnfRefuses() && o.dnf.Choices == 0 {
			forced++
			if o.same() {
				forcedSame++
			}
		}
		switch {
		case o.same():
			same++
			continue
		case o.dnfRefuses() && o.why != nil:
			bothRefuse++
			continue
		case o.dnfRefuses():
			onlyWe++
		case o.why != nil:
			onlyDNF++
		}
		if len(o.dnf.Judged) > 0 {
			invalid++
		}
		t.Log(o.difference())
	}
	t.Logf("%d requests: %d the same list, %d refused by both, %d differ (%d of these no valid lock), %d solved by dnf only, %d by us only; forced: %d of %d the same",
		len(all), same, bothRefuse, len(all)-same-bothRefuse-onlyDNF-onlyWe, invalid, onlyDNF, onlyWe, forcedSame, forced)
	t.Logf("solving: ours %.1f s, dnf %.1f s", took.Seconds(), dnfTook)
	if forcedSame != forced {
		t.Errorf("%d of %d answers without a choice are not dnf's", forced-forcedSame, forced)
	}
	if share := float64(same+bothRefuse) / float64(len(all)); share < agreed {
		t.Errorf("%.2f %% of all answers are dnf's, want %.0f %%", 100*share, 100*agreed)
	}
	if invalid > 0 {
		t.Errorf("%d locks are not valid by dnf's judgement", invalid)
	}
}

func (o *outcome) difference() string {
	head := fmt.Sprintf("%s (choices %d)", o.ID, o.dnf.Choices)
	switch {
	case o.why != nil:
		return fmt.Sprintf("%s: dnf takes %d packages, we refuse: %v", head, len(o.dnf.Packages), o.why)
	case o.dnfRefuses():
		return fmt.Sprintf("%s: we take %d packages, dnf refuses: %v %s", head, len(o.ours), o.dnf.Missing, o.dnf.Error)
	}
	return fmt.Sprintf("%s: of %d and %d packages\n  only dnf: %v\n  only we: %v\n  judged: %v", head, len(o.dnf.Packages), len(o.ours), without(o.dnf.Packages, o.ours), without(o.ours, o.dnf.Packages), o.dnf.Judged)
}

func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}
