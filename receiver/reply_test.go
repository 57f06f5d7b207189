package receiver

import (
	"strings"
	"testing"
)

func TestReply(t *testing.T) {
	long := strings.Repeat("x", 600)
	tests := []struct {
		reply    Reply
		enhanced bool
		want     string
	}{
		{Reply{}, true, ""},
		{replyNoop, true, "250 2.0.0 OK\r\n"},
		{replyNoop, false, "250 OK\r\n"},
		{replyEnterMail, true, "354 Enter mail, end with \".\" on a line by itself\r\n"},
		{Reply{Code: 250, Text: "a", More: []string{"b", "c"}}, true, "250-a\r\n250-b\r\n250 c\r\n"},
		{Reply{Code: 550, Enhanced: "5.1.1", Text: "a", More: []string{"b"}}, true, "550-5.1.1 a\r\n550 5.1.1 b\r\n"},
		{replyFor(250, "", "a\r\n250 forged"), false, "250 a??250 forged\r\n"},
		{replyFor(550, "5.7.1", long), true, "550 5.7.1 " + long[:maxReplyText] + "\r\n"},
	}
	for _, x := range tests {
		got := string(x.reply.append(nil, x.enhanced))
		if got != x.want || len(got) > 512 {
			t.Errorf("%+v: %q, want %q", x.reply, got, x.want)
		}
	}
}
