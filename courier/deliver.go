package courier

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"smap/courier/agent"
	"smap/courier/dsn"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// A verdict is what the work on a message came to, for the loop.
type verdict int

const (
	verdictGone     verdict = iota // somebody else's, or not there
	verdictBusy                    // locked: look again soon
	verdictFree                    // a look found it free
	verdictLater                   // not due yet
	verdictFinished                // delivered
	verdictDeferred                // attempted, to be tried again
	verdictAside                   // set aside
	verdictWaits                   // given back: lanes have not had their turn, or were not reached
	verdictSpool                   // the spool cannot be written
	verdictOdd                     // something is wrong with this message's files; look again
	verdictStopped                 // given back because the courier stops
	verdictLost                    // an outcome could not be written until the end
)

// A result is what a delivery tells the loop at its end.
type result struct {
	start   start
	item    item // as it is now: the message may have moved to cur
	verdict verdict
	next    time.Time // the next attempt: for verdictLater and verdictDeferred, else where it could not be written
	wait    time.Duration
	err     error
	ended   []*part // parts whose end the loop has not heard of
	left    []place // lanes that have not had their turn

	tight     bool    // it was delivered although there was no room to record that
	unreached []*part // whose agents could not be reached
	reason    string  // why it was set aside
	feeding   error   // a report could not be fed
	count     counts
	age       time.Duration // from arrival to the end of the delivery
}

// A part is a lane's share of a delivery. It holds one of the lane's slots.
type part struct {
	lane  *lane
	name  string
	agent agent.Agent // as it was when the part began
	batch int
	item  item
	tried bool  // the agent was called
	err   error // the agent could not be reached
}

func newPart(l *lane, it item) *part {
	return &part{lane: l, name: l.name, agent: l.agent, batch: l.batch, item: it}
}

// A delivery is one attempt for one message, which is claimed once for all lanes. Each
// lane's part has a goroutine, so that none of them waits for another; the first
// part's goroutine also claims the message and draws the conclusions.
type delivery struct {
	cfg      *Config
	ev       events
	spool    *spoolfmt.Spool
	start    start
	item     item
	tell     func(*part) // tells the loop of a part's end
	held     func(error) // tells the loop that an outcome cannot be written
	replaced func() bool // tells whether another spool is in the place of this one
	first    *part       // nil: a look

	begin   time.Time
	arrival time.Time
	own     bool // a courier wrote this message
	owedDue time.Time

	mu      sync.Mutex // guards the rest while parts run
	changed sync.Cond  // a part has ended
	loaded  bool
	closed  bool // the conclusions are being drawn: no part can join
	shared  bool // recipients are for more than one lane
	open    int  // parts that run
	parts   map[string]*part
	ended   []*part

	keyers       keyers
	claim        *spoolfmt.Claim
	env          *envelope.Envelope
	unreportable bool               // the envelope takes no fields of our own: see reportable
	asRead       *envelope.Envelope // for agents, which read while others write
	dirty        bool               // outcomes, or that the sender was told, are only in memory
	seen         bool               // of these somebody saw something, a recipient or the sender: they must not be lost
	tight        bool               // there is no room to record the next outcome
	counted      bool               // Attempts has been counted up
	broken       error              // an outcome could not be recorded: no more calls
	refused      []refusedOutcome   // outcomes that the envelope did not take
	unlogged     []func()           // failures that are logged when they are written down
	last         string             // why recipients still wait
	feeding      error              // why a report could not be fed
	count        counts
	success      []dsn.Recipient
	replies      map[string]agent.Result // the last result of a recipient
}

func newDelivery(cfg *Config, ev events, sp *spoolfmt.Spool, s start, first *part) *delivery {
	d := &delivery{cfg: cfg, ev: ev, spool: sp, start: s, item: s.item, first: first, parts: make(map[string]*part)}
	d.changed.L = &d.mu
	if first != nil {
		d.parts[first.name] = first
		d.open = 1
	}
	return d
}

// join adds a lane's part to a delivery that runs. False means that it is too late.
func (d *delivery) join(ctx context.Context, p *part) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.first == nil || d.start.owed || d.parts[p.name] != nil {
		return false
	}
	d.parts[p.name] = p
	d.open++
	if d.loaded {
		go d.runPart(ctx, p)
	}
	return true
}

// run does the whole delivery. The context ends when the grace of a stop is over.
func (d *delivery) run(ctx context.Context) result {
	r := d.work(ctx)
	d.mu.Lock()
	d.closed = true
	r.ended = append(r.ended, d.ended...)
	for _, p := range d.parts {
		if p.err != nil && d.loaded {
			r.unreached = append(r.unreached, p)
		}
	}
	if !d.loaded {
		for _, p := range d.parts {
			r.ended = append(r.ended, p)
		}
	}
	d.mu.Unlock()
	r.start, r.count, r.feeding = d.start, d.count, d.feeding
	return r
}

func (d *delivery) work(ctx context.Context) result {
	d.begin = time.Now()
	if err := d.take(); err != nil {
		return d.notTaken(err)
	}
	if err := d.claim.Load(); err != nil {
		return d.notLoaded(err)
	}
	d.env = d.claim.Envelope()
	if err := d.ignoreTold(); err != nil {
		return d.notLoaded(err)
	}
	d.unreportable = !reportable(d.env)
	if d.start.why != nil {
		d.last = d.start.why.Error()
	}
	d.own = isOwn(d.claim.ContentInfo(), d.env)
	if d.first == nil && d.start.aging == nil {
		return d.giveBack(result{verdict: verdictFree})
	}
	if due := d.due(); due.After(d.begin) {
		if !d.start.owed {
			return d.giveBack(result{verdict: verdictLater, next: due})
		}
		d.owedDue = due
	}
	if d.first != nil {
		d.runParts(ctx)
	}
	if context.Cause(ctx) != nil && len(d.env.Pending()) > 0 {
		return d.interrupted(ctx)
	}
	return d.conclude(ctx)
}

// due is when the message is to be tried. Another drainer may have tried it since it
// was scanned, or this one: a message that comes while a scan runs is met twice.
func (d *delivery) due() time.Time {
	if !d.item.cur && d.env.Get("Next-Attempt") == "" {
		return time.Time{}
	}
	info, err := d.spool.Stat(spoolfmt.Cur, d.claim.ID()+spoolfmt.KindEnvelope.Suffix())
	if err != nil {
		return time.Time{} // a drop, or the end of it will be met
	}
	return dueTime(info.ModTime, d.begin, d.cfg.Schedule.Longest())
}

// take claims the message. It never waits.
func (d *delivery) take() error {
	var err error
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

// notTaken turns the error of a claim into a result.
func (d *delivery) notTaken(err error) result {
	r := result{item: d.item, err: err, verdict: verdictOdd}
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
		r.verdict = verdictBusy
	case systemTrouble(err):
		r.verdict = verdictSpool
	}
	return r
}

func (d *delivery) notLoaded(err error) result {
	var bad *spoolfmt.MalformedError
	switch {
	case errors.As(err, &bad):
		return d.setAside(bad.File, bad.Err.Error())
	case errors.Is(err, spoolfmt.ErrGone):
		return d.giveBack(result{verdict: verdictGone})
	case systemTrouble(err):
		return d.giveBack(result{verdict: verdictSpool, err: err})
	}
	return d.giveBack(result{verdict: verdictOdd, err: err})
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

// giveBack ends the claim and leaves the message in cur.
func (d *delivery) giveBack(r result) result {
	r.item = d.item
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
