package envelope_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"time"

	"smap/spoolfmt/envelope"
)

// A feeder builds an envelope. It knows size and checksum when it has written the
// content.
func ExampleNew() {
	content := []byte("Subject: hello\n\nHello.\n")
	e, err := envelope.New(
		envelope.Path{Address: "ann@example.com", Params: []envelope.Param{{Keyword: "BODY", Value: "8BITMIME", HasValue: true}}},
		[]envelope.Path{{Address: "bob@example.org"}, {Address: "carol@example.net"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := e.Set("X-Ticket", "4711"); err != nil {
		fmt.Println(err)
		return
	}
	e.SetSize(int64(len(content)))
	e.SetChecksum(crc32.Checksum(content, envelope.ChecksumTable()))
	text, err := e.Marshal()
	fmt.Print(string(text), err, "\n")
	// Output:
	// Spool-Format: 1
	// Sender: <ann@example.com> BODY=8BITMIME
	// Recipient: <bob@example.org>
	// Recipient: <carol@example.net>
	// X-Ticket: 4711
	// Size: 23
	// CRC32C: 811b5df8
	//
	// <nil>
}

const example = `Spool-Format: 1
Sender: <ann@example.com>
Recipient: <bob@example.org>
Recipient: <carol@example.net> NOTIFY=FAILURE
Size: 6
Delivered: <bob@example.org> 2026-11-23T20:04:14.000000Z

`

func ExampleParse() {
	e, err := envelope.Parse([]byte(example))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("from", e.Sender().Address)
	for _, p := range e.Pending() {
		notify, _ := p.Param("NOTIFY")
		fmt.Println("to", p.Address, notify)
	}
	// Output:
	// from ann@example.com
	// to carol@example.net FAILURE
}

// An error says where an envelope is malformed.
func ExampleParseError() {
	_, err := envelope.Parse([]byte(strings.Replace(example, "<carol@", "<-carol@", 1)))
	var bad *envelope.ParseError
	if errors.As(err, &bad) {
		fmt.Println(bad.Line)
	}
	fmt.Println(err)
	// Output:
	// 4
	// line 4, column 13: Recipient: address "-carol@example.net": local part begins with "-"
}

// A drainer writes down what became of a recipient.
func ExampleEnvelope_SetOutcome() {
	e, err := envelope.Parse([]byte(example))
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Date(2026, 11, 23, 20, 4, 15, 0, time.UTC)
	err = e.SetOutcome("carol@example.net", envelope.Outcome{Status: envelope.StatusFailed, Time: at, Text: "550 no such user"})
	fmt.Println(err, len(e.Pending()))
	err = e.SetOutcome("carol@example.net", envelope.Outcome{Status: envelope.StatusDelivered, Time: at})
	fmt.Println(err)
	// Output:
	// <nil> 0
	// second outcome of <carol@example.net>
}

func ExampleEnvelope_Value() {
	e, err := envelope.Parse([]byte(example))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := json.Marshal(e.Value().Recipients)
	fmt.Println(string(text), err)
	// Output:
	// [{"address":"bob@example.org","params":[],"outcome":{"status":"delivered","time":"2026-11-23T20:04:14.000000Z","text":""}},{"address":"carol@example.net","params":[["NOTIFY","FAILURE"]],"outcome":null}] <nil>
}

// A drainer checks a content before it delivers it.
func ExampleEnvelope_NewContentCheck() {
	e, err := envelope.Parse([]byte(example))
	if err != nil {
		fmt.Println(err)
		return
	}
	check := e.NewContentCheck()
	if _, err := check.Write([]byte("Hello\n")); err != nil {
		fmt.Println(err)
	}
	fmt.Println(check.End())
	_, err = check.Write([]byte("more\r\n"))
	fmt.Println(err)
	// Output:
	// <nil>
	// content holds CR at octet 11
}

func ExampleReadDrop() {
	drop := "From: Ann <ann@example.com>\nTo: bob@example.org\nBcc: carol@example.net\nSubject: hello\n\nHello.\n"
	sender, recipients, err := envelope.ReadDrop(strings.NewReader(drop), os.Stdout,
		envelope.Missing{Date: time.Date(2026, 11, 23, 20, 4, 13, 0, time.UTC), MessageID: "id@example.com"})
	fmt.Println(sender, recipients, err)
	// Output:
	// From: Ann <ann@example.com>
	// To: bob@example.org
	// Subject: hello
	// Date: Mon, 23 Nov 2026 20:04:13 +0000
	// Message-ID: <id@example.com>
	//
	// Hello.
	// <ann@example.com> [<bob@example.org> <carol@example.net>] <nil>
}

func ExampleParseAddressList() {
	list, err := envelope.ParseAddressList(`"Other, Ann" <ann@example.com>, friends: bob@example.org (at work), <@relay.example:carol@example.net>;`)
	fmt.Printf("%q %v\n", list, err)
	_, err = envelope.ParseAddressList("Bob bob@example.org")
	fmt.Println(err)
	// Output:
	// ["ann@example.com" "bob@example.org" "carol@example.net"] <nil>
	// expected one address, got two words; a display name needs <address>
}

func ExampleCheckAddress() {
	for _, address := range []string{"ann@example.com", "postmaster", `"|sh"@example.com`, "ann@", "ann@ex ample.com"} {
		fmt.Println(address, "->", envelope.CheckAddress(address))
	}
	// Output:
	// ann@example.com -> <nil>
	// postmaster -> <nil>
	// "|sh"@example.com -> address "\"|sh\"@example.com": local part begins with "|"
	// ann@ -> address "ann@": empty label in the domain at octet 5
	// ann@ex ample.com -> address "ann@ex ample.com": bad character in the domain at octet 7
}
