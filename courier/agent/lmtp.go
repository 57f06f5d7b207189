package agent

// NewLMTP returns an agent for an LMTP server (RFC 2033), which gives a verdict
// for each recipient: "host:port" or the path of a unix socket. The port's
// default is 24.
func NewLMTP(address string) (*Remote, error) {
	r, err := newRemote(address, "24")
	if err == nil {
		r.LMTP = true
	}
	return r, err
}
