// Package oracle asks dnf 4 what it would install, offline and without touching the host:
// the answer that ours is compared with.
package oracle

import (
	"bytes"
	"context"
	_ "embed" // the program that asks dnf
	"encoding/json"
	"fmt"
	"os/exec"
)

// Python is the interpreter that has dnf's modules: the distribution's own.
const Python = "/usr/bin/python3"

//go:embed oracle.py
var program string

// A Job is requests to one set of repositories.
type Job struct {
	Arch     string    `json:"arch"`
	Repos    []Repo    `json:"repos"`
	Cache    string    `json:"cache,omitempty"` // directory that keeps parsed metadata; empty: none is kept
	Root     string    `json:"root,omitempty"`  // what its rpmdb has is installed already; empty: nothing is
	Names    bool      `json:"names,omitempty"` // list the names of all packages too
	Requests []Request `json:"requests"`
}

// A Repo is a repository of a job.
type Repo struct {
	ID       string   `json:"id"`
	URL      string   `json:"url"`
	Priority int      `json:"priority,omitempty"`
	Exclude  []string `json:"exclude,omitempty"`
}

// A Request is what is wanted, in the terms of package depsolve.
type Request struct {
	ID      string   `json:"id"`
	Install []string `json:"install"`
	Exclude []string `json:"exclude,omitempty"`
	Modules []string `json:"modules,omitempty"`
	Weak    bool     `json:"weak,omitempty"`
	NotBest bool     `json:"notbest,omitempty"`
	Lock    []string `json:"lock,omitempty"` // NEVRAs to judge beside answering
}

// An Answer is what came of a job.
type Answer struct {
	Available   int      `json:"available"`
	LoadSeconds float64  `json:"loadSeconds"`
	PeakKiB     int      `json:"peakKiB"`
	Names       []string `json:"names"`
	Results     []Result `json:"results"`
}

// A Result is dnf's answer to a request. It has Packages, or Missing, or Error.
type Result struct {
	ID       string            `json:"id"`
	Packages []string          `json:"packages"` // NEVRAs, sorted
	Choices  int               `json:"choices"`  // requirements inside that more than one name meets
	Seconds  float64           `json:"seconds"`
	Missing  []string          `json:"missing"` // of Install, those that nothing matches
	Error    string            `json:"error"`   // dnf's words
	Judged   map[string]string `json:"judged"`  // checks that the lock fails
}

// Ask answers jobs in one process.
func Ask(ctx context.Context, jobs ...Job) ([]Answer, error) {
	in, err := json.Marshal(jobs)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, Python, "-c", program)
	var out, words bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &words
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ask dnf: %w: %s", err, words.Bytes())
	}
	var answers []Answer
	if err := json.Unmarshal(out.Bytes(), &answers); err != nil {
		return nil, fmt.Errorf("ask dnf: %w in %.200s", err, out.Bytes())
	}
	return answers, nil
}
