package courier

import (
	"context"
	"errors"
	"fmt"

	"smap/spoolfmt"
)

// A Courier drains one spool. Make it with New, then call Run once.
type Courier struct {
	cfg    Config
	spool  *spoolfmt.Spool
	rescan chan struct{}
	reload chan Config
	ping   chan chan<- struct{}
}

// ErrUndelivered is wrapped by the error of Run with Config.Once when mail is left, or
// may be, that could not be delivered now. The error says why.
var ErrUndelivered = errors.New("mail is left that cannot be delivered now")

// New checks the configuration and opens the spool.
func New(cfg Config) (*Courier, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	sp, err := openSpool(&cfg)
	if err != nil {
		return nil, err
	}
	return &Courier{cfg: cfg, spool: sp, rescan: make(chan struct{}, 1), reload: make(chan Config, 1), ping: make(chan chan<- struct{})}, nil
}

func openSpool(cfg *Config) (*spoolfmt.Spool, error) {
	return spoolfmt.OpenDrainer(cfg.Dir, spoolfmt.Options{Log: cfg.Log, BadDir: cfg.BadDir, Host: cfg.Hostname})
}

// Rescan asks for a scan now, as SIGUSR1 does. It never blocks.
func (c *Courier) Rescan() {
	select {
	case c.rescan <- struct{}{}:
	default: // one is asked for already
	}
}

// Ping returns nil once Run's loop has come round. After the first Ping, new mail is
// watched for. If the context ends first, Ping returns its error.
func (c *Courier) Ping(ctx context.Context) error {
	pong := make(chan struct{})
	select {
	case c.ping <- pong:
	case <-ctx.Done():
		return ctx.Err()
	}
	<-pong
	return nil
}

// Reload puts another configuration into use, for deliveries that start from now on.
// The spool stays the same: another directory is an error. Reload never blocks; of two
// calls that come together, the last one counts.
func (c *Courier) Reload(cfg Config) error {
	cfg, err := cfg.complete()
	if err != nil {
		return err
	}
	if cfg.Dir != c.cfg.Dir || cfg.BadDir != c.cfg.BadDir {
		return fmt.Errorf("courier: directory or baddir has changed; restart smapd to use it")
	}
	for {
		select {
		case c.reload <- cfg:
			return nil
		default:
		}
		select {
		case old := <-c.reload:
			if err := old.close(); err != nil {
				return err
			}
		default:
		}
	}
}

// Run delivers until the context ends. Then deliveries that run may finish within the
// configured grace, and Run returns nil. It returns an error if an outcome could not
// be written, and with Config.Once if mail is left.
func (c *Courier) Run(ctx context.Context) error {
	return newLoop(c).run(ctx)
}
