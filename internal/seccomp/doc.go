// Package seccomp assembles and installs filters of system calls: seccomp(2) of
// Linux. It knows no policy.
//
// It exists for its size. smap starts once per connection, and the tables of
// names of github.com/elastic/go-seccomp-bpf cost each start 0.2 ms and 160 KiB,
// more than all that is done here.
package seccomp
