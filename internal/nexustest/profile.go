package nexustest

import (
	"fmt"
	"strconv"
	"strings"
)

// A Profile names a generation of Nexus servers.
type Profile string

// The generations that differ on the wire.
const (
	Orient340 Profile = "orient-3.40" // 3.40.1 OSS on OrientDB
	H2371     Profile = "h2-3.71"     // 3.71 OSS, the first generations on H2
	CE396     Profile = "ce-3.96"     // Community Edition
)

// profile is what a generation decides.
type profile struct {
	version, edition string
	xss              string // X-XSS-Protection
	datastore        bool   // no OrientDB: ETags, all checksums, paths with a slash
	community        bool   // 3.77 and later
	minor            int    // of the version: 40 of 3.40.1-01
	link             linkForm
}

// linkForm is how Link headers of docker lists look.
type linkForm int

const (
	linkNone   linkForm = iota // no Link, the whole list at once
	linkBare                   // without the /repository/<name> prefix
	linkPrefix                 // with it, on connector ports too
)

var profiles = map[Profile]profile{
	Orient340: {version: "3.40.1-01", edition: "OSS", xss: "1; mode=block", link: linkNone},
	H2371:     {version: "3.71.0-06", edition: "OSS", xss: "1; mode=block", link: linkBare, datastore: true},
	CE396: {version: "3.96.3-01", edition: "COMMUNITY", xss: "0", link: linkPrefix,
		datastore: true, community: true},
}

// as sets the version and reads what it decides.
func (p *profile) as(version, edition string) error {
	p.version, p.edition = orText(version, p.version), orText(edition, p.edition)
	rest, three := strings.CutPrefix(p.version, "3.")
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(minor)
	if !three || err != nil {
		return fmt.Errorf("nexustest: version %q is not of the form 3.40.1-01", p.version)
	}
	p.minor = n
	return nil
}

// since says whether the server is of version 3.minor or later.
func (p profile) since(minor int) bool { return p.minor >= minor }

// pageSize is how many assets or components a page has.
func (p profile) pageSize() int {
	if p.since(74) {
		return 100
	}
	return 10
}

// server returns the Server header.
func (p profile) server() string { return "Nexus/" + p.version + " (" + p.edition + ")" }

// apiPath returns an asset's path as API and error texts print it.
func (p profile) apiPath(path string) string {
	if p.datastore {
		return "/" + path
	}
	return path
}

// redeployText is the reason a second upload of path is refused for.
func (p profile) redeployText(repo, path string) string {
	switch {
	case p.community:
		return repo + "/" + path + " -  cannot be updated as asset already exists and redeploy is not allowed"
	case p.datastore:
		return repo + "/" + path + " cannot be updated"
	default:
		return "Repository does not allow updating assets: " + repo
	}
}

// orDefault returns status unless it is 0.
func orDefault(status, def int) int {
	if status == 0 {
		return def
	}
	return status
}
