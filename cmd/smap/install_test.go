package main

import (
	"bufio"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// install puts smap, a spool and a table into a directory.
func install(t *testing.T, dir, rules string) (bin, table string) {
	t.Helper()
	// Another user has to get through.
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	spool, table := filepath.Join(dir, "spool"), filepath.Join(dir, "table")
	text := "smap: userid 65534\nsmap: directory " + spool + "\nsmap: hostname mx.example.com\n" + rules
	err := errors.Join(os.Mkdir(spool, 0o700), os.WriteFile(table, []byte(text), 0o600))
	if os.Geteuid() == 0 {
		err = errors.Join(err, os.Chown(spool, 65534, 65534))
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(program(t, filepath.Join(dir, "bin")), "smap"), table
}

func firstLine(t *testing.T, c net.Conn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReaderSize(c, 1024).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}
