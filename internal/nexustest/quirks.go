package nexustest

import "time"

// Quirks are behaviours that nobody has established for certain. The zero
// value is the likelier one; a client has to live with both.
type Quirks struct {
	// Docker.
	NoSinglePost      bool   // POST with ?digest= opens a session instead of storing the blob
	Mount             bool   // mounting works within one Nexus repository (201)
	BareUploads       bool   // upload answers lack Docker-Upload-UUID, Range and Docker-Content-Digest
	LocationPrefix    bool   // Location on the main port carries /repository/<name>
	PathLocation      bool   // Location under path routing lacks the name of the repository
	EmptyPing         bool   // the ping's body is empty instead of {}
	StrictRange       bool   // a PATCH whose Content-Range does not continue the upload: 416
	DigestCode        string // of a blob whose digest is wrong; default DIGEST_INVALID
	SessionStatus     int    // of an unknown upload session; default 404
	BareNotFound      bool   // what is absent answers 404 without a registry error
	BlobUnknownStatus int    // of a manifest with missing parts; default 400
	BlobUnknownBare   bool   // that answer does not say which parts
	DeleteBlobs       bool   // DELETE of a blob works (202) instead of 405
	Referrers         bool   // the referrers list is served instead of 404
	RefuseOCI         bool   // OCI manifests and indexes are invalid
	RefuseArtifacts   bool   // manifests whose config is not that of an image are invalid
	RefuseEmptyBlobs  bool   // a blob of no bytes: 400
	IndexNPE          bool   // an index with a child that is no plain image: 500
	LaterWords        bool   // Orient words docker refusals as the datastore generation does
	DenyStatus        int    // of a docker upload to a repository with policy DENY; default 400
	GroupStatus       int    // of a docker upload to a group; default 403

	// Yum.
	NoRebuild        bool          // metadata is never made, as by 3.76.0
	YumPutStatus     int           // default 200
	StrictStatus     int           // STRICT refuses what is neither RPM nor metadata; default 400
	ShallowStatus    int           // an RPM above the repodata depth; default 400
	CheckRPM         bool          // a file that is no RPM is refused at upload, not found by the rebuild
	RefuseZstd       bool          // RPMs with zstd payload count as unreadable
	PrimaryChecksum  string        // "sha256" (default) or "sha1"
	EarlyUploadFails bool          // uploads before the first repomd.xml answer 500
	NegativeCache    time.Duration // how long a 404 of a yum path is remembered

	// Raw, helm and the REST API.
	PutIfNoneMatch       bool // PUT with If-None-Match: * answers 412 when the file exists
	RedeployStatus       int  // of a second upload to docker, yum or helm under ALLOW_ONCE; default as raw, 400 for docker
	HelmPutStatus        int  // default 200
	PlainFormSums        bool // Orient: multipart uploads keep md5 and sha1 only, as PUT does
	FormDenied           bool // a multipart upload without the rights: 400 instead of 403
	PortClashStatus      int  // of a docker repository whose port is taken; default 400
	DeployPolicyRequired bool // a yum repository without deployPolicy: 400
	OldTimestamps        bool // +0000 instead of +00:00
	SwaggerFails         bool // the first swagger.json after the start: 500, as once seen of 3.96

	// The server as a whole.
	KeepShortUploads bool // an upload that breaks off is stored as far as it came
	SessionCookie    bool // logins hand out a session cookie
	LengthRequired   bool // chunked request bodies: 411
	PlainReasons     bool // texts are not in the status line, as behind a proxy that speaks HTTP/2
	NoContinue       bool // a proxy swallows 100 Continue
	UnacceptedEULA   bool // Community Edition: the EULA is not accepted, and until it is, writing is refused
	EULAIgnored      bool // with UnacceptedEULA: writing is not refused
	ComponentCap     int  // Community Edition: no new components above this; 0: no cap
	RequestCap       int  // Community Edition: no new components after so many requests of a day; 0: no cap
	CapStatus        int  // above either cap; default 403
}
