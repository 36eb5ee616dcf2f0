package nexustest

import (
	"encoding/json"
	"net/http"
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

// statusCheck answers with the health checks.
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
	healthy := check{Healthy: true, Time: now.UnixMilli(), Timestamp: now.Format("2006-01-02T15:04:05.000Z07:00")}
	readOnly := healthy
	readOnly.Healthy = !x.isFrozen()
	x.json(http.StatusOK, map[string]check{"Blob Stores": healthy, "Read-Only Detector": readOnly})
}

// swagger answers with the skeleton of the API description.
func (x *exchange) swagger() {
	info := map[string]string{"title": "Nexus Repository Manager REST API", "version": x.s.prof.version}
	if x.s.prof.community {
		x.json(http.StatusOK, map[string]any{"openapi": "3.0.1", "info": info, "paths": map[string]any{},
			"servers": []map[string]string{{"url": x.s.opts.ContextPath + "/service/rest/"}}})
		return
	}
	x.json(http.StatusOK, map[string]any{"swagger": "2.0", "info": info, "paths": map[string]any{},
		"basePath": x.s.opts.ContextPath + "/service/rest/"})
}

// serveBlobStores answers the list of blob stores and the quota of one.
func (x *exchange) serveBlobStores(args []string) {
	switch {
	case len(args) == 2 && args[0] == "default" && args[1] == "quota-status":
		x.json(http.StatusOK, struct {
			Violated bool   `json:"isViolation"`
			Message  string `json:"message"`
			Store    string `json:"blobStoreName"`
		}{false, "No quota set", "default"})
	case len(args) == 0:
		x.listBlobStores()
	default:
		x.notFound()
	}
}

func (x *exchange) listBlobStores() {
	type blobStore struct {
		Quota       *string `json:"softQuota"`
		Name        string  `json:"name"`
		Type        string  `json:"type"`
		Unavailable bool    `json:"unavailable"`
		Count       int     `json:"blobCount"`
		Total       int64   `json:"totalSizeInBytes"`
		Available   int64   `json:"availableSpaceInBytes"`
	}
	store := blobStore{Name: "default", Type: "File", Available: x.s.opts.FreeBytes}
	x.s.mu.Lock()
	for _, r := range x.s.repos {
		for _, a := range r.assets {
			store.Count++
			store.Total += a.content.size
		}
	}
	x.s.mu.Unlock()
	x.json(http.StatusOK, []blobStore{store})
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

// eulaPending says whether the license agreement keeps the server from working.
func (x *exchange) eulaPending() bool {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	return x.s.prof.community && x.s.opts.Quirks.UnacceptedEULA && !x.s.eula
}

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

// tasksRoute covers the list, running one, and creating one where that exists.
func (x *exchange) tasksRoute(n int) *restRoute {
	switch {
	case n == 1 && x.s.prof.community:
		return &restRoute{methods: []string{"GET", "POST"}, serve: x.serveTasks}
	case n == 1:
		return &restRoute{methods: []string{"GET"}, serve: x.serveTasks}
	case n == 3:
		return &restRoute{methods: []string{"POST"}, serve: x.runTask}
	}
	return nil
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
