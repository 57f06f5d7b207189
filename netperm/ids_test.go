package netperm

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	passwd, group := filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	write(t, passwd, `root:x:0:0:root:/root:/bin/sh
# comment:x:7:7::/:/
+nis:x:9:9::/:/
short:x:10:10
mail:x:5:8:Mail:/var/mail:/bin/false
mail:x:99:99:second:/:/
wheelie:x:11:0::/:/
badid:x:five:5::/:/
badgroup:x:12:4294967295::/:/
toor:x:0:5::/:/
long:x:20:20:`+strings.Repeat("g", maxAccount)+`:/:/
after:x:21:22::/:/
last:x:13:14::/:/bin/sh`, 0o644)
	write(t, group, `root:x:0:
smapfeed:x:30:mail,smap
odd:x:thirty:
many:x:31:`+strings.Repeat("member,", maxAccount/7+1)+`
mail:x:8:
`, 0o644)
	for _, test := range []struct {
		user, group string
		uid, gid    int
		err         string
	}{
		{"", "", -1, -1, ""},
		{"mail", "", 5, 8, ""},
		{"5", "", 5, 8, ""},
		{"005", "", 5, 8, ""},
		{"mail", "smapfeed", 5, 30, ""},
		{"mail", "31", 5, 31, ""},
		{"5", "77", 5, 77, ""},
		{"12345", "77", 12345, 77, ""},
		{"last", "mail", 13, 8, ""},
		{"after", "", 21, 22, ""},
		{"12345", "", -1, -1, `t:2: userid: user 12345 is not in `},
		{"nobody-here", "", -1, -1, `t:2: userid: no user "nobody-here" in `},
		{"nobody-here", "5", -1, -1, `t:2: userid: no user "nobody-here" in `},
		{"short", "", -1, -1, `no user "short"`},
		{"nis", "", -1, -1, `no user "nis"`},
		{"long", "", -1, -1, `no user "long"`},
		{"mai", "", -1, -1, `no user "mai"`},
		{"badid", "", -1, -1, `the line of "badid" in`},
		{"badgroup", "", -1, -1, `the line of "badgroup" in`},
		{"toor", "", -1, -1, `t:2: userid: "toor" is root; name another user`},
		{"wheelie", "", -1, -1, `t:2: userid: the group of "wheelie" is root's; write a groupid`},
		{"wheelie", "5", 11, 5, ""},
		{"mail", "nogroup-here", -1, -1, `t:3: groupid: no group "nogroup-here" in`},
		{"mail", "odd", -1, -1, `the line of "odd" in`},
		{"mail", "many", -1, -1, `no group "many"`},
	} {
		text := "smap: directory /d\n"
		if test.user != "" {
			text += "smap: userid " + test.user + "\n"
		}
		if test.group != "" {
			text += "smap: groupid " + test.group + "\n"
		}
		table, err := Parse([]byte(text), "t", Options{Program: "smap"})
		if err != nil {
			t.Fatal(err)
		}
		uid, gid, err := table.identity(passwd, group)
		if uid != test.uid || gid != test.gid || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s %s: %d, %d, %v; want %d, %d, %s", test.user, test.group, uid, gid, err, test.uid, test.gid, test.err)
		}
		if _, _, err := table.identity(dir+"/none", dir+"/none"); err == nil && test.user != "" && (test.group == "" || test.user[0] > '9') {
			t.Errorf("%s %s: no error without files", test.user, test.group)
		}
	}
}

func TestIdentityOfSystem(t *testing.T) {
	table, err := Parse([]byte("smap: directory /d\nsmap: userid 12345\nsmap: groupid 23456\n"), "t", Options{Program: "smap"})
	if err != nil {
		t.Fatal(err)
	}
	if uid, gid, err := table.Identity(); uid != 12345 || gid != 23456 || err != nil {
		t.Errorf("Identity() = %d, %d, %v", uid, gid, err)
	}
}

// TestLookupIdentity: a number needs no account, and root is refused.
func TestLookupIdentity(t *testing.T) {
	for _, test := range []struct {
		user     string
		uid, gid int
		err      string
	}{
		{"1999999999", 1999999999, 1999999999, ""},
		{"no-such-user-here", -1, -1, `t:2: lookup-userid: no user "no-such-user-here" in /etc/passwd`},
	} {
		table, err := Parse([]byte("smap: directory /d\nsmap: lookup-userid "+test.user+"\n"), "t", Options{Program: "smap"})
		if err != nil {
			t.Fatal(err)
		}
		uid, gid, err := table.LookupIdentity()
		if uid != test.uid || gid != test.gid || (err == nil) != (test.err == "") || err != nil && !strings.HasPrefix(err.Error(), test.err) {
			t.Errorf("%s: %d, %d, %v", test.user, uid, gid, err)
		}
	}
	for _, user := range []string{"root", "0", "000"} {
		_, err := Parse([]byte("smap: directory /d\nsmap: lookup-userid "+user+"\n"), "t", Options{Program: "smap"})
		if err == nil || !strings.Contains(err.Error(), "t:2: lookup-userid: must not be root") {
			t.Errorf("%s: %v", user, err)
		}
	}
}
