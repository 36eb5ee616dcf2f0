package nexustest

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
	pageSize         int    // of assets and components
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
	Orient340: {version: "3.40.1-01", edition: "OSS", xss: "1; mode=block", pageSize: 10, link: linkNone},
	H2371:     {version: "3.71.0-06", edition: "OSS", xss: "1; mode=block", pageSize: 10, link: linkBare, datastore: true},
	CE396: {version: "3.96.3-01", edition: "COMMUNITY", xss: "0", pageSize: 100, link: linkPrefix,
		datastore: true, community: true},
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

// Quirks are behaviours that nobody has established for certain. The zero
// value is the likelier one; a client has to live with both.
type Quirks struct {
	// Docker.
	NoSinglePost      bool // POST with ?digest= opens a session instead of storing the blob
	Mount             bool // mounting works within one Nexus repository (201)
	BareUploads       bool // upload answers lack Docker-Upload-UUID, Range and Docker-Content-Digest
	LocationPrefix    bool // Location on the main port carries /repository/<name>
	BlobUnknownStatus int  // of a manifest with missing parts; default 400
	DeleteBlobs       bool // DELETE of a blob works (202) instead of 405
	Referrers         bool // the referrers list is served instead of 404
	RefuseOCI         bool // OCI manifests and indexes are invalid
	IndexNPE          bool // an index with a child that is no plain image: 500

	// Yum.
	NoRebuild        bool   // metadata is never made, as by 3.76.0
	YumPutStatus     int    // default 200
	StrictStatus     int    // STRICT refuses what is neither RPM nor metadata; default 400
	ShallowStatus    int    // an RPM above the repodata depth; default 400
	CheckRPM         bool   // a file that is no RPM is refused at upload, not found by the rebuild
	RefuseZstd       bool   // RPMs with zstd payload count as unreadable
	PrimaryChecksum  string // "sha256" (default) or "sha1"
	EarlyUploadFails bool   // uploads before the first repomd.xml answer 500

	// Raw and the rest.
	PutIfNoneMatch   bool // PUT with If-None-Match: * answers 412 when the file exists
	KeepShortUploads bool // an upload that breaks off is stored as far as it came
	SessionCookie    bool // logins hand out a session cookie
	UnacceptedEULA   bool // Community Edition: writing is refused until the EULA is accepted
	ComponentCap     int  // Community Edition: no new components above this; 0: no cap
}

// orDefault returns status unless it is 0.
func orDefault(status, def int) int {
	if status == 0 {
		return def
	}
	return status
}
