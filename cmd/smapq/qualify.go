package main

import "strings"

// qualify adds this host's domain to the names without one in the header's address
// fields, such as cron's "To: root": many smarthosts refuse those. Only fields that
// are a list of bare names change, each perhaps with a comment behind it.
func qualify(header string) string {
	var out strings.Builder
	lines := strings.SplitAfter(header, "\n")
	for i, line := range lines {
		folded := i+1 < len(lines) && (strings.HasPrefix(lines[i+1], " ") || strings.HasPrefix(lines[i+1], "\t"))
		name, body, _ := strings.Cut(line, ":")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "from", "to", "cc", "sender", "reply-to", "resent-from", "resent-to", "resent-cc", "resent-sender":
			if list := qualified(body); list != "" && !folded {
				line = name + ": " + list + "\n"
			}
		}
		out.WriteString(line)
	}
	return out.String()
}

// qualified returns "" for a list with anything but bare names in it.
func qualified(body string) string {
	list := strings.Split(body, ",")
	for i, item := range list {
		item = strings.TrimSpace(item)
		name, comment := item, ""
		if at := strings.IndexAny(item, " \t("); at >= 0 {
			name, comment = item[:at], strings.TrimSpace(item[at:])
		}
		if name == "" || strings.ContainsAny(name, `@<>()[]:;\"`) || comment != "" && !(comment[0] == '(' && strings.HasSuffix(comment, ")")) {
			return ""
		}
		if list[i] = complete(name); comment != "" {
			list[i] += " " + comment
		}
	}
	return strings.Join(list, ", ")
}
