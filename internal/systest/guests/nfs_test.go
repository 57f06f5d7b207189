//go:build system && guests

package guests

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// nfsModules are those of the three machines.
var nfsModules = []string{"virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "ext4", "nfs", "nfsv3", "nfsv4", "nfsd", "lockd", "rpc_pipefs",
	"rpcsec_gss_krb5", "nfs_layout_flexfiles"}

// A machine is a guest that runs for long, and can be reset and cut off the network.
type machine struct {
	process *kit.Process
	monitor string
}

// say gives QEMU's monitor a command.
func (m *machine) say(t *testing.T, command string) {
	t.Helper()
	c, err := net.Dial("unix", m.monitor)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // the read tells
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		t.Fatal(err)
	}
	// The monitor answers with an echo and a prompt.
	buf := make([]byte, 4096)
	for text := ""; strings.Count(text, "(qemu)") < 2; {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%s: %v after %q", command, err, text)
		}
		text += string(buf[:n])
	}
}

func (m *machine) count(word string) int { return strings.Count(m.process.Log(), "guest: "+word+" ") }

// An nfs is a server and two clients, each a guest of its own.
type nfs struct {
	t       *testing.T
	s       *kit.Site
	tree    string
	server  *machine
	clients [2]*machine
}

func (n *nfs) start(name, job string, options ...string) *machine {
	n.t.Helper()
	disk, monitor := n.s.File(name+".disk"), n.s.File(name+".monitor")
	n.s.Write(disk, "", 0o600)
	if err := os.Truncate(disk, 512<<20); err != nil {
		n.t.Fatal(err)
	}
	kit.Run(n.t, "mkfs.ext4", "-q", "-F", disk)
	g := &guest{name: "nfs-" + name, debian: debian{"bookworm", "amd64"}, modules: nfsModules, tree: n.tree, jobs: []string{"nfs / /bin/guest " + job},
		options: append([]string{"-drive", "file=" + disk + ",format=raw,if=virtio", "-monitor", "unix:" + monitor + ",server=on,wait=off"}, options...)}
	m := &machine{process: kit.StartCommand(n.t, g.command(n.t.Context(), n.t)), monitor: monitor}
	n.t.Cleanup(func() { keep(n.t, strings.ReplaceAll(n.t.Name(), "/", "-")+"-"+name, []byte(m.process.Log())) })
	return m
}

// newNFS starts the three machines, each with its kernel and NFS's daemons from Debian.
func newNFS(t *testing.T, version, kind string, messages int) *nfs {
	t.Helper()
	s := kit.NewSite(t)
	root := kit.NewRoot(t, s, "nfs-kernel-server", "nfs-common", "rpcbind", "netbase")
	n := &nfs{t: t, s: s, tree: root.Path()}
	var ports [2]int
	var nics []string
	for i := range ports {
		ports[i] = kit.FreePort(t)
		nics = append(nics, "-netdev", fmt.Sprintf("socket,id=n%d,listen=127.0.0.1:%d", i, ports[i]), "-device", fmt.Sprintf("virtio-net-pci,netdev=n%d,mac=52:54:00:00:%02d:01,romfile=", i, i))
	}
	n.server = n.start("server", "nfs-server 2", nics...)
	for i, port := range ports {
		if !kit.Eventually(time.Minute, func() bool { return listens(port) }) {
			t.Fatal("QEMU does not listen for the other machines")
		}
		n.clients[i] = n.start(fmt.Sprint("client", i), fmt.Sprintf("nfs-client %d %s %s %d", i, version, kind, messages),
			"-netdev", fmt.Sprintf("socket,id=n0,connect=127.0.0.1:%d", port), "-device", fmt.Sprintf("virtio-net-pci,netdev=n0,mac=52:54:00:00:%02d:02,romfile=", i))
	}
	return n
}

// listens tells whether a port is open, without a connection, of which QEMU takes only one.
func listens(port int) bool {
	b, err := os.ReadFile("/proc/net/tcp")
	return err == nil && strings.Contains(string(b), fmt.Sprintf("0100007F:%04X 00000000:0000 0A", port))
}

// until waits for something that the machines say.
func (n *nfs) until(what string, limit time.Duration, done func() bool) {
	n.t.Helper()
	ended := false
	if !kit.Eventually(limit, func() bool { ended = n.ended(); return done() || ended }) || ended && !done() {
		n.t.Fatalf("waited in vain until %s:\nserver: %s\nclients: %s\n%s", what, kit.Tail(n.server.process.Log(), 1500),
			kit.Tail(n.clients[0].process.Log(), 3000), kit.Tail(n.clients[1].process.Log(), 3000))
	}
}

// ended: one of the machines is off.
func (n *nfs) ended() bool {
	for _, m := range []*machine{n.server, n.clients[0], n.clients[1]} {
		select {
		case <-m.process.Done:
			return true
		default:
		}
	}
	return false
}

func (n *nfs) acked() int { return n.clients[0].count("acked") + n.clients[1].count("acked") }

// TestNFS has two machines feed and drain one spool on the NFS server of a third. Their smapds are killed now and then; a
// client and the server are reset; and one client is cut off for longer than its locks last. Nothing is lost, and nothing
// is delivered twice but what such an event interrupted.
func TestNFS(t *testing.T) {
	for _, version := range []string{"4.2", "3"} {
		for _, kind := range []string{"shared", "private"} {
			t.Run(version+"/"+kind, func(t *testing.T) {
				each := number(t, "NFSMESSAGES", 150)
				n := newNFS(t, version, kind, each)
				n.until("both clients feed", 8*time.Minute, func() bool { return n.clients[0].count("acked") > 10 && n.clients[1].count("acked") > 10 })
				n.clients[1].say(t, "system_reset")
				fed := n.acked()
				n.until("the other one feeds on", 8*time.Minute, func() bool { return n.acked() > fed+10 })
				n.server.say(t, "system_reset")
				fed = n.acked()
				n.until("both feed after the server's reset", 8*time.Minute, func() bool { return n.acked() > fed+20 })
				n.clients[0].say(t, "set_link n0 off")
				kit.Stays(t, 25*time.Second, "a client that is cut off feeds nothing; its locks last 10 seconds", func() bool { return true })
				n.clients[0].say(t, "set_link n0 on")
				for _, c := range n.clients {
					select {
					case <-c.process.Done: // it switches itself off when all is fed and delivered
					case <-time.After(20 * time.Minute):
						t.Fatalf("a client does not come to its end: %s", kit.Tail(c.process.Log(), 3000))
					}
				}
				if row := n.compare(version, kind); !t.Failed() {
					result(t, "nfs-"+version+"-"+kind, row)
				}
			})
		}
	}
}

// compare holds what was delivered against what was accepted, and returns the row of the table.
func (n *nfs) compare(version, kind string) (row string) {
	t := n.t
	t.Helper()
	acked, taken, alone := map[string]bool{}, map[string]int{}, map[string]bool{}
	kills := 0
	for _, c := range n.clients {
		for line := range strings.Lines(c.process.Log()) {
			words := strings.Fields(line)
			if len(words) < 3 || words[0] != "guest:" {
				continue
			}
			switch words[1] {
			case "acked":
				acked[words[2]] = true
			case "taken":
				taken[words[2]]++
			case "mixed":
				t.Errorf("%s came with another content", words[2])
			case "kills":
				kills++
			case "alone":
				alone[words[2]] = true
			case "orderly":
				t.Error("a smapd that was to be killed ended in an orderly way")
			case "failed":
				t.Errorf("a client failed: %s", line)
			}
		}
	}
	lost, again := 0, 0
	for mark := range acked {
		if taken[mark] == 0 {
			lost++
			t.Errorf("%s is lost", mark)
		}
	}
	for _, times := range taken {
		again += times - 1
	}
	row = fmt.Sprintf("| NFS %s, %s spool | excludes | refused | %d accepted, %d lost, %d delivered again, %d kills |", version, kind, len(acked), lost, again, kills)
	if len(alone) > 0 {
		row = fmt.Sprintf("%s, %d envelopes left alone |", strings.TrimSuffix(row, " |"), len(alone))
	}
	t.Log(row)
	// Each event interrupts at most the deliveries that one smapd has at a time.
	if most := (kills + 4) * 4; again > most {
		t.Errorf("%d deliveries were repeated, at most %d can be explained", again, most)
	}
	return row
}
