package main

import (
	"context"
	"errors"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"smap/courier"
	"smap/internal/sysexits"
	"smap/spoolfmt"
)

type takeOptions struct {
	follow  bool
	jobs    int
	each    bool
	timeout string
	retry   []string
	maxAge  string
	quiet   bool
}

func (a *app) takeCommand() *cobra.Command {
	o := takeOptions{jobs: 1, timeout: "10m"}
	c := &cobra.Command{
		Use:   "take [flags] COMMAND [ARG...]",
		Short: "Run a command for each message: a drainer for scripts",
		Long: `Take claims the messages that wait or are due, one by one, and runs the command
for each. The content is its standard input. Its environment has SMAP_ID,
SMAP_SENDER, SMAP_RECIPIENTS (one on each line) and more. It runs as you, or as
the owner of the spool when root starts it.

The exit code decides. 0: delivered. 65, 67, 68 and 100: refused for good, the
message is set aside. Anything else: deferred, for another attempt. The end of
its output is kept as the reason. smapq take can run beside smapd and itself.`,
		Example: `  smapq take sh -c 'cat >"/archive/$SMAP_ID"'
  smapq take --follow --jobs 4 ./handle-mail
  smapq take --each sh -c 'procmail -d "$SMAP_RECIPIENT"'`,
		Args: atLeast("no command to run, as in: smapq take ./handle-mail"),
		RunE: func(c *cobra.Command, args []string) error { return a.take(c.Context(), o, args) },
	}
	f := c.Flags()
	f.SetInterspersed(false) // the command has flags of its own
	f.BoolVar(&o.follow, "follow", false, "wait for more messages until interrupted")
	f.IntVar(&o.jobs, "jobs", o.jobs, "run up to `N` commands at a time")
	f.BoolVar(&o.each, "each", false, "run the command once for each recipient")
	f.StringVar(&o.timeout, "timeout", o.timeout, "end a command after `TIME`")
	f.StringSliceVar(&o.retry, "retry", nil, "wait `TIME,...` after failed attempts (1m to 4h)")
	f.StringVar(&o.maxAge, "max-age", "", "set aside after `TIME` without delivery (5d)")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "do not report each message on standard error")
	return c
}

func (o *takeOptions) schedule() (s courier.Schedule, timeout time.Duration, err error) {
	if o.jobs < 1 || o.jobs > 1000 {
		return s, 0, usagef("--jobs %d: from 1 to 1000", o.jobs)
	}
	if timeout, err = duration(o.timeout); err != nil {
		return s, 0, failf(sysexits.Usage, "--timeout: %w", err)
	}
	for _, text := range o.retry {
		d, err := duration(text)
		if err != nil {
			return s, 0, failf(sysexits.Usage, "--retry: %w", err)
		}
		s.Retry = append(s.Retry, max(d, time.Second))
	}
	if o.maxAge != "" {
		if s.MaxAge, err = duration(o.maxAge); err != nil {
			return s, 0, failf(sysexits.Usage, "--max-age: %w", err)
		}
	}
	return s, timeout, nil
}

// rescan is the time between two looks with --follow, for what comes without an
// event: from another machine, or where the system has no events left to give.
const rescan = 10 * time.Second

// take drains the spool with a courier whose agent is the command.
func (a *app) take(ctx context.Context, o takeOptions, argv []string) error {
	schedule, timeout, err := o.schedule()
	if err != nil {
		return err
	}
	path, err := exec.LookPath(argv[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return failure(sysexits.Unavailable, err)
	}
	dir, badDir, err := a.locate()
	if err != nil {
		return err
	}
	s, err := a.open(spoolfmt.OpenDrainer) // says what is wrong, and becomes its owner
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	agent := &command{path: path, argv: argv, each: o.each, err: a.err}
	cfg := courier.Config{
		Dir: dir, BadDir: badDir, Agent: agent, MaxChildren: o.jobs,
		AgentTimeout: timeout, Schedule: schedule, Once: !o.follow, Wakeup: rescan,
	}
	if !o.quiet {
		cfg.Log = a.log()
	}
	c, err := courier.New(cfg)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM)
	defer stop()
	err = c.Run(ctx)
	switch waiting, refused := agent.totals(); {
	case errors.Is(err, courier.ErrUndelivered):
		return failure(sysexits.TempFail, err)
	case err != nil:
		return err
	case waiting > 0:
		return failf(sysexits.TempFail, "%s to be tried again; smapq list shows why", several(waiting, "delivery is", "deliveries are"))
	case refused > 0:
		return failf(sysexits.DataErr, "%s refused for good; smapq list --state bad shows why", several(refused, "delivery was", "deliveries were"))
	}
	return nil
}
