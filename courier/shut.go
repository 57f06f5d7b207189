package courier

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"

	"smap/spoolfmt/envelope"
)

// ShutFile returns the path of a file beside the boxes of a spool. It exists while the agent
// of a lane cannot be reached, so that a person sees why mail waits: also mail that was not
// tried. A courier that is killed leaves it, and the next one writes or removes it. One that
// runs once leaves it alone: it may be another courier's.
func ShutFile(dir string) string { return filepath.Join(dir, "smapd-shut.json") }

// A Shut says which lanes' agents cannot be reached, and which mail waits for them. The
// courier writes it when that changes.
type Shut struct {
	Lanes   []ShutLane  `json:"lanes"`
	Routes  []ShutRoute `json:"routes,omitempty"`
	Reports bool        `json:"reports,omitempty"` // reports have a lane of their own

	routes Config // the routes with patterns that were parsed, where it was read
}

// A ShutLane is a lane whose gate is shut. The name of the lane for everything that no
// route matches is empty.
type ShutLane struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// A ShutRoute is a Route with its patterns as they were written.
type ShutRoute struct {
	Lane     string   `json:"lane"`
	Patterns []string `json:"patterns"`
}

// ReadShut reads what the courier of a spool has written. It returns nil where no lane is
// shut.
func ReadShut(dir string) (*Shut, error) {
	data, err := os.ReadFile(ShutFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &Shut{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%s: %w", ShutFile(dir), err)
	}
	for _, r := range s.Routes {
		route := Route{Lane: r.Lane}
		for _, text := range r.Patterns {
			p, err := ParsePattern(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", ShutFile(dir), err)
			}
			route.Patterns = append(route.Patterns, p)
		}
		s.routes.Routes = append(s.routes.Routes, route)
	}
	return s, nil
}

// maxWhy bounds the recipients of a message that Why looks at: each is matched against all
// patterns.
const maxWhy = 100

// Why returns why a message waits, empty where the lanes of its first recipients are not
// shut.
func (s *Shut) Why(env *envelope.Envelope) string {
	if s == nil {
		return ""
	}
	own := s.Reports && marked(env)
	pending := env.Pending()
	for _, to := range pending[:min(len(pending), maxWhy)] {
		name := reportLane
		if !own {
			name = s.routes.Lane(to.Address)
		}
		for _, l := range s.Lanes {
			if l.Name == name {
				return l.Why
			}
		}
	}
	return ""
}

// shut returns the lanes whose gates are shut.
func (d *dispatcher) shut() []ShutLane {
	var lanes []ShutLane
	for _, l := range d.lanes {
		if l.gate.shut {
			lanes = append(lanes, ShutLane{l.name, l.gate.since.UTC().Truncate(time.Second), envelope.CleanText(l.gate.why.Error(), maxText)})
		}
	}
	return lanes
}

// newShut returns what is to be in the file, nil for no file.
func newShut(lanes []ShutLane, cfg *Config) *Shut {
	if len(lanes) == 0 {
		return nil
	}
	s := &Shut{Lanes: lanes, Reports: cfg.BounceAgent != nil}
	for _, r := range cfg.Routes {
		route := ShutRoute{Lane: r.Lane}
		for _, p := range r.Patterns {
			route.Patterns = append(route.Patterns, p.text)
		}
		s.Routes = append(s.Routes, route)
	}
	return s
}

// write puts it into its file.
func (s *Shut) write(path string) error {
	if s == nil {
		_, err := os.Lstat(path)
		if err == nil { // a disk that is read-only refuses also to remove what is not there
			err = os.Remove(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, append(data, '\n'), 0o640)
}

// writeShut writes the file when a lane was shut or opened, or has another reason, and after
// a reload.
func (l *loop) writeShut() {
	c := l.chores
	if l.cfg.Shut == "" || l.cfg.Once || c.writingShut || l.side.home.moved {
		return
	}
	lanes := l.d.shut()
	if c.shutFor == l.cfg && slices.Equal(lanes, c.shut) {
		return
	}
	c.shut, c.shutFor, c.writingShut = lanes, l.cfg, true
	file, path := newShut(lanes, l.cfg), l.cfg.Shut
	l.beside(func() func(time.Time) {
		err := file.write(path)
		return func(now time.Time) {
			c.writingShut = false
			l.choreEnded("shut lanes", err, now)
		}
	})
}
