//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// dotRate is how many messages come in a second.
const dotRate = 200

// dotClients are the connections that they come on: one is free whenever a message is due.
const dotClients = 16

// dot measures from the client's last dot to the first instruction of the program that gets the message.
func (b *bench) dot() error {
	fifo, err := b.fifo()
	if err != nil {
		return err
	}
	defer fifo.Close()
	all, stop, err := b.chains(b.programs(nil)...)
	defer stop()
	if err != nil {
		return err
	}
	count := b.messages(2000)
	took := make([][]float64, len(all))
	for from := 0; from < count; from += turnOf {
		for i, c := range all {
			some, err := b.dots(c, fifo, min(turnOf, count-from))
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			took[i] = append(took[i], some...)
		}
	}
	for i, c := range all {
		b.distribution(c.name+fromDot, took[i])
	}
	return nil
}

// dots sends messages at a steady rate, and gives how long each took, in ms.
func (b *bench) dots(c *chain, fifo *os.File, count int) ([]float64, error) {
	var group sync.WaitGroup
	defer group.Wait()
	due := make(chan int, count)
	sent, failed := make([]int64, count), make(chan error, dotClients)
	var clients []*client
	for range dotClients {
		cl, err := dial(c.port)
		if err != nil {
			close(due)
			return nil, err
		}
		clients = append(clients, cl)
	}
	for _, cl := range clients {
		group.Go(func() {
			defer cl.conn.Close()
			for n := range due {
				at, err := cl.send(n)
				if err != nil {
					failed <- err
					return
				}
				sent[n] = at
			}
		})
	}
	go func() {
		defer close(due)
		tick := time.NewTicker(time.Second / dotRate)
		defer tick.Stop()
		for n := range count {
			<-tick.C
			due <- n
		}
	}()
	began := make([]int64, count)
	for range count {
		at, n, err := stamp(fifo)
		if err != nil || n >= int64(count) {
			select {
			case why := <-failed:
				err = errors.Join(err, why)
			default:
			}
			return nil, errors.Join(err, b.ctx.Err())
		}
		began[n] = at
	}
	group.Wait() // until then not all times are known
	took := make([]float64, count)
	for n := range took {
		took[n] = float64(began[n]-sent[n]) / 1e6
	}
	return took, nil
}

// A client keeps its connection.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(port int) (*client, error) {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second)
	if err != nil {
		return nil, err
	}
	c := &client{conn, bufio.NewReader(conn)}
	if err := errors.Join(conn.SetDeadline(time.Now().Add(time.Minute)), c.expect("220"), c.say("EHLO client.test", "250")); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// send sends a message with a number, and gives the time just before its last dot.
func (c *client) send(number int) (int64, error) {
	err := errors.Join(c.say(fmt.Sprintf("MAIL FROM:<m%d@client.test>", number), "250"), c.say("RCPT TO:<b@bench.test>", "250"), c.say("DATA", "354"))
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(c.conn, "Subject: %d\r\n\r\n%s", number, strings.Repeat(strings.Repeat("x", 78)+"\r\n", 50)); err != nil {
		return 0, err
	}
	at := clock()
	return at, c.say(".", "250")
}

func (c *client) say(line, want string) error {
	if _, err := c.conn.Write([]byte(line + "\r\n")); err != nil {
		return err
	}
	return c.expect(want)
}

// expect reads one reply.
func (c *client) expect(code string) error {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, code) {
			return fmt.Errorf("%q instead of %s: %w", line, code, err)
		}
		if line[3] == ' ' {
			return nil
		}
	}
}
