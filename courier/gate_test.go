package courier

import (
	"context"
	"errors"
	"smap/courier/agent"
	"testing"
)

// TestOneCannotShutAll: what fails as if the agent could not be reached may be
// about one message, such as a server that hangs up when it hears who the client
// is. The gate must not be probed with that one alone, while all others wait.
func TestOneCannotShutAll(t *testing.T) {
	t.Parallel()
	b := newBench(t, agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		if job.Recipients[0].Address == "poison@x.test" {
			return nil, &agent.StartError{Agent: "test", Err: errors.New("hangs up")}
		}
		return job.Same(agent.Result{Outcome: agent.Delivered}), nil
	}))
	b.cfg.MaxChildren = 1
	b.message("x\n", "poison@x.test")
	for range 5 {
		b.message("y\n", "other@x.test")
	}
	b.run()
	b.eventually("the others", func() bool { return b.log.count("to=<other@x.test>") == 5 })
	b.halt()
	if cur := b.names("cur"); len(cur) != 2 {
		t.Errorf("cur holds %v", cur)
	}
}
