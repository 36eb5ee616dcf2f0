package cli

import (
	"fmt"
	"io"
	"runtime/debug"
	"syscall"

	"airbundle/internal/report"
	"airbundle/internal/workers"
)

// withoutCore keeps the memory of the process, logins and all, out of core files. The kernel
// writes none below one page, and takes the limit 1 as the word that nothing be handed to a
// program of core_pattern either (core(5), fs/coredump.c).
func withoutCore() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &l) == nil && l.Cur > 1 {
		l.Cur = 1
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &l) // lowering needs no right
	}
}

// guard runs f. A panic becomes exit code 1: the stack is told, and of the value only its
// type, for nobody has taken secrets out of it. Those of goroutines come here
// through whoever waits for them (internal/workers).
func guard(w io.Writer, name string, f func() int) (code int) {
	defer func() {
		v := recover()
		if p, ok := v.(*workers.PanicError); ok {
			fmt.Fprintf(w, "%s: %v\n", name, p)
			code = p.ExitCode()
		} else if v != nil {
			fmt.Fprintf(w, "%s: internal error: a panic with a %T; please report it with this stack\n%s", name, v, debug.Stack())
			code = int(report.ClassInternal)
		}
	}()
	return f()
}
