package jail

// LookupNeeds are what the process that looks up names needs: the network, and
// the files that tell a resolver what to do.
type LookupNeeds struct {
	// Dirs are the directories whose files it reads.
	Dirs []string
	// MaxOpen is how many descriptors it needs.
	MaxOpen uint64
}

// EnterLookup is [Enter] for the process that looks up names.
func EnterLookup(n LookupNeeds) (active, missing []string) {
	var steps []part
	for _, p := range lookupParts() {
		steps = append(steps, part{p.name, func(*Needs) error { return p.enter(&n) }})
	}
	return enter(nil, steps)
}

// A lookupPart is one mechanism of the system's for that process.
type lookupPart struct {
	name  string
	enter func(*LookupNeeds) error
}
