package courier

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"smap/courier/agent"
	"smap/courier/dsn"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// A verdict is what a look at a message came to, for the loop.
type verdict int

const (
	verdictGone     verdict = iota // somebody else's, or not there
	verdictBusy                    // look again soon
	verdictLater                   // not due yet
	verdictFinished                // delivered
	verdictDeferred                // attempted, to be tried again
	verdictAside                   // set aside
	verdictAgent                   // the agent cannot be started or reached
	verdictSpool                   // the spool cannot be written
	verdictOdd                     // something with this message's files; look again
	verdictHeld                    // an outcome could not be written: still claimed
	verdictStopped                 // given back because the courier stops
)

// A report is what a delivery tells the loop.
type report struct {
	item    item
	verdict verdict
	next    time.Time // for verdictLater and verdictDeferred
	wait    time.Duration
	err     error
	held    *delivery
	tried   bool // the agent was called
	start   item // what the delivery was started with
	home    *lease
	reason  string        // why it was set aside
	feeding error         // a report of success or delay could not be fed
	count   counts        // of recipients and reports
	age     time.Duration // from arrival to the end of delivery
}

// maxCall bounds the octets of addresses in one call of an agent: arguments and
// environment have a limit.
const maxCall = 64 << 10

// A delivery is one attempt for one message. One goroutine works on it.
type delivery struct {
	cfg     *Config
	ev      events
	spool   *spoolfmt.Spool
	item    item
	claim   *spoolfmt.Claim
	env     *envelope.Envelope
	agent   agent.Agent
	begin   time.Time
	arrival time.Time
	tried   bool   // the agent was called
	dirty   bool   // outcomes, or that the sender was told, are only in memory
	counted bool   // Attempts has been counted up
	last    string // why recipients are still waiting
	ours    bool   // a report or digest that a courier wrote
	apart   bool   // by the bounce-agent: what becomes of it says nothing of the agent
	ended   bool   // attempts are over, reports may have gone out
	bounced bool   // the sender was told of a failure
	feeding error  // why a report could not be fed
	count   counts // since the last report to the loop
	success []dsn.Recipient
	remotes map[string]string // who spoke of a recipient
}

// tell adds to a report what the delivery has counted.
func (d *delivery) tell(r report) report {
	r.count, r.feeding, r.tried = d.count, d.feeding, r.tried && !d.apart
	d.count, d.feeding = counts{}, nil
	return r
}

// run makes the attempt. The context ends when the grace of a stop is over.
func (d *delivery) run(ctx context.Context) report {
	d.begin = time.Now()
	if err := d.take(); err != nil {
		return d.notTaken(err)
	}
	if err := d.claim.Load(); err != nil {
		return d.notLoaded(err)
	}
	d.env = d.claim.Envelope()
	d.agent, d.ours = d.cfg.Agent, d.wroteIt()
	if d.ours && d.cfg.BounceAgent != nil {
		d.agent, d.apart = d.cfg.BounceAgent, true
	}
	if !d.roomForOutcomes() {
		return d.setAside("", "the envelope is so long that the outcome of each recipient would not fit into it")
	}
	if d.item.cur || d.env.Get("Next-Attempt") != "" {
		// Another drainer may have tried it since it was scanned, or we have:
		// a message that comes while a scan runs is met twice.
		info, err := d.spool.Stat(spoolfmt.Cur, d.claim.ID()+spoolfmt.KindEnvelope.Suffix())
		if err == nil {
			if due := dueTime(info.ModTime, d.begin, d.cfg.Schedule.Longest()); due.After(d.begin) {
				return d.giveBack(report{verdict: verdictLater, next: due})
			}
		}
	}
	for _, batch := range d.batches() {
		began := time.Now()
		rep, ok := d.attempt(ctx, batch)
		if !ok {
			return rep
		}
		if time.Since(began) >= d.cfg.AgentTimeout {
			break // it hangs; the other batches would too, for hours
		}
	}
	return d.conclude()
}

// wroteIt tells whether a courier fed this message: the field alone proves
// nothing, since any feeder can write it, but the file's owner does.
func (d *delivery) wroteIt() bool {
	if d.env.Get(fieldReport) == "" || d.env.Sender().Address != "" {
		return false
	}
	info, err := d.spool.Stat(spoolfmt.Cur, d.claim.ID()+spoolfmt.KindContent.Suffix())
	return err == nil && int(info.UID) == os.Geteuid()
}

func (d *delivery) take() (err error) {
	id, kind := spoolfmt.SplitName(d.item.name)
	switch {
	case kind == spoolfmt.KindDrop && d.item.cur:
		d.claim, err = d.spool.RecoverDrop(d.item.name)
	case kind == spoolfmt.KindDrop:
		d.claim, err = d.spool.ClaimDrop(d.item.name)
	default:
		d.claim, err = d.spool.Claim(id)
	}
	return err
}

// notTaken turns the error of a claim into a report.
func (d *delivery) notTaken(err error) report {
	r := report{item: d.item, err: err, verdict: verdictOdd}
	var bad *spoolfmt.MalformedError
	switch {
	case errors.As(err, &bad): // a drop, which is in bad already
		id, _ := spoolfmt.SplitName(d.item.name)
		d.ev.aside(id, bad.File, bad.Err.Error())
		r.verdict, r.reason = verdictAside, bad.Err.Error()
	case errors.Is(err, spoolfmt.ErrGone):
		r.verdict = verdictGone
	case errors.Is(err, spoolfmt.ErrAlone):
		r.verdict, r.wait = verdictBusy, spoolfmt.LookAgain+100*time.Millisecond
	case errors.Is(err, spoolfmt.ErrBusy), errors.Is(err, spoolfmt.ErrBlocked), errors.Is(err, spoolfmt.ErrLinked):
		// A shell's ln is followed by its rm at once.
		r.verdict = verdictBusy
	case systemTrouble(err):
		r.verdict = verdictSpool
	}
	return r
}

func (d *delivery) notLoaded(err error) report {
	var bad *spoolfmt.MalformedError
	switch {
	case errors.As(err, &bad):
		return d.setAside(bad.File, bad.Err.Error())
	case errors.Is(err, spoolfmt.ErrGone):
		return d.giveBack(report{verdict: verdictGone})
	case systemTrouble(err):
		return d.giveBack(report{verdict: verdictSpool, err: err})
	}
	return d.giveBack(report{verdict: verdictOdd, err: err})
}

// systemTrouble tells errors that every message would meet from those that are
// about one file.
func systemTrouble(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOLCK} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// roomForOutcomes tells whether every outcome could be written into the
// envelope. A message must not be delivered when that could not be recorded.
func (d *delivery) roomForOutcomes() bool { return d.env.Room() <= envelope.MaxSize }

// giveBack ends the claim and leaves the message in cur.
func (d *delivery) giveBack(r report) report {
	r.item, r.tried = d.item, d.tried
	if d.claim != nil {
		r.item = item{at: d.item.at, name: d.claim.ID() + spoolfmt.KindEnvelope.Suffix(), cur: true}
		if err := d.claim.Release(); err != nil && r.err == nil {
			r.err = err
		}
	}
	return r
}

// errStopping is the cause of a context that ends because the courier does.
var errStopping = errors.New("stopping")

// errTimeout is the cause of a context that ends because an agent took longer
// than the agent timeout.
var errTimeout = errors.New("agent timeout")

// dueTime reads an envelope's modification time in cur as its next attempt. One
// that lies further ahead than any schedule goes was not written by us, or the
// clock was set back: it is due now.
func dueTime(mtime, now time.Time, longest time.Duration) time.Time {
	if mtime.Sub(now) > longest {
		return now
	}
	return mtime
}
