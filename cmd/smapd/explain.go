package main

import (
	"fmt"
	"io"

	"smap/courier"
	"smap/internal/sysexits"
	"smap/spoolfmt/envelope"
)

// explain prints what happens to mail for these addresses.
func explain(r *rules, addresses []string, stdout, stderr io.Writer) int {
	if len(addresses) == 0 {
		return sysexits.OK
	}
	cfg, err := r.config()
	if err != nil {
		return configErrors(stderr, err)
	}
	for _, a := range addresses {
		if err := envelope.CheckAddress(a); err != nil {
			fmt.Fprintf(stderr, "smapd: %s: %v\n", a, err)
			return sysexits.Usage
		}
		fmt.Fprintf(stdout, "%s: %s\n", a, taken(cfg, cfg.Lane(a)))
	}
	if cfg.BadAdmin != "" {
		own := cfg.OwnLane(cfg.BadAdmin)
		fmt.Fprintf(stdout, "digests of what is set aside, to %s: %s\n", cfg.BadAdmin, own.Agent.Name())
	}
	return sysexits.OK
}

// taken describes what takes the mail of a lane.
func taken(cfg courier.Config, name string) string {
	l := courier.Lane{Agent: cfg.Agent, MaxChildren: cfg.MaxChildren}
	text := ""
	if name != "" {
		l = *lane(&cfg, name)
		text = "lane " + name + ", "
	}
	if l.MaxChildren == 0 {
		l.MaxChildren = cfg.MaxChildren
	}
	text += l.Agent.Name()
	if l.MaxChildren < 0 {
		return text + ", paused"
	}
	return fmt.Sprintf("%s, up to %d deliveries at a time", text, l.MaxChildren)
}
