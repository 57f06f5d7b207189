//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"smap/internal/tools/writelog"
)

// A checker looks at a disk as a power cut leaves it, for many moments of one log of writes.
type checker struct {
	kind, work, smapd, user string
	log                     *writelog.Log
	marks                   []markAt
	base                    string // the disk as it was before the log
	mu                      sync.Mutex
	sum                     tally
}

// A markAt is a mark and the entry of the log that wrote it.
type markAt struct {
	at         int
	kind, text string
}

// tally is what all points together came to.
type tally struct {
	points, flushes, between int
	waiting, again           int // accepted and not delivered yet; delivered before and again
	left                     int // points at which smapd could not deliver something, accepted or not
	repaired                 int // points at which the kernel did not mount the disk before e2fsck
	wrong, wrongBetween      int // points at which something accepted was missing, or came wrong
}

// check replays a log of writes to every flush and to points between, and has smapd deliver what is left at each.
func check(args []string) error {
	var c checker
	f := flag.NewFlagSet("check", flag.ContinueOnError)
	logName := f.String("log", "", "the log of writes")
	f.StringVar(&c.base, "base", "", "the disk before them")
	f.StringVar(&c.work, "work", "", "a directory on a file system that clones files")
	f.StringVar(&c.kind, "kind", "ext4", "the disk's file system")
	f.StringVar(&c.smapd, "smapd", "/bin/smapd", "the program")
	f.StringVar(&c.user, "user", "smapd", "its user")
	points := f.Int("points", 1000, "how many at least")
	parallel := f.Int("parallel", 4, "how many at the same time")
	seed := f.Uint64("seed", 1, "chooses the points between flushes, and what is lost there")
	dropped := f.Bool("dropped-flushes", false, "the disk does nothing when it is told to flush")
	if err := f.Parse(args); err != nil {
		return err
	}
	file, err := os.Open(*logName)
	if err != nil {
		return err
	}
	defer file.Close()
	if c.log, err = writelog.Read(file); err != nil {
		return err
	}
	start, err := c.findMarks()
	if err != nil {
		return err
	}
	if err := c.run(choose(c.log.Entries, start, *points, *seed, *dropped), *parallel); err != nil {
		return err
	}
	s := c.sum
	fmt.Printf("guest: checked points=%d flushes=%d between=%d writes=%d waiting=%d again=%d left=%d repaired=%d wrong=%d wrong-between=%d\n",
		s.points, s.flushes, s.between, len(c.log.Entries), s.waiting, s.again, s.left, s.repaired, s.wrong, s.wrongBetween)
	return nil
}

// findMarks reads the marks, and returns the entry from which on the load runs.
func (c *checker) findMarks() (start int, err error) {
	info, err := os.Stat(c.base)
	if err != nil {
		return 0, err
	}
	for i, e := range c.log.Entries {
		if e.Offset < info.Size()-marksSize || e.Size == 0 || e.Flags&writelog.Discard != 0 {
			continue
		}
		b, err := c.log.Data(e)
		if err != nil {
			return 0, err
		}
		m := markAt{at: i}
		if m.kind, m.text, err = readMark(b); err != nil {
			return 0, err
		}
		if m.kind == "start" {
			start = i
		}
		c.marks = append(c.marks, m)
	}
	if start == 0 {
		return 0, errors.New("the log has no start")
	}
	return start, nil
}

// run looks at all points, in their order: the writes before a point's flush are done once, and its file is a clone.
func (c *checker) run(all []point, parallel int) error {
	name := filepath.Join(c.work, "flushed")
	if err := clone(c.base, name); err != nil {
		return err
	}
	disk, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer disk.Close()
	var wg sync.WaitGroup
	room := make(chan struct{}, parallel)
	done := 0
	for i, p := range all {
		for ; done < p.flushed; done++ {
			if err := c.log.Apply(disk, c.log.Entries[done]); err != nil {
				return err
			}
		}
		room <- struct{}{}
		image := filepath.Join(c.work, fmt.Sprint("cut", i))
		if err := c.cut(name, image, p); err != nil {
			return err
		}
		wg.Go(func() {
			defer func() { <-room }()
			c.look(image, p)
		})
	}
	wg.Wait()
	return nil
}

// cut makes the disk as it is at a point.
func (c *checker) cut(flushed, image string, p point) error {
	if err := clone(flushed, image); err != nil {
		return err
	}
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for _, i := range p.kept {
		if err := c.log.Apply(f, c.log.Entries[i]); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// clone makes a file that shares the other's blocks, where the file system can.
func clone(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	err = unix.IoctlFileClone(int(out.Fd()), int(in.Fd()))
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) {
		_, err = out.ReadFrom(in)
	}
	return errors.Join(err, out.Close())
}

// look mounts a disk, has smapd deliver what is there, and compares that with what had been acknowledged.
func (c *checker) look(image string, p point) {
	got := map[string]int{}
	var wrong []string
	var mu sync.Mutex
	err := c.deliver(image, func(mark, text string) error {
		mu.Lock()
		defer mu.Unlock()
		got[mark]++
		if rest, ok := strings.CutSuffix(text, content(mark)); !ok || rest != "" && !strings.HasPrefix(rest, "Received: ") {
			wrong = append(wrong, fmt.Sprintf("%s came with another content, of %d octets", mark, len(text)))
		}
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, errLeft) {
		c.sum.left++
		fmt.Printf("guest: left at write %d: %v\n", p.at, err)
	} else if err != nil {
		wrong = append(wrong, err.Error())
	}
	acked, taken := map[string]bool{}, map[string]bool{}
	for _, m := range c.marks {
		switch {
		case m.at >= p.at:
		case m.kind == "acked":
			acked[m.text] = true
		case m.kind == "taken":
			taken[m.text] = true
		}
	}
	for mark := range acked {
		if !taken[mark] {
			c.sum.waiting++
			if got[mark] == 0 {
				wrong = append(wrong, mark+" is lost")
			}
		}
	}
	for mark, n := range got {
		if n > 1 {
			wrong = append(wrong, fmt.Sprintf("%s came %d times", mark, n))
		}
		if taken[mark] {
			c.sum.again++
		}
	}
	c.sum.points++
	if p.between {
		c.sum.between++
	} else {
		c.sum.flushes++
	}
	if len(wrong) == 0 {
		return
	}
	where := "a flush"
	if p.between {
		where = "a moment between"
		c.sum.wrongBetween++
	} else {
		c.sum.wrong++
	}
	slices.Sort(wrong)
	fmt.Printf("guest: wrong at write %d, %s: %s\n", p.at, where, strings.Join(wrong[:min(5, len(wrong))], "; "))
}
