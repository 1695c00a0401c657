//go:build !linux

package inference

import "time"

// threadCPU is not known here.
func threadCPU() time.Duration { return 0 }
