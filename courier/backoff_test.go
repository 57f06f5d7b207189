package courier

import (
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	var s Schedule
	arrival := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	now, attempts := arrival, 0
	var last time.Duration
	for {
		attempts++
		next, again := s.Next(arrival, now, attempts)
		if !again {
			break
		}
		wait := next.Sub(now)
		if wait <= 0 || wait > s.Longest() {
			t.Fatalf("attempt %d: waits %v", attempts, wait)
		}
		if attempts < 9 && wait < last {
			t.Errorf("attempt %d: waits %v after %v", attempts, wait, last)
		}
		if again, _ := s.Next(arrival, now, attempts); !again.Equal(next) {
			t.Error("not a pure function")
		}
		last, now = wait, next
	}
	if now != arrival.Add(defaultMaxAge) {
		t.Errorf("last attempt %v after arrival", now.Sub(arrival))
	}
	if attempts < 25 || attempts > 45 {
		t.Errorf("%d attempts in five days", attempts)
	}
}

// TestScheduleClock: a clock that stands still, or an arrival in the future,
// does not keep a message for ever.
func TestScheduleClock(t *testing.T) {
	var s Schedule
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for attempts := range 1000 {
		if _, again := s.Next(now.Add(time.Hour), now, attempts+1); !again {
			return
		}
	}
	t.Error("tried for ever")
}

// TestScheduleJump: a message that looks as old as the epoch, because the clock
// was not set when it came, still gets a few attempts at the usual intervals.
func TestScheduleJump(t *testing.T) {
	var s Schedule
	arrival, now := time.Unix(100, 0), time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for attempts := 1; attempts < leastAttempts; attempts++ {
		next, again := s.Next(arrival, now, attempts)
		if d := next.Sub(now); !again || d < s.wait(attempts) {
			t.Fatalf("after %d attempts: %v, %v", attempts, d, again)
		}
		now = next
	}
	if _, again := s.Next(arrival, now, leastAttempts); again {
		t.Error("never ends")
	}
	once := Schedule{Retry: []time.Duration{time.Hour}, MaxAge: time.Minute}
	if _, again := once.Next(arrival, now, 1); again {
		t.Error("more attempts than the schedule has")
	}
}

func TestScheduleList(t *testing.T) {
	s := Schedule{Retry: []time.Duration{4 * time.Second, 8 * time.Second}, MaxAge: time.Minute}
	now := time.Now()
	for attempts, want := range map[int]time.Duration{1: 4 * time.Second, 2: 8 * time.Second, 3: 8 * time.Second} {
		next, _ := s.Next(now, now, attempts)
		if d := next.Sub(now); d < want || d > want+want/4 {
			t.Errorf("after %d attempts: %v, want %v", attempts, d, want)
		}
	}
	if s.Longest() != 10*time.Second {
		t.Errorf("longest %v", s.Longest())
	}
}

func TestDueTime(t *testing.T) {
	now := time.Now()
	for ahead, want := range map[time.Duration]time.Duration{-time.Hour: -time.Hour, time.Hour: time.Hour, 24 * time.Hour: 0} {
		if got := dueTime(now.Add(ahead), now, 4*time.Hour); !got.Equal(now.Add(want)) {
			t.Errorf("%v ahead: %v", ahead, got.Sub(now))
		}
	}
}
