package worker

// What tests of other processes need of the inside.
var (
	TakeLock   = takeLock
	ErrLocked  = errLocked
	KillWorker = killWorker
)
