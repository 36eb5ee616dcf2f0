// Package hostile holds an independent corpus of malformed OCI layouts, mutations of real
// bundles and unusual but valid layouts, written from the fault matrix and the OCI
// image-spec without a look at the reader, and runs the real programs on all of it. A case
// is judged from outside: exit code, report, time, memory, what was opened, written,
// executed and connected to.
//
// Each case has the row of docs/reliability.md that it is an instance of. With
// AIRBUNDLE_FAULTS=full the larger ones run, too, and what other tools refuse is counted.
// AIRBUNDLE_HOSTILE_KEEP names a directory in which the files of failed cases stay,
// AIRBUNDLE_HOSTILE_BIN one with the programs to judge in place of this tree's.
package hostile
