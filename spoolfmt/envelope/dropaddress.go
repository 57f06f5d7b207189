package envelope

import (
	"errors"
	"fmt"
	"strings"
)

// resent tells whether the Resent fields name the recipients.
func (h *dropHeader) resent() bool {
	return h.values["resent-to"] != nil || h.values["resent-cc"] != nil || h.values["resent-bcc"] != nil
}

// sender returns the first address of the first field that names one.
func (h *dropHeader) sender() (Path, error) {
	if v := h.values["return-path"]; v != nil {
		if strings.Trim(string(v[0].text), " \t") == "<>" {
			return Path{}, nil
		}
		return h.first(v[0])
	}
	names := []string{"sender", "from"}
	if h.resent() {
		names = []string{"resent-sender", "resent-from", "sender", "from"}
	}
	for _, name := range names {
		if v := h.values[name]; v != nil {
			return h.first(v[0])
		}
	}
	return Path{}, h.fail("no Return-Path, Sender or From field: the message has no sender")
}

// first returns the first address of a field.
func (h *dropHeader) first(v headerValue) (Path, error) {
	list, err := v.addresses()
	if err != nil {
		return Path{}, err
	}
	if len(list) == 0 {
		return Path{}, v.fault(errors.New("no address of a sender"))
	}
	return Path{Address: list[0]}, nil
}

// addresses returns the addresses of the field.
func (v headerValue) addresses() ([]string, error) {
	list, err := ParseAddressList(string(v.text))
	if err != nil {
		return nil, v.fault(err)
	}
	return list, nil
}

func (v headerValue) fault(err error) error { return &ParseError{Line: v.line, Column: 1, Err: err} }

// recipients returns the addresses of all fields that name some, each once.
func (h *dropHeader) recipients() ([]Path, error) {
	names := []string{"to", "cc", "bcc"}
	if h.resent() {
		names = []string{"resent-to", "resent-cc", "resent-bcc"}
	}
	var paths []Path
	seen := make(map[string]bool)
	for _, name := range names {
		for _, v := range h.values[name] {
			list, err := v.addresses()
			if err != nil {
				return nil, err
			}
			for _, address := range list {
				if !seen[address] {
					seen[address] = true
					paths = append(paths, Path{Address: address})
				}
			}
			if len(paths) > MaxRecipients {
				return nil, v.fault(fmt.Errorf("more than %d recipients", MaxRecipients))
			}
		}
	}
	if len(paths) == 0 {
		return nil, h.fail("no recipient in To, Cc or Bcc")
	}
	return paths, nil
}
