// Package lockfiles checks what stands in the directory lockfiles at the top of the
// repository: that requests, locks and lists of checksums can be read, are in canonical
// form and belong together, and that the tables of lockfiles/README.md are true. Where
// AIRBUNDLE_FACTS names the file of facts that the pins come from, every digest is
// compared with it.
package lockfiles
