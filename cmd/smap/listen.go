package main

import (
	"context"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/sockets"
	"smap/internal/supervise"
	"smap/netperm"
)

// drainTime is how long sessions can go on after TERM to finish a message.
const drainTime = 30 * time.Second

// acceptPause is the wait after an error of accept, such as a lack of descriptors
// or memory.
const acceptPause = 100 * time.Millisecond

// serveChild serves on the sockets that it inherits from the parent. It ends when
// the parent sends TERM or is gone; with -idle also after idle-exit without work.
func serveChild(o options) int {
	last := sockets.First + o.child
	if o.relay {
		last++
	}
	line, listeners := supervise.Attach(last), sockets.Inherit(sockets.First, o.child)
	s, code := prepare(o, nil)
	if code != exitOK {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	s.lookupLost = stop // the parent starts another child, with another look-up child
	idle := func(bool) {}
	if o.idle {
		idle = idling(s.table.Duration(netperm.IdleExit), stop)
	}
	server := &server{setup: s, limiter: newLimiter(int(s.table.Int(netperm.MaxSessions)), int(s.table.Int(netperm.MaxPerClient)), idle)}
	s.wasRefused = server.limiter.wasRefused
	var accepting sync.WaitGroup
	for _, f := range listeners {
		s.config.Log.Info(eventListen, "address", boundTo(f))
		accepting.Go(func() { server.accept(ctx, f) })
	}
	go func() {
		_ = line.Ready() // if the parent is gone, Await returns at once
		line.Await()
		stop()
	}()
	accepting.Wait()
	return server.drain()
}

// idling returns the idle function of a limiter. It calls stop after the time most
// without a session.
func idling(most time.Duration, stop func()) func(bool) {
	timer := time.AfterFunc(most, stop)
	return func(begin bool) {
		if begin {
			timer.Reset(most)
		} else {
			timer.Stop()
		}
	}
}

func boundTo(f *os.File) string {
	var at netip.AddrPort
	if raw, err := f.SyscallConn(); err == nil { // Fd could make the socket block, without deadlines
		_ = raw.Control(func(fd uintptr) { at = sockets.Local(int(fd)) })
	}
	return at.String()
}

// A server serves many clients at once.
type server struct {
	*setup
	*limiter
	running sync.WaitGroup
}

// accept serves one socket until ctx is done. If it cannot accept a connection, it
// tries again: a client can give up, and descriptors can run out for a while.
func (s *server) accept(ctx context.Context, f *os.File) {
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := f.SyscallConn()
	trouble := false
	for err == nil && ctx.Err() == nil {
		var fd int
		var peer unix.Sockaddr
		var aerr error
		err = raw.Read(func(l uintptr) bool {
			if ctx.Err() != nil {
				aerr = unix.ECANCELED // the next child accepts further connections
				return true
			}
			fd, peer, aerr = sockets.Accept(int(l))
			return aerr != unix.EAGAIN
		})
		switch {
		case err != nil:
		case aerr == nil:
			trouble = false
			conn := os.NewFile(uintptr(fd), "client")
			s.start(ctx, visitorOn(fd, peer, conn), conn)
		case aerr != unix.ECONNABORTED && aerr != unix.ECANCELED && aerr != unix.EINTR:
			if !trouble {
				s.config.Log.Error(eventAccept, "error", aerr)
			}
			trouble = true
			time.Sleep(acceptPause)
		}
	}
	if cerr := f.Close(); cerr != nil {
		s.config.Log.Error(eventClose, "error", cerr)
	}
}

// start begins a session if the limit allows it. Otherwise the client gets 421 at
// once, without a goroutine, so that many clients get it quickly.
func (s *server) start(ctx context.Context, v visitor, conn *os.File) {
	if s.denied(v) {
		_ = conn.Close() // the client has its reply, or is gone
		return
	}
	if !s.enter(s.isRelay(v)) {
		s.turnAway(v, limitSessions)
		_ = conn.Close() // the client has its reply, or is gone
		return
	}
	s.running.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				s.panicked(p, conn)
			}
			_ = conn.Close() // the client has its replies, or is gone
			s.leave()
		}()
		s.meet(ctx, v, s.limiter.client)
	})
}

// drain waits until all sessions have ended, for drainTime at most.
func (s *server) drain() int {
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(drainTime):
		s.config.Log.Warn(eventStop, "note", "sessions cut off")
	}
	s.config.Log.Info(eventStop)
	return exitOK
}
