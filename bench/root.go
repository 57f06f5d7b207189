//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// A missingError says why a peer cannot be measured here.
type missingError struct{ err error }

func (e *missingError) Error() string { return e.err.Error() }
func (e *missingError) Unwrap() error { return e.err }

// lacks tells whether something is left out since it is not here, and notes that for the report.
func (b *bench) lacks(name string, err error) bool {
	var missing *missingError
	if !errors.As(err, &missing) {
		return false
	}
	b.missing = append(b.missing, name)
	fmt.Fprintf(os.Stderr, "bench: %s is missing: %v\n", name, err)
	return true
}

// unpack puts Debian packages into a root of their own, since mail servers exclude each other as packages. The queue, which
// is a directory in that root, is on the measured disk. It gives the root, and the queue as it is called outside of it.
func (b *bench) unpack(name, queue string, packages ...string) (root, outside string, err error) {
	root, outside = b.file(name), filepath.Join(b.disk, name)
	if _, err := os.Stat(root); err == nil { // of a section before
		return root, outside, nil
	}
	if _, err := b.output("bench/debroot", append([]string{root}, packages...)...); err != nil {
		return "", "", &missingError{errors.Join(err, os.RemoveAll(root))}
	}
	inside := filepath.Join(root, queue)
	err = errors.Join(os.MkdirAll(inside, 0o755), os.MkdirAll(outside, 0o755), os.Chown(outside, b.uid, -1))
	if err != nil {
		return "", "", err
	}
	if _, err := b.output("mount", "--bind", outside, inside); err != nil {
		return "", "", err
	}
	b.undo = append(b.undo, func() error { return umount(inside) })
	return root, outside, b.writeAll(root, map[string]string{
		"etc/passwd": fmt.Sprintf("root:x:0:0::/:/bin/sh\nmail:x:%d:8::/:/bin/sh\nDebian-exim:x:%[1]d:8::/:/bin/sh\n"+
			"opensmtpd:x:901:901::/var/lib/opensmtpd/empty:/bin/sh\nopensmtpq:x:902:902::/:/bin/sh\n", b.uid),
		"etc/group":         "root:x:0:\nmail:x:8:\nDebian-exim:x:8:\nopensmtpd:x:901:\nopensmtpq:x:902:\n",
		"etc/hosts":         "127.0.0.1 localhost bench.test\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
		"etc/services":      "smtp 25/tcp\n",
		"etc/protocols":     "tcp 6 TCP\nudp 17 UDP\n",
	})
}

// writeAll writes files below a directory.
func (b *bench) writeAll(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// startIn starts a program in a root.
func (b *bench) startIn(root, name string, args ...string) (*server, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	return b.startCommand(cmd)
}

// inetdIn starts openbsd-inetd in a root, with one service.
func (b *bench) inetdIn(root, user, command string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	line := fmt.Sprintf("127.0.0.1:%d stream tcp nowait %s %s\n", port, user, command)
	if err := b.writeAll(root, map[string]string{"inetd.conf": line}); err != nil {
		return nil, err
	}
	s, err := b.startIn(root, "/usr/sbin/inetd", "-i", "-R", "1000000", "/inetd.conf")
	if err != nil {
		return nil, err
	}
	s.port = port
	return s, s.await()
}
