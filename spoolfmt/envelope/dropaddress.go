package envelope

import (
	"errors"
	"fmt"
	"strings"
)

// An addressField is what all fields of one name say, of those that have
// addresses. They are read one by one: a header can have a hundred thousand.
type addressField struct {
	sender bool     // only the first field counts, and its first address
	line   int      // of the first one
	null   bool     // Return-Path: <>
	list   []string // each address once
	seen   map[string]bool
	err    error
}

func senderNames() []string { return []string{"return-path", "sender", "from"} }

func recipientNames() []string { return []string{"to", "cc", "bcc"} }

// resentSenderNames count if resentRecipientNames do.
func resentSenderNames() []string {
	return []string{"return-path", "resent-sender", "resent-from", "sender", "from"}
}

func resentRecipientNames() []string { return []string{"resent-to", "resent-cc", "resent-bcc"} }

// endField takes the addresses of the field that was gathered last.
func (h *dropHeader) endField() {
	f := h.fields[h.name]
	if f == nil {
		return
	}
	first := f.line == 0
	if first {
		f.line = h.begin
	}
	if f.err != nil || f.sender && !first {
		return
	}
	text := string(h.text)
	if h.name == "return-path" && strings.Trim(text, " \t") == "<>" {
		f.null = true
		return
	}
	if err := eachAddress(text, f.add); err != nil {
		f.err = &ParseError{Line: h.begin, Column: 1, Err: err}
	}
}

// add adds an address.
func (f *addressField) add(address string) error {
	switch {
	case f.seen[address], f.sender && len(f.list) > 0:
		return nil
	case len(f.list) == MaxRecipients:
		return errManyRecipients()
	case f.seen == nil:
		f.seen = make(map[string]bool)
	}
	f.seen[address] = true
	f.list = append(f.list, address)
	return nil
}

func errManyRecipients() error { return fmt.Errorf("more than %d recipients", MaxRecipients) }

// has tells whether the header has one of the fields.
func (h *dropHeader) has(names []string) bool {
	for _, name := range names {
		if h.fields[name].line > 0 {
			return true
		}
	}
	return false
}

// sender returns the first address of the first field that names one.
func (h *dropHeader) sender() (Path, error) {
	names := senderNames()
	if h.has(resentRecipientNames()) {
		names = resentSenderNames()
	}
	for _, name := range names {
		switch f := h.fields[name]; {
		case f.line == 0:
		case f.err != nil:
			return Path{}, f.err
		case f.null:
			return Path{}, nil
		case len(f.list) == 0:
			return Path{}, &ParseError{Line: f.line, Column: 1, Err: errors.New("no address of a sender")}
		default:
			return Path{Address: f.list[0]}, nil
		}
	}
	return Path{}, h.fail("no Return-Path, Sender or From field: the message has no sender")
}

// recipients returns the addresses of all fields that name recipients, each once.
func (h *dropHeader) recipients() ([]Path, error) {
	names := recipientNames()
	if h.has(resentRecipientNames()) {
		names = resentRecipientNames()
	}
	var paths []Path
	seen := make(map[string]bool)
	for _, name := range names {
		f := h.fields[name]
		if f.err != nil {
			return nil, f.err
		}
		for _, address := range f.list {
			if !seen[address] {
				seen[address] = true
				paths = append(paths, Path{Address: address})
			}
		}
		if len(paths) > MaxRecipients {
			return nil, &ParseError{Line: f.line, Column: 1, Err: errManyRecipients()}
		}
	}
	if len(paths) == 0 {
		return nil, h.fail("no recipient in To, Cc or Bcc")
	}
	return paths, nil
}
