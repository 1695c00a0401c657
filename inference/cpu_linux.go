package inference

import (
	"syscall"
	"time"
	"unsafe"
)

// threadCPU is the processor time that the calling thread has used so far. Unlike
// getrusage, this clock also counts what was used since the last tick of the kernel.
func threadCPU() time.Duration {
	const threadClock = 3 // CLOCK_THREAD_CPUTIME_ID
	var ts syscall.Timespec
	//nolint:gosec // the kernel fills ts
	if _, _, e := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&ts)), 0); e != 0 {
		return 0
	}
	return time.Duration(ts.Nano())
}
