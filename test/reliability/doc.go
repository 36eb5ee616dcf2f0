// Package reliability holds docs/reliability.md to the tests that it names, and has the
// tests of what is promised there and belongs to no single package: that verify is inert,
// and that no clock decides anything.
package reliability
