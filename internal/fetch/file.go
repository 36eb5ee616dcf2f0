package fetch

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"airbundle/internal/httpx"
	"airbundle/internal/regular"
)

// openFile opens a file: URL as any program opens a path: links are followed,
// also out of the opener's directory. Only regular files have content to be pinned.
func (o *Opener) openFile(u *url.URL) (*Content, error) {
	path, err := o.path(u)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", httpx.RedactURL(u), err)
	}
	f, info, err := regular.Open(path)
	if err != nil {
		return nil, err // names path and cause
	}
	return &Content{ReadCloser: f, Size: info.Size(), Whole: true}, nil
}

// path returns the file that u names: file:///abs, file://localhost/abs, file:/abs,
// or file:rel and file:./rel, which are below the opener's directory.
func (o *Opener) path(u *url.URL) (string, error) {
	switch {
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("a file has no query and no fragment; write ? as %3F and # as %23")
	case u.User != nil || (u.Host != "" && u.Host != "localhost"):
		return "", errors.New("a file on another host; write file:///path")
	case u.Opaque != "":
		rel, err := url.PathUnescape(u.Opaque)
		if err != nil {
			return "", err
		}
		return filepath.Join(o.dir, filepath.FromSlash(rel)), nil
	case u.Path == "" || u.Path == "/":
		return "", errors.New("names no file")
	default:
		return filepath.FromSlash(u.Path), nil
	}
}
