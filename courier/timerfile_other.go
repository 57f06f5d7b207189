//go:build !linux

package courier

import (
	"errors"
	"time"
)

// A timerFile is Linux'.
type timerFile struct{}

func newTimerFile(time.Duration) (*timerFile, error) { return nil, errors.ErrUnsupported }

func (t *timerFile) wait() bool { return false }

func (t *timerFile) stop() {}
