package courier

import "smap/courier/agent"

// configure puts lanes into use. What runs in a lane that is gone finishes there; all
// that waits is routed again.
func (d *dispatcher) configure(cfg *Config) {
	d.clear()
	var lanes []*lane
	for _, c := range cfg.lanes() {
		l := d.lane(c.Name)
		if l == nil {
			l = newLane(c.Name)
		}
		l.agent, l.slots, l.batch = c.Agent, c.MaxChildren, c.Batch
		l.gate = gate{what: l.gate.what} // the new agent may be reached
		lanes = append(lanes, l)
	}
	d.lanes, d.turn = lanes, 0
	d.keyers = make(keyers) // a new one: the old one may be in use beside the loop
	for _, l := range d.lanes {
		d.keyers[l.name] = func(_, _ string) agent.Keys { return agent.Keys{} }
		if k, ok := l.agent.(agent.Keyer); ok {
			d.keyers[l.name] = k.Keys
		}
	}
}
