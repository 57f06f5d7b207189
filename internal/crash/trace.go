package crash

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// A Kind is what an operation does.
type Kind int

// The operations. Write appends; Say is an answer to a client, on a socket.
const (
	Create Kind = iota
	Write
	Truncate
	SyncFile
	SyncDir
	SyncAll
	nothing // a sync that failed
	Link
	Move
	Remove
	Say
)

// An Op is one operation that succeeded. Paths are relative to the spool, such
// as new/id.eml.
type Op struct {
	Kind     Kind
	Path, To string
	Data     []byte
	Size     int64
}

// Calls are the system calls to be recorded, for strace -f -y -xx -s 1000000.
const Calls = "openat,write,pwrite64,writev,ftruncate,fsync,fdatasync,syncfs,linkat,renameat,renameat2,unlinkat,link,rename,unlink,copy_file_range,sendfile"

var (
	line      = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (-?\d+)`)
	begun     = regexp.MustCompile(`^(\d+) +(\w+\(.*) <unfinished \.\.\.>$`)
	resumed   = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)$`)
	described = regexp.MustCompile(`^\w+<((?:\\x[0-9a-f]{2})*)>$`)
	quoted    = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"`)
)

// Read reads what strace wrote about the programs that worked on the spool at
// root. An operation stands where it ended, and a sync where it began: what
// others did meanwhile is not certain to be part of it.
func Read(r io.Reader, root string) ([]Op, error) {
	var ops []*Op
	waiting := map[string]string{}
	place := map[string]*Op{} // of a sync that has not ended
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	for n := 1; s.Scan(); n++ {
		text := s.Text()
		if m := begun.FindStringSubmatch(text); m != nil {
			waiting[m[1]] = m[2]
			if strings.Contains(m[2], "sync") {
				place[m[1]] = &Op{Kind: nothing}
				ops = append(ops, place[m[1]])
			}
			continue
		}
		if m := resumed.FindStringSubmatch(text); m != nil {
			text = m[1] + " " + waiting[m[1]] + m[2]
			delete(waiting, m[1])
		}
		m := line.FindStringSubmatch(text)
		if m == nil || strings.HasPrefix(m[4], "-") {
			continue // an exit, a signal, a call that failed
		}
		op, ok, err := parse(m[2], strings.Split(m[3], ", "), m[4], root)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if begin := place[m[1]]; ok && begin != nil {
			*begin = op
		} else if ok {
			ops = append(ops, &op)
		}
		delete(place, m[1])
	}
	var done []Op
	for _, op := range ops {
		if op.Kind != nothing {
			done = append(done, *op)
		}
	}
	return done, s.Err()
}

// parse makes one call into an operation. False: it is none of the spool's.
func parse(call string, args []string, result, root string) (op Op, ok bool, err error) {
	at := func(i int) string { // a directory and a name
		return inside(path.Join(of(args[i]), unquote(args[i+1])), root)
	}
	whole := func(i int) string { return inside(unquote(args[i]), root) } // a path from /, as the reader in Python has them
	file := inside(of(args[0]), root)
	switch call {
	case "link":
		op = Op{Kind: Link, Path: whole(0), To: whole(1)}
	case "rename":
		op = Op{Kind: Move, Path: whole(0), To: whole(1)}
	case "unlink":
		op = Op{Kind: Remove, Path: whole(0)}
	case "openat":
		op = Op{Kind: Create, Path: at(0)}
		return op, op.Path != "" && strings.Contains(args[2], "O_CREAT"), nil
	case "write":
		data := []byte(unquote(args[1]))
		n, _ := strconv.Atoi(result)
		if n > len(data) {
			return op, false, fmt.Errorf("%s of %s octets, and %d were recorded", call, result, len(data))
		}
		data = data[:n] // fewer where a kill came between
		if strings.HasPrefix(of(args[0]), "socket:") {
			return Op{Kind: Say, Data: data}, true, nil
		}
		return Op{Kind: Write, Path: file, Data: data}, file != "", nil
	case "ftruncate":
		size, err := strconv.ParseInt(args[1], 10, 64)
		return Op{Kind: Truncate, Path: file, Size: size}, file != "", err
	case "fsync", "fdatasync":
		if file != "" && !strings.Contains(file, "/") {
			return Op{Kind: SyncDir, Path: file}, true, nil
		}
		return Op{Kind: SyncFile, Path: file}, file != "", nil
	case "syncfs":
		return Op{Kind: SyncAll}, true, nil
	case "linkat":
		op = Op{Kind: Link, Path: at(0), To: at(2)}
	case "renameat", "renameat2":
		op = Op{Kind: Move, Path: at(0), To: at(2)}
	case "unlinkat":
		op = Op{Kind: Remove, Path: at(0)}
	default:
		if file != "" {
			return op, false, fmt.Errorf("%s is not understood", call)
		}
	}
	return op, op.Path != "", nil
}

// of is the path or the name that -y gives a descriptor.
func of(arg string) string {
	if m := described.FindStringSubmatch(arg); m != nil {
		return decode(m[1])
	}
	return ""
}

// inside is the path below root, or "".
func inside(p, root string) string {
	p, ok := strings.CutPrefix(p, root+"/")
	if !ok {
		return ""
	}
	return p
}

func unquote(arg string) string {
	m := quoted.FindStringSubmatch(arg)
	if m == nil {
		return ""
	}
	return decode(m[1])
}

// decode reads octets that are all written as \x and two digits.
func decode(s string) string {
	out := make([]byte, 0, len(s)/4)
	for i := 0; i+4 <= len(s); i += 4 {
		c, _ := strconv.ParseUint(s[i+2:i+4], 16, 8) // the patterns are of hexadecimal digits
		out = append(out, byte(c))
	}
	return string(out)
}

// Octets writes a string as the record has it, to look for it there.
func Octets(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	return b.String()
}
