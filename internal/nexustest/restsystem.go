package nexustest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"
)

// serveStatus answers status, status/writable and status/check.
func (x *exchange) serveStatus(args []string) {
	switch {
	case len(args) == 0:
		x.status(http.StatusOK)
	case args[0] == "writable" && x.isFrozen():
		x.status(http.StatusServiceUnavailable)
	case args[0] == "writable":
		x.status(http.StatusOK)
	case args[0] == "check":
		x.statusCheck()
	default:
		x.noSuchPage()
	}
}

// statusRoute covers the health checks: the first two are for everybody.
func (x *exchange) statusRoute(parts []string) *restRoute {
	r := &restRoute{methods: []string{"GET"}, since: 15, open: true, serve: x.serveStatus}
	if len(parts) > 1 {
		r.since = 16
		if parts[1] == "check" {
			r.since, r.open = 20, false
		}
	}
	return r
}

// statusCheck answers with the health checks: here is where a soft quota shows.
func (x *exchange) statusCheck() {
	type check struct {
		Healthy   bool    `json:"healthy"`
		Message   *string `json:"message"`
		Error     *string `json:"error"`
		Details   *string `json:"details"`
		Time      int64   `json:"time"`
		Duration  int64   `json:"duration"`
		Timestamp string  `json:"timestamp"`
	}
	now := x.s.opts.Now()
	result := func(complaint string) check {
		c := check{Healthy: complaint == "", Time: now.UnixMilli(), Timestamp: now.Format("2006-01-02T15:04:05.000Z07:00")}
		if complaint != "" {
			c.Message = &complaint
		}
		return c
	}
	quotas, state := "", ""
	for _, b := range x.s.blobStores() {
		if _, total := x.s.usage(b.Name); b.violated(total) {
			quotas = "Blob store " + b.Name + " violates its quota"
		}
	}
	if x.isFrozen() {
		state = "Nexus Repository Manager is in read-only mode"
	}
	x.json(http.StatusOK, map[string]check{"Blob Stores Quota": result(quotas), "Read-Only Detector": result(state)})
}

// readOnlyRoute covers the state of a frozen server, and how to thaw it. The
// resource is gone from the API of 3.91.
func (x *exchange) readOnlyRoute(parts []string) *restRoute {
	r := &restRoute{methods: []string{"GET"}, since: 16, whileFrozen: true}
	switch {
	case x.s.prof.since(91):
		return nil
	case len(parts) == 1:
		r.serve = func([]string) {
			frozen, reason := x.isFrozen(), ""
			if frozen {
				reason = "activated by an administrator"
			}
			x.json(http.StatusOK, struct {
				System bool   `json:"systemInitiated"`
				Reason string `json:"summaryReason"`
				Frozen bool   `json:"frozen"`
			}{false, reason, frozen})
		}
	case len(parts) == 2 && (parts[1] == "freeze" || parts[1] == "release" || parts[1] == "force-release"):
		r.methods, r.serve = []string{"POST"}, func([]string) {
			if x.isFrozen() == (parts[1] == "freeze") {
				x.status(http.StatusNotFound) // nothing to change
				return
			}
			x.s.Freeze(parts[1] == "freeze")
			x.w.WriteHeader(http.StatusNoContent)
		}
	default:
		return nil
	}
	return r
}

// swagger answers with the skeleton of the API description.
func (x *exchange) swagger() {
	info := map[string]string{"title": "Nexus Repository Manager REST API", "version": x.s.prof.version}
	if x.s.opts.Quirks.SwaggerFails && !x.s.described.Swap(true) {
		x.serverError(errors.New("java.lang.NullPointerException"))
		return
	}
	if x.s.prof.community {
		x.json(http.StatusOK, map[string]any{"openapi": "3.0.1", "info": info, "paths": map[string]any{},
			"servers": []map[string]string{{"url": x.s.opts.ContextPath + "/service/rest/"}}})
		return
	}
	x.json(http.StatusOK, map[string]any{"swagger": "2.0", "info": info, "paths": map[string]any{},
		"basePath": x.s.opts.ContextPath + "/service/rest/"})
}

// eulaText is what has to be sent back to accept it.
const eulaText = "Use of Sonatype Nexus Repository - Community Edition is governed by the End User License Agreement."

// serveEULA answers, and accepts, the state of the license agreement.
func (x *exchange) serveEULA([]string) {
	type eula struct {
		Accepted   bool   `json:"accepted"`
		Disclaimer string `json:"disclaimer"`
	}
	if x.r.Method != http.MethodPost {
		x.json(http.StatusOK, eula{!x.eulaPending(), eulaText})
		return
	}
	var sent eula
	if err := json.NewDecoder(x.r.Body).Decode(&sent); err != nil || !sent.Accepted || sent.Disclaimer != eulaText {
		x.invalid("*", "EULA disclaimer is invalid")
		return
	}
	x.s.mu.Lock()
	x.s.eula = true
	x.s.mu.Unlock()
	x.w.WriteHeader(http.StatusNoContent)
}

// eulaPending says whether the license agreement waits to be accepted.
func (x *exchange) eulaPending() bool {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	return x.s.prof.community && x.s.opts.Quirks.UnacceptedEULA && !x.s.eula
}

// eulaBlocks says whether a license agreement that is not accepted keeps the
// server from working.
func (x *exchange) eulaBlocks() bool { return !x.s.opts.Quirks.EULAIgnored && x.eulaPending() }

// rebuildTask is the type of the task that rebuilds yum metadata.
const rebuildTask = "repository.yum.rebuild.metadata"

// task is a scheduled job; running it does not wait for the work to end.
type task struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	Type       string  `json:"type"`
	Message    string  `json:"message"`
	State      string  `json:"currentState"`
	LastResult *string `json:"lastRunResult"`
	NextRun    *string `json:"nextRun"`
	LastRun    *string `json:"lastRun"`

	repo string
}

// tasksRoute covers the list, one task, running it, and creating one where that
// exists.
func (x *exchange) tasksRoute(n int) *restRoute {
	switch {
	case n == 1 && x.s.prof.since(92):
		return &restRoute{methods: []string{"GET", "POST"}, serve: x.serveTasks}
	case n == 1:
		return &restRoute{methods: []string{"GET"}, serve: x.serveTasks}
	case n == 2:
		return &restRoute{methods: []string{"GET"}, serve: x.oneTask}
	case n == 3:
		return &restRoute{methods: []string{"POST"}, serve: x.runTask}
	}
	return nil
}

func (x *exchange) oneTask(args []string) {
	x.s.mu.Lock()
	i := slices.IndexFunc(x.s.tasks, func(t *task) bool { return t.ID == args[0] })
	var found task
	if i >= 0 {
		found = *x.s.tasks[i]
	}
	x.s.mu.Unlock()
	if i < 0 {
		x.notFound()
		return
	}
	x.json(http.StatusOK, found)
}

func (x *exchange) serveTasks([]string) {
	if x.r.Method == http.MethodPost {
		x.createTask()
		return
	}
	kind := x.r.URL.Query().Get("type")
	items := []*task{}
	x.s.mu.Lock()
	for _, t := range x.s.tasks {
		if kind == "" || kind == t.Type {
			copied := *t
			items = append(items, &copied)
		}
	}
	x.s.mu.Unlock()
	x.json(http.StatusOK, page[*task]{Items: items})
}

func (x *exchange) createTask() {
	var sent struct {
		Name       string            `json:"name"`
		Type       string            `json:"type"`
		Properties map[string]string `json:"properties"`
	}
	if err := json.NewDecoder(x.r.Body).Decode(&sent); err != nil {
		x.textError(http.StatusBadRequest, err.Error())
		return
	}
	if sent.Type != rebuildTask || sent.Name == "" {
		x.invalid("PARAMETER type", "unknown task type "+sent.Type)
		return
	}
	t := &task{ID: newUUID(), Name: sent.Name, Type: sent.Type, State: "WAITING", repo: sent.Properties["repositoryName"]}
	x.s.mu.Lock()
	x.s.tasks = append(x.s.tasks, t)
	x.s.mu.Unlock()
	x.json(http.StatusCreated, t)
}

// AddRebuildTask makes a task that rebuilds the metadata of a yum repository,
// as an administrator would in the user interface, and returns its id.
func (s *Server) AddRebuildTask(repo string) string {
	t := &task{ID: newUUID(), Name: "rebuild " + repo, Type: rebuildTask, State: "WAITING", repo: repo}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks = append(s.tasks, t)
	return t.ID
}

// runTask starts a task and answers at once.
func (x *exchange) runTask(args []string) {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	for _, t := range x.s.tasks {
		if t.ID != args[0] || args[1] != "run" {
			continue
		}
		done, now := "OK", x.s.opts.Now().Format(time.RFC3339)
		t.LastResult, t.LastRun = &done, &now
		if r := x.s.repos[t.repo]; r != nil {
			x.s.changed(r)
		}
		x.w.WriteHeader(http.StatusNoContent)
		return
	}
	x.notFound()
}
