// Package agreement compares what package depsolve chooses with what dnf 4 does, on real
// metadata and on repositories of a distribution's size. A small form is part of the
// tests; make agreement runs all of it.
package agreement
