package cli

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"

	"airbundle/internal/progress"
	"airbundle/internal/report"
)

// A Bar sums up the bytes of all tasks of one piece of work. On a terminal it is drawn
// with rate and time left; elsewhere it draws nothing. It never goes back.
type Bar struct {
	bar  *progressbar.ProgressBar
	done atomic.Int64
	mu   sync.Mutex
	top  int64
}

// NewBar starts a bar of total bytes (-1: unknown). Call Finish at the end.
func NewBar(s Streams, quiet bool, label string, total int64) *Bar {
	b := &Bar{}
	if s.Terminal && !quiet {
		b.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(s.Err), progressbar.OptionSetDescription(label),
			progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true))
	}
	return b
}

// SetTotal says how many bytes there are, once that is known.
func (b *Bar) SetTotal(total int64) {
	if b.bar != nil && total > 0 {
		b.bar.ChangeMax64(total)
	}
}

// Describe says what the bar is about now, on a terminal.
func (b *Bar) Describe(label string) {
	if b.bar != nil {
		b.bar.Describe(label)
	}
}

// Finish takes the bar off the terminal.
func (b *Bar) Finish() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}

// Begin implements progress.Sink.
func (b *Bar) Begin(string, int64) progress.Task { return barTask{b} }

type barTask struct{ b *Bar }

func (t barTask) Add(n int64) {
	now := t.b.done.Add(n)
	if t.b.bar == nil {
		return
	}
	t.b.mu.Lock()
	defer t.b.mu.Unlock()
	if now > t.b.top {
		t.b.top = now
		_ = t.b.bar.Set64(now)
	}
}

func (t barTask) End(error) {}

// A Talk prints lines to the operator, one at a time, and nothing when it is quiet.
type Talk struct {
	mu    sync.Mutex
	s     Streams
	quiet bool
}

// NewTalk returns a Talk on the streams' Err.
func NewTalk(s Streams, quiet bool) *Talk { return &Talk{s: s, quiet: quiet} }

// Item prints one line about one artifact, except on a terminal, where the bar says
// enough.
func (t *Talk) Item(format string, args ...any) {
	if !t.s.Terminal {
		t.Printf(format, args...)
	}
}

// Printf prints one line.
func (t *Talk) Printf(format string, args ...any) {
	if t.quiet {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.s.Err, format+"\n", args...)
}

// Logger returns a log that prints a line an event on the streams' Err, without the time,
// and nothing when it is quiet.
func Logger(s Streams, quiet bool) *slog.Logger {
	if quiet {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// Bytes prints a number of bytes for people: 1.5 GB, in powers of ten.
func Bytes(n int64) string { return report.Bytes(n) }
