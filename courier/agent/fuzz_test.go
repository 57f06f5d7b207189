package agent

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"
)

// FuzzReply: whatever a server says is a reply of three digits and bounded
// lines, or an error; and only a 2yz reply is ever a delivery.
func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "250\r\n", "250-a\n251 b\n", "25", "2500 x\r\n", "\xff\xff\xff \n",
		strings.Repeat("220-x\r\n", 200), "550 5.1.1 no\r\n", "354 go\r\n", "250 " + strings.Repeat("x", 5000) + "\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &smtpConn{opt: &Remote{}, r: bufio.NewReaderSize(bytes.NewReader(data), maxReplyLine)}
		r, err := c.read(time.Second)
		if err != nil {
			return
		}
		if r.code < 0 || r.code > 999 || len(r.keys) == 0 || len(r.keys) > maxReply || strings.ContainsRune(r.text, '\n') {
			t.Fatalf("%+v", r)
		}
		if res := c.final(r); (res.Outcome == Delivered) != (r.code >= 200 && r.code < 300) {
			t.Errorf("%d: %v", r.code, res.Outcome)
		}
		if res := c.refusal("X", r); res.Outcome == Delivered || (res.Outcome == Failed) != (r.code >= 500 && r.code < 600) {
			t.Errorf("%d: %v", r.code, res.Outcome)
		}
		if class := r.status(); class[0] != data[0] {
			t.Errorf("%d: status %s", r.code, class)
		}
	})
}

// FuzzWriteData: a server that reads by the letter of RFC 5321 gets back what
// was in the content, with its last line ended, and nothing after the dot.
func FuzzWriteData(f *testing.F) {
	for _, s := range []string{"", ".", ".\n", "a\n.\nb", "..\n", "\n\n", "a\r\n.\r\n", "\x00\xff\n."} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		err := writeData(w, bytes.NewReader(content), int64(len(content)))
		if bytes.ContainsRune(content, '\r') != (err != nil) {
			t.Fatalf("%q: %v", content, err)
		}
		if err != nil || w.Flush() != nil {
			return
		}
		var back bytes.Buffer
		for line := range bytes.Lines(out.Bytes()) {
			body, ok := bytes.CutSuffix(line, []byte("\r\n"))
			if !ok || bytes.ContainsAny(body, "\r\n") || string(body) == "." {
				t.Fatalf("%q became %q", content, out.Bytes())
			}
			back.Write(bytes.TrimPrefix(body, []byte(".")))
			back.WriteByte('\n')
		}
		want := content
		if len(want) > 0 && want[len(want)-1] != '\n' {
			want = append(bytes.Clone(want), '\n')
		}
		if !bytes.Equal(back.Bytes(), want) {
			t.Errorf("%q came back as %q", content, back.Bytes())
		}
	})
}
