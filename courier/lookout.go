package courier

import (
	"errors"
	"sync"
	"time"

	"smap/spoolfmt"
)

// A lookout does the rescans of a spool that was empty at the last one, beside
// the loop, and wakes it when there is something. To find nothing is all that an
// idle courier does for years: without the loop, and with a timer that is a
// file, it costs three switches of threads instead of ten, since the runtime
// wakes a second thread for each goroutine that a timer makes ready.
type lookout struct {
	timer *timerFile
	found chan struct{}
	ended chan struct{}

	mu    sync.Mutex      // held while it looks, so that nobody closes the spool meanwhile
	spool *spoolfmt.Spool // nil: the loop does the rescans
}

// startLookout returns nil where there is no such timer or no descriptor for it:
// then the loop does all rescans.
func startLookout(every time.Duration) *lookout {
	timer, err := newTimerFile(every)
	if err != nil {
		return nil
	}
	o := &lookout{timer: timer, found: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() {
		defer close(o.ended)
		for timer.wait() {
			o.look()
		}
	}()
	return o
}

func (o *lookout) look() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.spool == nil || !o.spool.Moved() && empty(o.spool, spoolfmt.New) && empty(o.spool, spoolfmt.Cur) {
		return
	}
	select {
	case o.found <- struct{}{}:
	default:
	}
}

var errName = errors.New("a name")

// empty reports whether a box is known to hold no name at all.
func empty(sp *spoolfmt.Spool, b spoolfmt.Box) bool {
	return sp.Scan(b, func(spoolfmt.Entry) error { return errName }) == nil
}

// post tells the lookout what to look at; nil ends that at once.
func (o *lookout) post(sp *spoolfmt.Spool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spool = sp
}

// stop ends the lookout; nobody looks when it returns.
func (o *lookout) stop() {
	o.timer.stop()
	<-o.ended
}

// postLookout leaves the rescans to the lookout, or takes them back. With
// metrics the loop does them, since what others do in bad is counted, too.
func (l *loop) postLookout() {
	if l.lookout == nil {
		return
	}
	var sp *spoolfmt.Spool
	if l.empty[spoolfmt.New] && l.empty[spoolfmt.Cur] && !l.scanning && !l.scanNew && !l.scanCur &&
		l.w.fs != nil && !l.home.moved && l.cfg.Metrics == "" {
		sp = l.home.spool
	}
	if sp != l.posted {
		l.lookout.post(sp)
		l.posted = sp
	}
}

// relieve takes the rescans back at once: a spool is about to be closed.
func (l *loop) relieve() {
	if l.posted != nil {
		l.lookout.post(nil)
		l.posted = nil
	}
}

// lookoutFound is nil, and never ready, without a lookout.
func (l *loop) lookoutFound() <-chan struct{} {
	if l.lookout == nil {
		return nil
	}
	return l.lookout.found
}
