package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// errTooLong ends the context of a call, as the caller's timeout does.
var errTooLong = errors.New("agent timeout")

// TestMain lets the test binary stand in for agents: started as
// "agent.test agent MODE ...".
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "agent" {
		os.Exit(agentMain(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

func agentMain(mode string, args []string) int {
	switch mode {
	case "exit":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return 64
		}
		return n
	case "say":
		fmt.Fprintln(os.Stderr, args[0])
		return 75
	case "flood":
		chunk := bytes.Repeat([]byte("much ado about nothing\n"), 1000)
		for range 500 {
			os.Stdout.Write(chunk)
		}
		fmt.Println("the end")
		syscall.Exit(75) // at once: with coverage, the end of a process may have something to say as well
	case "hang": // deaf to TERM, with a child that is deaf too
		p, err := os.StartProcess(os.Args[0], []string{"x", "agent", "sleep", args[0]}, &os.ProcAttr{})
		if err != nil {
			return 71
		}
		_ = os.WriteFile(args[0]+".child", []byte(strconv.Itoa(p.Pid)), 0o600)
		time.Sleep(time.Hour)
	case "sleep":
		time.Sleep(time.Hour)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Hour)
	case "record": // DIR ARG...: what came, in a file of its own
		content, err := io.ReadAll(os.Stdin)
		if err != nil {
			return 74
		}
		text := strings.Join(args[1:], " ") + "\n" + strings.Join(os.Environ(), "\n") + "\n\n" + string(content)
		name := filepath.Join(args[0], strconv.Itoa(os.Getpid()))
		if os.WriteFile(name+".tmp", []byte(text), 0o600) != nil || os.Rename(name+".tmp", name+".done") != nil {
			return 74
		}
	}
	return 0
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}
