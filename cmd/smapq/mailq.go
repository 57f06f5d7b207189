package main

import (
	"context"
	"fmt"
)

// mailq is the list that programs expect of the command of that name, as Postfix
// writes it, with the line in which sendmail has the number of messages. Of an id
// it has the random part, which every command takes. What was set aside waits for a
// person, and is not counted.
func (a *app) mailq(ctx context.Context) error {
	f := &filter{states: []string{stateDrop, stateNew, stateDelivering, stateDue, stateDeferred}}
	requests, octets := 0, int64(0)
	err := a.eachRow(ctx, f, func(r *row) error {
		if requests == 0 {
			fmt.Fprintln(a.out, "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------")
		}
		requests++
		octets += r.Size
		mark := ""
		if r.State == stateDelivering {
			mark = "*"
		}
		sender := "(unknown)"
		if r.Sender != nil {
			sender = *r.Sender
			if sender == "" {
				sender = "MAILER-DAEMON"
			}
		}
		fmt.Fprintf(a.out, "%-17s %8d %s  %s\n", shortKey(r.ID)+mark, r.Size, r.Arrived.Local().Format("Mon Jan _2 15:04:05"), sender)
		if why := r.why(); why != "" {
			fmt.Fprintf(a.out, "(%s)\n", why)
		}
		for _, to := range r.Recipients {
			if to.Status == "pending" {
				fmt.Fprintf(a.out, "%41s%s\n", "", to.Address)
			}
		}
		_, err := fmt.Fprintln(a.out)
		return err
	})
	switch {
	case err != nil:
		return err
	case requests == 0:
		_, err = fmt.Fprintln(a.out, "Mail queue is empty")
	default:
		word := "Requests"
		if requests == 1 {
			word = "Request"
		}
		_, err = fmt.Fprintf(a.out, "\t\tTotal Requests: %[2]d\n-- %[1]d Kbytes in %[2]d %[3]s.\n", (octets+1023)/1024, requests, word)
	}
	return err
}
