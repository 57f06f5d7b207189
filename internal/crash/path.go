package crash

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"strings"
)

// A Follower holds records against SPOOL-FORMAT.md, as the model has it: after each operation every message is in a state
// of the table in section 7, and no step is taken before the syncs that it needs.
type Follower struct {
	now     int
	names   map[string]*traced
	moved   map[string]int // by name: when it came into its box
	synced  map[string]int // by box: when its last sync began
	seen    map[string]*message
	answers int
}

// NewFollower begins with an empty spool.
func NewFollower() *Follower {
	return &Follower{names: map[string]*traced{}, moved: map[string]int{}, synced: map[string]int{}, seen: map[string]*message{}}
}

// Messages is how many there were until now.
func (f *Follower) Messages() int { return len(f.seen) }

// Answers is how many messages a client was told of, each of them durable.
func (f *Follower) Answers() int { return f.answers }

// Follow goes through the operations of one record. Its error names the first that is no step of the format.
func (f *Follower) Follow(ops []Op) error {
	for i, op := range ops {
		f.now++
		if err := f.step(op); err != nil {
			return fmt.Errorf("operation %d, %s %s %s: %w", i, op.Kind, op.Path, op.To, err)
		}
	}
	return nil
}

// Adopt takes the spool as it is after a kill: the last calls of the killed may have been done without a word in the record.
// The names are such as new/id.eml. What is new among them counts as not synced.
func (f *Follower) Adopt(names []string) error {
	f.now++
	there := map[string]bool{}
	for _, name := range names {
		there[name] = true
		if f.has(name) {
			continue
		}
		_, id, suffix := part(name)
		file := &traced{written: f.now}
		for _, other := range []string{"tmp/" + id + "." + suffix, "new/" + id + "." + suffix, "cur/" + id + "." + suffix, "cur/" + id + ".envelope"} {
			if f.has(other) {
				file = f.names[other]
				break
			}
		}
		f.names[name], f.moved[name] = file, f.now
		if m := f.seen[id]; strings.HasPrefix(name, "new/") && m == nil {
			f.seen[id] = &message{committed: f.now}
		}
	}
	for name := range f.names {
		if !there[name] {
			delete(f.names, name)
			if _, id, suffix := part(name); f.seen[id] != nil && suffix == "eml" {
				f.seen[id].removed = f.now
			}
		}
	}
	for name := range there {
		_, id, _ := part(name)
		if err := f.state(id); err != nil {
			return fmt.Errorf("after a kill: %w", err)
		}
	}
	return nil
}

// A traced file is one file, whatever its names.
type traced struct {
	written int // when octets came last
	synced  int // when a sync of it began last
}

// A message is what is remembered of an id.
type message struct {
	content, envelope *traced
	committed         int // when its envelope came to new
	removed           int // when its content was removed from cur
}

// String names an operation in an error.
func (k Kind) String() string {
	return [...]string{"create", "write", "truncate", "sync file", "sync box", "sync all", "nothing", "link", "move", "remove", "say"}[k]
}

// part is the id and the suffix of a name in a box: cur/x.eml is "cur", "x", "eml".
func part(p string) (box, id, suffix string) {
	box, name := path.Split(p)
	for _, suffix := range []string{"eml", "envelope", "done"} {
		if id, ok := strings.CutSuffix(name, "."+suffix); ok {
			return strings.TrimSuffix(box, "/"), id, suffix
		}
	}
	return strings.TrimSuffix(box, "/"), name, ""
}

func (f *Follower) has(name string) bool { return f.names[name] != nil }

// since tells whether a box was synced after a moment.
func (f *Follower) since(box string, moment int) bool { return f.synced[box] > moment }

func (f *Follower) step(op Op) error {
	switch op.Kind {
	case Create:
		if !f.has(op.Path) {
			f.names[op.Path] = &traced{written: f.now}
		}
	case Write, Truncate:
		if file := f.names[op.Path]; file != nil {
			file.written = f.now
		}
	case SyncFile:
		if file := f.names[op.Path]; file != nil {
			file.synced = f.now
		}
	case SyncDir:
		f.synced[op.Path] = f.now
	case SyncAll:
		for _, file := range f.names {
			file.synced = f.now
		}
		for _, box := range []string{"tmp", "new", "cur", "bad"} {
			f.synced[box] = f.now
		}
	case Link, Move:
		return f.move(op)
	case Remove:
		return f.remove(op.Path)
	case Say:
		return f.say(string(op.Data))
	}
	return nil
}

// move is a link or a move into a box, perhaps in place of another file.
func (f *Follower) move(op Op) error {
	file := f.names[op.Path]
	if file == nil {
		return nil // something that was there before the record
	}
	box, id, suffix := part(op.To)
	from, _, _ := part(op.Path)
	switch {
	case box == "new" && suffix == "envelope" && !f.has("new/"+id+".eml"):
		return fmt.Errorf("an envelope comes to new before its content")
	case box == "cur" && from == "new" && suffix == "eml" && f.has("new/"+id+".envelope"):
		return fmt.Errorf("a content is claimed before its envelope")
	case suffix == "done" && from != "cur":
		return fmt.Errorf("a .done that was no envelope in cur")
	}
	f.names[op.To] = file
	f.moved[op.To] = f.now
	if op.Kind == Move {
		delete(f.names, op.Path)
	}
	if box == "new" && suffix != "" && f.seen[id] == nil {
		f.seen[id] = &message{}
	}
	if m := f.seen[id]; m != nil && box == "new" {
		switch suffix {
		case "eml":
			m.content = file
		case "envelope":
			m.envelope, m.committed = file, f.now
		}
	}
	return f.state(id)
}

// remove checks that nothing is removed without evidence.
func (f *Follower) remove(name string) error {
	box, id, suffix := part(name)
	file := f.names[name]
	if box == "cur" && file != nil {
		aside := f.inBad(id, suffix)
		switch {
		case suffix == "envelope" && !aside:
			return fmt.Errorf("an envelope is removed that is not durable in bad")
		case suffix == "eml" && !aside && f.has("cur/"+id+".envelope"):
			return fmt.Errorf("a content is removed beside its envelope")
		case suffix == "eml" && !aside && !f.has("cur/"+id+".done") && !f.has("new/"+id+".eml"):
			return fmt.Errorf("a content is removed without a .done")
		case suffix == "eml" && !aside && f.has("cur/"+id+".done") && !f.since("cur", f.moved["cur/"+id+".done"]):
			return fmt.Errorf("a content is removed before its .done is durable")
		case suffix == "done" && f.seen[id] != nil && !f.since("cur", f.seen[id].removed):
			return fmt.Errorf("a .done is removed before the removal of its content is durable")
		}
		if m := f.seen[id]; m != nil && suffix == "eml" {
			m.removed = f.now
		}
	}
	delete(f.names, name)
	return f.state(id)
}

// inBad tells whether a file of an id has a durable place in bad, under its own name or that with a number.
func (f *Follower) inBad(id, suffix string) bool {
	for name := range f.names {
		box, other, kind := part(name)
		if box == "bad" && kind == suffix && (other == id || strings.HasPrefix(other, id+".")) && f.since("bad", f.moved[name]) {
			return true
		}
	}
	return false
}

var accepted = regexp.MustCompile(`Mail accepted(?:, id ([^\s]+))?`)

// say checks that what a client is told is durable.
func (f *Follower) say(text string) error {
	for _, match := range accepted.FindAllStringSubmatch(text, -1) {
		f.answers++
		m := f.seen[match[1]]
		switch {
		case match[1] == "":
			return errors.New("an answer without an id, as those who say HELO get it: nothing tells whose it is")
		case m == nil || m.envelope == nil || m.content == nil:
			return fmt.Errorf("%s was never committed", match[1])
		case m.content.synced < m.content.written:
			return fmt.Errorf("the content of %s is not durable", match[1])
		case m.envelope.synced < m.envelope.written && f.has("new/"+match[1]+".envelope"):
			return fmt.Errorf("the envelope of %s is not durable", match[1])
		case !f.since("new", m.committed):
			return fmt.Errorf("%s is not durable in new", match[1])
		}
	}
	return nil
}

// states are the rows of SPOOL-FORMAT.md's table, box by box: of new, cur and bad.
var states = map[string]bool{
	"||":  true, // DRAFT, or gone
	"C||": true, "CE||": true, "C|E|": true, "E|C|": true, "|CE|": true, "|CD|": true, "|D|": true, "|CED|": true,
	"|CE|C": true, "|CE|E": true, "|CE|CE": true, "|C|CE": true, "|E|CE": true, "|C|": true, "E||": true, "|E|": true,
	"||CE": true, "||C": true, "||E": true, "C||E": true, "||CD": true, "||D": true,
	"|CD|CE": true, "|D|CE": true, // a message of the name of one that was set aside
}

// state checks that the files of an id are in a state of the table. Where a system moves by link and unlink, a file that
// has two names for a moment counts as one, in either place.
func (f *Follower) state(id string) error {
	if id == "" {
		return nil
	}
	names := map[string]*traced{} // such as "cur/eml"
	for _, box := range boxes {
		for _, suffix := range suffixes {
			if file := f.names[box+"/"+id+"."+suffix]; file != nil {
				names[box+"/"+suffix] = file
			}
		}
	}
	if !known(names) {
		return fmt.Errorf("%s is in no state of the format: %s", id, letters(names))
	}
	return nil
}

var boxes, suffixes = []string{"new", "cur", "bad"}, []string{"eml", "envelope", "done"}

// letters writes a state as the table has it: the letters of each box.
func letters(names map[string]*traced) string {
	var s strings.Builder
	for i, box := range boxes {
		if i > 0 {
			s.WriteByte('|')
		}
		for j, suffix := range suffixes {
			if names[box+"/"+suffix] != nil {
				s.WriteByte("CED"[j])
			}
		}
	}
	return s.String()
}

// known tells whether the files are in a state of the table, each that has two names with one of them.
func known(names map[string]*traced) bool {
	if states[letters(names)] {
		return true
	}
	for one, file := range names {
		for other, same := range names {
			if one != other && file == same {
				fewer := maps.Clone(names)
				delete(fewer, one)
				if known(fewer) {
					return true
				}
			}
		}
	}
	return false
}
