// Package format proves docs/format.md: a second reader of the archive, written in Python
// from that document alone, accepts what our code writes and refuses damaged copies.
package format
