package courier

import (
	"context"
	"strings"
	"testing"

	"smap/courier/agent"
)

// TestLogOfALife holds the lines of one message's whole life, with their values.
func TestLogOfALife(t *testing.T) {
	first := true
	b := newBench(t, agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		out := job.Same(agent.Result{Outcome: agent.Delivered, Text: "ok"})
		for i, to := range job.Recipients {
			switch {
			case to.Address == "no@x.test":
				out[i] = agent.Result{Outcome: agent.Failed, Text: "no such \"user\"\nforged=1"}
			case first:
				out[i] = agent.Result{Text: "not now"}
			case to.Address == "yes@x.test":
				out[i].Text = "250 2.0.0 queued as 4F"
			}
		}
		first = false
		return out, nil
	}))
	id := b.message("x\n", "yes@x.test", "no@x.test")
	fine := ""
	b.run()
	b.eventually("deferred", func() bool { return b.log.count("msg=deferred") == 1 })
	fine = b.message("xy\n")
	b.eventually("finished", func() bool { return b.log.count("msg=finished") == 1 })
	b.due(id)
	b.c.Rescan()
	b.eventually("aside", func() bool { return b.log.count("msg=aside") == 1 })
	b.halt()
	for _, want := range []string{
		"level=INFO msg=start dir=" + b.dir + " agent=test maxchildren=8\n",
		"level=WARN msg=failed id=" + id + " to=<no@x.test> agent=test text=\"no such \\\"user\\\"?forged=1\"\n",
		"level=INFO msg=deferred id=" + id + " attempts=1 next=",
		" waiting=1 text=\"not now\"\n",
		"level=INFO msg=delivered id=" + id + " to=<yes@x.test> agent=test ms=",
		" text=\"250 2.0.0 queued as 4F\"\n",
		"level=WARN msg=aside id=" + id + " reason=\"1 of 2 recipients failed for good, the first is <no@x.test>: ",
		"level=INFO msg=finished id=" + fine + " from=<a@example.com> size=3 recipients=1 ms=",
		"level=INFO msg=stop running=",
		"level=INFO msg=stopped finished=1 deferred=1 aside=1\n",
	} {
		if strings.Count(b.log.String(), want) != 1 {
			t.Errorf("no line with %q", want)
		}
	}
}
