//go:build linux

// Command oneshot is the floor for a program that inetd starts for one connection and that is written in Go: it answers
// what a load generator sends, looks at nothing, and stores a message in the directory that its argument names as
// durably as the spool's format asks: two files with an fsync each, two renames, an fsync of the directory.
package main

import (
	"os"
	"strconv"
	"syscall"
)

func main() {
	say("220 floor\r\n")
	var buf [64 << 10]byte
	have := 0
	for {
		n, err := syscall.Read(0, buf[have:])
		if n <= 0 || err != nil {
			os.Exit(1)
		}
		have += n
		if buf[have-1] != '\n' {
			continue
		}
		switch buf[0] | 0x20 {
		case 'q':
			say("221 bye\r\n")
			os.Exit(0)
		case 'd':
			say("354 go\r\n")
			have = content(buf[:])
			if store(os.Args[1], buf[:have]) != nil {
				os.Exit(1)
			}
		}
		say("250 ok\r\n")
		have = 0
	}
}

func say(s string) { _, _ = syscall.Write(1, []byte(s)) } // who has gone needs no answer

// content reads up to the line with a dot and returns its length.
func content(buf []byte) int {
	have := 0
	for have < 5 || string(buf[have-5:have]) != "\r\n.\r\n" {
		n, err := syscall.Read(0, buf[have:])
		if n <= 0 || err != nil {
			os.Exit(1)
		}
		have += n
	}
	return have
}

func store(dir string, data []byte) error {
	if err := syscall.Chdir(dir); err != nil {
		return err
	}
	id := strconv.Itoa(os.Getpid()) + "." + strconv.Itoa(os.Getppid())
	files := []string{id + ".eml", id + ".envelope"}
	for i, name := range files {
		fd, err := syscall.Open("tmp/"+name, syscall.O_CREAT|syscall.O_EXCL|syscall.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		if i == 1 {
			data = data[:min(len(data), 300)]
		}
		if _, err := syscall.Write(fd, data); err != nil {
			return err
		}
		if err := syscall.Fsync(fd); err != nil {
			return err
		}
		if err := syscall.Close(fd); err != nil {
			return err
		}
	}
	for _, name := range files {
		if err := syscall.Rename("tmp/"+name, "new/"+name); err != nil {
			return err
		}
	}
	fd, err := syscall.Open("new", syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return syscall.Fsync(fd)
}
