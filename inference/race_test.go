//go:build race

package inference_test

// raced: the race detector makes pools forget at random, so allocations say nothing.
const raced = true
