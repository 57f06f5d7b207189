package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRecipientsCost: clients that ask for unknown recipients without a pause take
// no more of the processor's time where 100,000 are known than where one is.
func TestRecipientsCost(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	few, many := floodCost(t, 1), floodCost(t, 100_000)
	t.Logf("%d ticks with one recipient, %d with 100,000", few, many)
	if many > 3*few+20 { // a fifth of a second is for what else the process does
		t.Errorf("the same questions take %d ticks of the processor's time instead of %d", many, few)
	}
}

// floodCost is the time, in ticks, that a server with so many known recipients
// takes for 10,000 questions.
func floodCost(t *testing.T, known int) int {
	t.Helper()
	server, address := serverKnowing(t, known)
	before := ticks(t, server)
	for range 1000 {
		ask(t, address, 10)
	}
	return ticks(t, server) - before
}

// TestHonestUnderAttack: an honest message takes at most three times as long while
// two clients ask for unknown recipients without a pause, of a server that knows
// 100,000. Other work of the machine comes in bursts, which can slow one of the
// two more than the other: so the comparison is made again, some times, before it
// counts. Where each look-up reads the file it fails each time.
func TestHonestUnderAttack(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	_, address := serverKnowing(t, 100_000)
	honest(t, address) // the first one opens what stays open
	for range 5 {
		without, with := attack(t, address)
		t.Logf("a message takes %v, and %v with the attack", without, with)
		if with <= 3*without || t.Failed() {
			return
		}
	}
	t.Error("with the attack a message takes more than three times as long")
}

// attack returns how long a message takes without the attack and with it: medians
// of messages that take turns.
func attack(t *testing.T, address string) (without, with time.Duration) {
	t.Helper()
	var alone, attacked []time.Duration
	var questions atomic.Int64
	for range 11 {
		for range 5 {
			alone = append(alone, honest(t, address))
		}
		stop, asked := make(chan struct{}), questions.Load()
		var attackers sync.WaitGroup
		for range 2 {
			attackers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						questions.Add(ask(t, address, 30))
					}
				}
			})
		}
		for questions.Load() < asked+60 && !t.Failed() { // it has begun
			time.Sleep(time.Millisecond)
		}
		for range 5 {
			attacked = append(attacked, honest(t, address))
		}
		close(stop)
		attackers.Wait()
	}
	slices.Sort(alone)
	slices.Sort(attacked)
	return alone[len(alone)/2], attacked[len(attacked)/2]
}

// serverKnowing starts a server that knows so many recipients, one of them bob.
func serverKnowing(t *testing.T, known int) (server int, address string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	recipients := filepath.Join(dir, "recipients")
	list := bytes.NewBufferString("bob@mx.example.com\n")
	for i := range known - 1 {
		fmt.Fprintf(list, "user%06d@mx.example.com\n", i)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recipients, list.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return startServer(t, dir, "smap: recipients "+recipients+"\n")
}

// ask has a session that asks for n unknown recipients, and returns n.
func ask(t *testing.T, address string, n int) int64 {
	out, err := talkTo(address, "EHLO c\r\nMAIL FROM:<a@example.org>\r\n"+
		strings.Repeat("RCPT TO:<firstname.lastname@mx.example.com>\r\n", n)+"QUIT\r\n")
	if err != nil || strings.Count(out, "User unknown") != n {
		t.Errorf("%v: %.1000s", err, out)
	}
	return int64(n)
}

// honest sends a message and returns how long that takes.
func honest(t *testing.T, address string) time.Duration {
	began := time.Now()
	out, err := talkTo(address, "HELO c\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<bob@mx.example.com>\r\nDATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n")
	if took := time.Since(began); err == nil && strings.Contains(out, "\n250 Mail accepted") {
		return took
	}
	t.Errorf("%v: %s", err, out)
	return 0
}

// talkTo sends a text at once and returns all replies.
func talkTo(address, text string) (string, error) {
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	greeting, err := in.ReadString('\n')
	if err != nil {
		return greeting, err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return greeting, err
	}
	out, err := io.ReadAll(in)
	return greeting + string(out), err
}

// ticks is the time that a process has had of the processor.
func ticks(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	user, uerr := strconv.Atoi(fields[11])
	system, serr := strconv.Atoi(fields[12])
	if uerr != nil || serr != nil {
		t.Fatalf("%q", b)
	}
	return user + system
}
