package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"usher"
)

// Lock takes the lock file of a data folder, so that no two processes use it.
// The kernel lets go of it when the process dies, however it dies.
func Lock(dir string) (release func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		e := usher.Errorf(usher.Conflict, "the data folder is in use").Because(err)
		e.Hint = "another usher process holds " + f.Name() + "; stop it, or give --data another folder"
		return nil, errors.Join(e, f.Close())
	}
	return f.Close, nil
}
