package landlock

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Rule allows something below a directory: Access is made of the constants
// unix.LANDLOCK_ACCESS_FS_*, Dir the directory's descriptor. What the kernel's
// version does not know it allows anyway.
type Rule struct {
	Dir    int
	Access uint64
}

// versions is what each version of Landlock can forbid more than the one before
// it.
var versions = []struct {
	abi int
	unix.LandlockRulesetAttr
}{
	{2, unix.LandlockRulesetAttr{Handled_access_fs: 1<<13 - 1 | unix.LANDLOCK_ACCESS_FS_REFER}},
	{3, unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_TRUNCATE}},
	{4, unix.LandlockRulesetAttr{Handled_access_net: unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP}},
	{5, unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_IOCTL_DEV}},
	{6, unix.LandlockRulesetAttr{Scoped: unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL}},
	{9, unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX}},
	{10, unix.LandlockRulesetAttr{Handled_access_net: unix.LANDLOCK_ACCESS_NET_BIND_UDP | unix.LANDLOCK_ACCESS_NET_CONNECT_SEND_UDP}},
}

// Restrict forbids, in all threads and for good, everything that the kernel's
// version can forbid but what the rules allow: files by kind of access, TCP, UDP,
// abstract sockets, signals to others. It needs no_new_privs. It fails where
// moves between directories could not be allowed.
func Restrict(allow ...Rule) error { return restrict(false, allow) }

// RestrictFiles is [Restrict], but TCP and UDP stay as they are.
func RestrictFiles(allow ...Rule) error { return restrict(true, allow) }

func restrict(network bool, allow []Rule) error {
	abi, err := Version()
	if err != nil {
		return err
	}
	var all unix.LandlockRulesetAttr
	for _, a := range versions {
		if a.abi <= abi {
			all.Handled_access_fs |= a.Handled_access_fs
			all.Handled_access_net |= a.Handled_access_net
			all.Scoped |= a.Scoped
		}
	}
	if network {
		all.Handled_access_net = 0
	}
	// A kernel that knows less than this struct holds takes it while the rest is 0.
	set, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&all)), unsafe.Sizeof(all), 0)
	if errno != 0 {
		return fmt.Errorf("create ruleset: %w", errno)
	}
	defer unix.Close(int(set)) // it has been taken over, or was for nothing
	for _, r := range allow {
		beneath := unix.LandlockPathBeneathAttr{Allowed_access: r.Access & all.Handled_access_fs, Parent_fd: int32(r.Dir)}
		_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, set, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&beneath)), 0, 0, 0)
		if errno != 0 {
			return fmt.Errorf("add rule: %w", errno)
		}
	}
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, set, 0, 0); errno != 0 {
		return fmt.Errorf("restrict self: %w", errno)
	}
	return nil
}

// Of landlock_create_ruleset(2): the version's bug that threads could not signal
// one another, as the runtime does, is mended.
const erratumSignals = 1 << 1

// Version is what the kernel offers, by the number that it has for it, less what
// is broken there. It is an error when Restrict would fail.
func Version() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, fmt.Errorf("the kernel has none, or has not enabled it (see lsm= in its command line): %w", errno)
	}
	if abi < 2 {
		return 0, errors.New("this kernel's cannot allow moves between directories; Linux 5.19 can")
	}
	if abi >= 6 {
		errata, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_ERRATA)
		if errno != 0 || errata&erratumSignals == 0 {
			return 5, nil
		}
	}
	return int(abi), nil
}
