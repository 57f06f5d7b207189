package courier

import (
	"context"
	"os"
	"smap/courier/agent"
	"testing"
	"time"
)

// TestDeletedUnderIt: somebody removes a message's files while an agent has it.
// What was delivered is done; what was not is not invented again; other mail
// goes on.
func TestDeletedUnderIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		remove []string
		result agent.Result
		left   int // names in cur at most: the sweeper may have come already
	}{
		{"content, delivered", []string{".eml"}, agent.Result{Outcome: agent.Delivered}, 0},
		{"envelope, delivered", []string{".envelope"}, agent.Result{Outcome: agent.Delivered}, 1}, // a content alone, for the sweeper
		{"both, delivered", []string{".eml", ".envelope"}, agent.Result{Outcome: agent.Delivered}, 0},
		{"content, deferred", []string{".eml"}, agent.Result{Text: "later"}, 1},       // an envelope alone, for the sweeper
		{"envelope, deferred", []string{".envelope"}, agent.Result{Text: "later"}, 1}, // a content alone, also for the sweeper
		{"both, deferred", []string{".eml", ".envelope"}, agent.Result{Text: "later"}, 0},
		{"envelope, failed", []string{".envelope"}, agent.Result{Outcome: agent.Failed, Text: "no"}, 1},
		{"both, failed", []string{".eml", ".envelope"}, agent.Result{Outcome: agent.Failed, Text: "no"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			calls := 0
			b.cfg.MaxChildren = 1
			b.cfg.Wakeup = 50 * time.Millisecond
			b.cfg.Agent = agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
				if job.Recipients[0].Address != "victim@x.test" {
					return job.Same(agent.Result{Outcome: agent.Delivered}), nil
				}
				calls++
				for _, suffix := range c.remove {
					if err := os.Remove(b.path("cur/" + job.ID + suffix)); err != nil {
						t.Error(err)
					}
				}
				return job.Same(c.result), nil
			})
			b.message("x\n", "victim@x.test")
			b.message("y\n", "other@x.test")
			b.run()
			b.eventually("the other one", func() bool { return b.log.count("to=<other@x.test>") == 1 })
			b.eventually("what is left", func() bool { return len(b.names("new")) == 0 && len(b.names("cur")) <= c.left })
			for range 3 {
				b.c.Rescan()
				b.nothing(20*time.Millisecond, "a rescan of so few names takes less than a millisecond")
			}
			b.halt()
			if calls != 1 || len(b.names("bad")) != 0 || len(b.names("cur")) > c.left {
				t.Errorf("%d calls; cur %v, bad %v", calls, b.names("cur"), b.names("bad"))
			}
			if b.log.count("msg=trouble") != 0 {
				t.Error("a person's deletion was logged as trouble")
			}
		})
	}
}
