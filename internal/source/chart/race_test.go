//go:build race

package chart

// The race detector needs memory beside what a chart takes.
func init() { testMemory = 2 << 30 }
