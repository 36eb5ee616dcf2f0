package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/registry/remote"

	"airbundle/internal/lockfile"
	"airbundle/internal/rpm/repodata"
)

// clients takes everything back from the server and compares it with the lock.
func (d *demo) clients(base string) error {
	data, err := os.ReadFile(d.path("demo.lock.yaml"))
	if err != nil {
		return err
	}
	lock, err := lockfile.DecodeLock("demo.lock.yaml", data)
	if err != nil {
		return err
	}
	for _, img := range lock.Images {
		if err := d.pull(base, img); err != nil {
			return err
		}
	}
	for _, r := range lock.RPMs {
		if err := d.yum(base, r); err != nil {
			return err
		}
	}
	for _, f := range lock.Files {
		if err := d.fetch("file ", base+"/repository/raw-hosted/"+f.Path, f.Digest); err != nil {
			return err
		}
	}
	return nil
}

// pull copies the image with all its platforms by tag, as any OCI client does; every
// blob is checked against its digest on the way.
func (d *demo) pull(base string, img lockfile.Image) error {
	name, tag, _ := strings.Cut(img.Publish[0], ":")
	repo, err := remote.NewRepository(strings.TrimPrefix(base, "http://") + "/" + name)
	if err != nil {
		return err
	}
	repo.PlainHTTP = true
	got, err := oras.Copy(d.ctx, repo, tag, memory.New(), tag, oras.DefaultCopyOptions)
	if err != nil {
		return err
	}
	return compare("image "+img.Publish[0], got.Digest, img.Digest)
}

// yum reads the generated repodata as dnf does, and fetches the package it lists.
func (d *demo) yum(base string, r lockfile.RPM) error {
	dir := base + "/repository/yum-hosted/" + r.Repo + "/"
	listed, err := repodata.ReadPrimary(d.ctx, func(ctx context.Context, path string) (io.ReadCloser, error) { return get(ctx, dir+path) })
	if err != nil {
		return err
	}
	if _, ok := listed[r.File()]; !ok {
		return fmt.Errorf("the repodata of %s does not list %s", r.Repo, r.File())
	}
	return d.fetch("rpm  ", dir+r.File(), r.Digest)
}

func (d *demo) fetch(what, url string, want digest.Digest) error {
	body, err := get(d.ctx, url)
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := digest.FromReader(body)
	if err != nil {
		return err
	}
	return compare(what+" "+url[strings.Index(url, "/repository/"):], got, want)
}

func get(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return resp.Body, nil
}

func compare(what string, got, want digest.Digest) error {
	if got != want {
		return fmt.Errorf("%s: got %s, the lock says %s", what, got, want)
	}
	fmt.Printf("     %s is %s, as locked\n", what, got)
	return nil
}
