// Package faults pushes a small bundle of everything (images with shared layers, RPMs,
// files, a chart) into the Nexus double under each of its fault scripts, in each profile,
// and judges by what the double holds, never by what the push says: all of it is there and
// the exit code is 0, or the exit code is another and everything that is not there is
// named. When the fault has passed, the same push completes. A byte that rots on the
// server's disk is found by a deep audit.
//
// Builds and pushes also go through a network that does harm (faultproxy), and past hosts
// that no login may reach.
//
// It runs the use cases with the adapters as the seeder command puts them together, but
// with short waits.
package faults
