//go:build system

package kit

import (
	"errors"
	"fmt"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// The accounts of an installation as the manual advises it: two users, and a group for those who feed.
const (
	SmapUser  = "smt-smap"
	SmapdUser = "smt-smapd"
	Feeders   = "smt-feed"
)

// accountMutex: useradd and its like do not wait for each other's lock.
var accountMutex sync.Mutex

func addAccounts() error {
	for _, name := range []string{Feeders} {
		var unknown user.UnknownGroupError
		if _, err := user.LookupGroup(name); errors.As(err, &unknown) {
			if err := account("groupadd", "--system", name); err != nil {
				return err
			}
		}
	}
	for name, group := range map[string]string{SmapUser: Feeders, SmapdUser: ""} {
		var unknown user.UnknownUserError
		if _, err := user.Lookup(name); !errors.As(err, &unknown) {
			continue
		}
		args := []string{"--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"}
		if group == "" {
			args = append(args, "--user-group")
		} else {
			args = append(args, "--gid", group)
		}
		if err := account("useradd", append(args, name)...); err != nil {
			return err
		}
	}
	return nil
}

func account(command string, args ...string) error {
	accountMutex.Lock()
	defer accountMutex.Unlock()
	if out, err := exec.Command(command, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", command, args, err, out)
	}
	return nil
}

// Person is a user of the machine with a home of its own, for one test.
type Person struct {
	Name, Home string
	Uid, Gid   int
}

// NewPerson makes an ordinary user with a home directory, who is removed when the test ends.
func NewPerson(t *testing.T, dir, name string) Person {
	t.Helper()
	// A run that was killed may have left the account behind.
	if _, err := user.Lookup(name); err == nil {
		removePerson(t, name)
	}
	p := Person{Name: name, Home: filepath.Join(dir, "home-"+name)}
	if err := account("useradd", "--create-home", "--home-dir", p.Home, "--shell", "/bin/sh", "--user-group", name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removePerson(t, name) })
	p.Uid, p.Gid = IDs(t, name)
	return p
}

func removePerson(t *testing.T, name string) {
	t.Helper()
	if err := account("userdel", "--force", name); err != nil {
		t.Error(err)
	}
}

// IDs are the user id and the main group of an account.
func IDs(t *testing.T, name string) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		t.Fatal(err)
	}
	if gid, err = strconv.Atoi(u.Gid); err != nil {
		t.Fatal(err)
	}
	return uid, gid
}

// GroupID is the number of a group.
func GroupID(t *testing.T, name string) int {
	t.Helper()
	g, err := user.LookupGroup(name)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return gid
}
