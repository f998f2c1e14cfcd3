package provider

// Claims are the claims about a person, as decoded from JSON (numbers as json.Number).
type Claims map[string]any

// Text returns a claim that is a string, or "".
func (c Claims) Text(name string) string {
	s, _ := c[name].(string)
	return s
}

// Subject returns the sub claim.
func (c Claims) Subject() string { return c.Text("sub") }
