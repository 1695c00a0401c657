package inference

import (
	"syscall"
	"time"
)

// threadCPU is the processor time that the calling thread has used so far, to 1 µs.
func threadCPU() time.Duration {
	const thisThread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if syscall.Getrusage(thisThread, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
