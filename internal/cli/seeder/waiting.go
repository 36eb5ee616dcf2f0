package seeder

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"airbundle/internal/cli"
	"airbundle/internal/push"
)

// waitEvery is how often a wait is told where there is no terminal.
const waitEvery = 30 * time.Second

// waiting tells how far the metadata is that a push waits for: in the bar on a terminal, by
// a line now and then elsewhere.
type waiting struct {
	talk     *cli.Talk
	bar      *cli.Bar
	terminal bool

	mu  sync.Mutex
	due map[string]time.Duration // of each wait: when its next line is
}

func (w *waiting) told(now push.Wait) {
	text := waitText(now)
	if w.terminal {
		w.bar.Describe(text)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	about, _, _ := strings.Cut(text, ":")
	if now.For < w.due[about] {
		return
	}
	if w.due == nil {
		w.due = map[string]time.Duration{}
	}
	w.due[about] = now.For + waitEvery
	w.talk.Printf("%s", text)
}

func waitText(w push.Wait) string {
	repos, spent := strings.Join(w.Repositories, ", "), w.For.Round(time.Second)
	if w.Of == 0 {
		return fmt.Sprintf("waiting for the first yum metadata of %s: %s", repos, spent)
	}
	return fmt.Sprintf("waiting for the metadata of %s: %d of %d listed, %s", repos, w.Listed, w.Of, spent)
}
