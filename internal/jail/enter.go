package jail

// Needs are what a feeder needs from its system once everything that it uses is
// open. All else can be taken away.
type Needs struct {
	// Tmp and New are the spool's open directories, TmpPath and NewPath their
	// paths as this process sees them, in a chroot or not.
	Tmp, New         int
	TmpPath, NewPath string
	// MaxFile is the size of the largest file that it writes, in octets; 0 is
	// any size.
	MaxFile uint64
	// MaxOpen is how many descriptors it needs.
	MaxOpen uint64
	// Accept tells that it accepts connections from sockets that are open.
	Accept bool
	// Lock tells that it takes record locks on files that are open.
	Lock bool
}

// A part is one mechanism of the system's. It can be used alone.
type part struct {
	name  string
	enter func(*Needs) error
}

// Enter gives up what is not needed, by every mechanism that the system has;
// SECURITY.md says what each of them does. It returns the names of those that
// hold now, and for each of the others its name and why it does not. No mechanism
// depends on another, and none of them can be undone.
func Enter(n Needs) (active, missing []string) { return enter(&n, parts()) }

func enter(n *Needs, parts []part) (active, missing []string) {
	for _, p := range parts {
		if err := p.enter(n); err != nil {
			missing = append(missing, p.name+": "+err.Error())
		} else {
			active = append(active, p.name)
		}
	}
	return active, missing
}
