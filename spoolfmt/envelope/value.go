package envelope

// A Value is an envelope in the form that package encoding/json, or another one,
// writes as the test vectors have it.
type Value struct {
	Format     int              `json:"format"`
	Sender     PathValue        `json:"sender"`
	Recipients []RecipientValue `json:"recipients"`
	Size       int64            `json:"size"`
	Fields     [][2]string      `json:"fields"`
}

// A PathValue is a path in a [Value]. Each parameter is its keyword and its value,
// nil where there is none.
type PathValue struct {
	Address string       `json:"address"`
	Params  [][2]*string `json:"params"`
}

// A RecipientValue is a recipient in a [Value].
type RecipientValue struct {
	PathValue
	Outcome *OutcomeValue `json:"outcome"`
}

// An OutcomeValue is an outcome in a [Value].
type OutcomeValue struct {
	Status string `json:"status"`
	Time   string `json:"time"`
	Text   string `json:"text"`
}

// Value returns the envelope as a [Value].
func (e *Envelope) Value() Value {
	v := Value{Format: 1, Sender: e.sender.value(), Size: e.size, Recipients: []RecipientValue{}, Fields: [][2]string{}}
	for _, r := range e.recipients {
		x := RecipientValue{PathValue: r.Path.value()}
		if o := r.Outcome; o != nil {
			x.Outcome = &OutcomeValue{o.Status.String(), FormatTime(o.Time), o.Text}
		}
		v.Recipients = append(v.Recipients, x)
	}
	for _, f := range e.fields {
		v.Fields = append(v.Fields, [2]string{f.Name, f.Value})
	}
	return v
}

func (p Path) value() PathValue {
	v := PathValue{Address: p.Address, Params: [][2]*string{}}
	for _, x := range p.Params {
		pair := [2]*string{&x.Keyword, nil}
		if x.HasValue {
			pair[1] = &x.Value
		}
		v.Params = append(v.Params, pair)
	}
	return v
}
