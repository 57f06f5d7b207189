package receiver

// The events of a session, as smap-log(5) lists them. The words in front are those
// of the Toolkit: securityalert for what looks like an attack, fwtksyserr for a
// system call that failed.
const (
	eventConnect      = "connect"                // a session begins
	eventTLS          = "tls"                    // TLS began, or failed
	eventFrom         = "from"                   // MAIL was accepted
	eventTo           = "to"                     // RCPT was accepted
	eventMessage      = "message"                // a message was accepted and is in the spool
	eventMayComeTwice = "message may come twice" // a message is in the spool, but the client was told that it failed
	eventRefused      = "refused"                // a command got a reply of 400 or more
	eventExit         = "exit"                   // a session ends

	eventEarlyInput        = "securityalert: input before the greeting"       // a client sent something before it was greeted
	eventBareLine          = "securityalert: line without CR LF"              // a command line ended in a bare CR or LF, or held NUL
	eventBareLineInMessage = "securityalert: line without CR LF in a message" // a message held a bare CR, a bare LF or NUL
	eventLineWithoutEnd    = "securityalert: line without end"                // a line was longer than any command
	eventControlCharacters = "securityalert: control characters in a command" // a command held control characters, or was not UTF-8
	eventBehindSTARTTLS    = "securityalert: commands behind STARTTLS"        // plaintext commands followed STARTTLS in one packet
	eventDangerousAddress  = "securityalert: dangerous address"               // some mail program would take an address for something else
	eventDebug             = "securityalert: DEBUG command"                   // a client sent DEBUG
	eventAttackCommand     = "securityalert: command of an attack"            // a client sent WIZ, a command of HTTP, or PROXY

	eventSpoolFull        = "fwtksyserr: the spool is full"   // less space or fewer inodes than minfree are left
	eventStatfs           = "fwtksyserr: statfs of the spool" // the file system does not tell how much space is left
	eventRecipientsUnread = "fwtksyserr: recipients"          // the file of known recipients cannot be read
	eventNewMessage       = "fwtksyserr: new message"         // the files of a message cannot be made
	eventWriteMessage     = "fwtksyserr: write message"       // the content of a message cannot be written
	eventEnvelope         = "fwtksyserr: envelope"            // the envelope of a message cannot be made
	eventCommit           = "fwtksyserr: commit"              // a message cannot be committed
	eventAbort            = "fwtksyserr: abort"               // files of a message that was not accepted stay in tmp
)
