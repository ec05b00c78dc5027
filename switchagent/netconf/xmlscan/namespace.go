package xmlscan

// binding is a declaration of a namespace by an open element.
type binding struct {
	depth       int
	prefix, uri string
}

// bind keeps the attribute if it declares a namespace.
func (s *Scanner) bind(a Attr) {
	if string(a.Prefix) == "xmlns" {
		s.bindings = append(s.bindings, binding{len(s.open), string(a.Local), string(a.Value)})
	} else if a.Prefix == nil && string(a.Local) == "xmlns" {
		s.bindings = append(s.bindings, binding{len(s.open), "", string(a.Value)})
	}
}

// unbind forgets what the innermost element has declared.
func (s *Scanner) unbind() {
	for n := len(s.bindings); n > 0 && s.bindings[n-1].depth == len(s.open); n-- {
		s.bindings = s.bindings[:n-1]
	}
}

// Space is the namespace of the element that has begun: as in encoding/xml the prefix itself where it is
// not declared.
func (s *Scanner) Space() string {
	prefix := string(s.prefix)
	switch {
	case prefix == "xml":
		return "http://www.w3.org/XML/1998/namespace"
	case prefix == "xmlns", prefix == "" && string(s.local) == "xmlns":
		return prefix
	}
	for n := len(s.bindings) - 1; n >= 0; n-- {
		if s.bindings[n].prefix == prefix {
			return s.bindings[n].uri
		}
	}
	return prefix
}
