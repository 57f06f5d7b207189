// Package seccomp assembles and installs filters of system calls: seccomp(2) of
// Linux. It knows no policy.
//
// It exists because the tables of names of github.com/elastic/go-seccomp-bpf
// cost each start of smap 0.2 ms and 160 KiB.
package seccomp
