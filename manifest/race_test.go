//go:build race

package manifest

// With the race detector everything takes longer.
func init() { patience *= 5 }
