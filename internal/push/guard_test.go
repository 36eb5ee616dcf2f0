package push_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"airbundle/internal/nexustest"
	"airbundle/internal/push"
	"airbundle/internal/report"
)

const guardJobs = 8

// after returns how many requests arrived when the first answer with that status had been
// given, or -1 when there was none. Each job may have one in flight, and begin another
// while the answer is on its way.
func after(log []nexustest.Entry, status int) int {
	first := slices.IndexFunc(log, func(e nexustest.Entry) bool { return e.Status == status })
	if first < 0 {
		return -1
	}
	n := 0
	for _, e := range log {
		if e.Time.After(log[first].Time.Add(log[first].Duration)) {
			n++
		}
	}
	return n
}

// named says that each of the seven artifacts has a record, and that the bad ones have
// class and reason.
func (b *nexusBench) named(rep *report.Report, class report.Class, reason string) {
	b.t.Helper()
	if len(rep.Records()) != 7 || rep.Code() != int(class) {
		b.t.Errorf("%d records, code %d; want 7, %d", len(rep.Records()), rep.Code(), class)
	}
	told := 0
	for _, f := range rep.Findings() {
		if strings.Contains(f.Reason+"; "+f.Next, reason) {
			told++
		} else if !strings.Contains(f.Reason, "not tried, because ") && !strings.Contains(f.Reason, "uploaded, but the served") {
			b.t.Errorf("neither the cause nor that it was not tried: %+v", f)
		}
	}
	if told == 0 {
		b.t.Errorf("no finding says %q: %+v", reason, rep.Findings())
	}
}

// Contract 0.1/3, 8.
// A wrong password is shown once, however many jobs there are.
func TestWrongPassword(t *testing.T) {
	for _, profile := range profiles {
		t.Run(string(profile), func(t *testing.T) {
			b := newNexusBench(t, nexustest.Options{Profile: profile})
			b.login("not it")
			rep, _ := b.push(push.Options{Jobs: guardJobs})
			b.named(rep, report.ClassRefused, "is there a login")
			if got := len(b.double.Log()); got != 1 {
				t.Errorf("%d requests with the wrong password, want 1", got)
			}
		})
	}
}

// Contract 0.1/3, 8.
// What holds for all ends all: when the first such answer has been seen, only what was in
// flight still arrives.
func TestAnswersThatEndThePush(t *testing.T) {
	writes := nexustest.Match{Method: "", Path: "/uploads/|/raw-hosted/|/yum-hosted/os", After: 4}
	for name, tt := range map[string]struct {
		fault  nexustest.Fault
		status int
		want   string
	}{
		"password changed":  {nexustest.Fault{On: nexustest.Match{After: 12}, Do: nexustest.Unauthorized()}, 401, "is there a login"},
		"account blocked":   {nexustest.Fault{On: nexustest.Match{After: 12}, Do: nexustest.TooManyLogins()}, 429, "too many bad logins"},
		"caps are exceeded": {nexustest.Fault{On: writes, Do: onWrite(nexustest.PaymentRequired())}, 403, "usage caps of the Community Edition are reached"},
		"disk is full":      {nexustest.Fault{On: writes, Do: onWrite(nexustest.Status(500, "java.io.IOException: No space left on device"))}, 500, "the disk of the server is full: make room in its blob store"},
		"no license agreed": {nexustest.Fault{On: writes, Do: onWrite(nexustest.Status(403, "The End User License Agreement has not been accepted"))}, 403, "its owner has to read and accept it"},
	} {
		for _, profile := range profiles {
			t.Run(name+"/"+string(profile), func(t *testing.T) {
				b := newNexusBench(t, nexustest.Options{Profile: profile, Faults: []nexustest.Fault{tt.fault}})
				rep, _ := b.push(push.Options{Jobs: guardJobs})
				b.named(rep, report.ClassRefused, tt.want)
				if n := after(b.double.Log(), tt.status); n < 0 || n > 2*guardJobs {
					t.Errorf("%d requests came after the answer %d, want 0 to %d", n, tt.status, 2*guardJobs)
				}
			})
		}
	}
}

// onWrite lets reads pass.
func onWrite(do nexustest.Action) nexustest.Action {
	return func(next http.Handler) http.Handler {
		refuse := do(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				next.ServeHTTP(w, r)
				return
			}
			refuse.ServeHTTP(w, r)
		})
	}
}

// Contract 8.
// A server that is frozen for a moment is waited for, once for all writes.
func TestFrozenForAMoment(t *testing.T) {
	for _, profile := range profiles {
		t.Run(string(profile), func(t *testing.T) {
			b := newNexusBench(t, nexustest.Options{Profile: profile})
			b.double.Freeze(true)
			thaw := time.AfterFunc(300*time.Millisecond, func() { b.double.Freeze(false) })
			defer thaw.Stop()
			rep, _ := b.push(push.Options{Jobs: guardJobs, FrozenWait: 6 * time.Second})
			b.clean(rep)
			refused := 0
			for _, e := range b.double.Log() {
				if e.Status == http.StatusServiceUnavailable && e.Route != nexustest.RouteREST {
					refused++
				}
			}
			if asked := b.double.Count("GET", "status/writable"); refused > guardJobs || asked < 1 || asked > 5 {
				t.Errorf("%d writes met the frozen server, and it was asked %d times; want %d at most, and 1 to 5", refused, asked, guardJobs)
			}
		})
	}
}

// Contract 8.
// One that stays frozen, and one that says that it is not but refuses, are given up.
func TestFrozenForGood(t *testing.T) {
	const budget = 150 * time.Millisecond
	for name, freeze := range map[string]func(*nexustest.Server){
		"frozen": func(s *nexustest.Server) { s.Freeze(true) },
		"refuses though writable": func(s *nexustest.Server) {
			s.AddFault(nexustest.Fault{On: nexustest.Match{Path: "^/repository/"}, Do: onWrite(nexustest.ReadOnly())})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newNexusBench(t, nexustest.Options{Profile: nexustest.H2371})
			freeze(b.double)
			began := time.Now()
			rep, _ := b.push(push.Options{Jobs: guardJobs, FrozenWait: budget})
			b.named(rep, report.ClassRefused, "make it writable, then push again")
			if got := b.double.Count("GET", "status/writable"); got > 30 || time.Since(began) > time.Minute {
				t.Errorf("asked %d times in %v, want 30 at most", got, time.Since(began))
			}
			if kept := len(b.double.Paths("raw-hosted")); kept != 0 {
				t.Errorf("%d files in a frozen repository", kept)
			}
		})
	}
}

// One request at a time is enough for all that a push does.
func TestOneRequestAtATime(t *testing.T) {
	b := newBenchOf(t, nexustest.Options{Profile: nexustest.CE396}, true)
	b.transport(1)
	rep, _ := b.push(push.Options{Jobs: guardJobs})
	b.clean(rep)
	if got := b.double.Stats().MaxInFlight; got != 1 {
		t.Errorf("%d requests in flight, want 1", got)
	}
	if got, want := b.counted.Requests(), len(b.double.Log()); int(got) != want {
		t.Errorf("%d requests counted, %d arrived", got, want)
	}
}
