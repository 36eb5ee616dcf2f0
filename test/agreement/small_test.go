//go:build !agreement

package agreement

// full is off: a part of the requests, on what takes seconds.
const full = false
