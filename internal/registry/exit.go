package registry

import "github.com/opencontainers/go-digest"

// refusedCode is the exit code of what a remote refuses.
const refusedCode = 7

// UnknownBlobs returns the digests that the registry misses.
func (e *UnknownBlobError) UnknownBlobs() []digest.Digest { return e.Digests }

// ExitCode says that the remote refused.
func (e *ConflictError) ExitCode() int { return refusedCode }

// ExitCode says that the remote was not given what it asked for.
func (e *refusedError) ExitCode() int { return refusedCode }
