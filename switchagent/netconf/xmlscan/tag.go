package xmlscan

import "bytes"

// name returns the offset behind the name that begins at the offset n of the token.
func (s *Scanner) name(n int) (int, error) {
	begin := n
	for {
		for b := s.buf[s.r:s.w]; n < len(b); n++ {
			if class[b[n]]&inName == 0 {
				return n, s.checkName(b[begin:n], b[n])
			}
		}
		if _, err := s.need(n); err != nil {
			return 0, err
		}
	}
}

// checkName knows the byte behind the name as well.
func (s *Scanner) checkName(name []byte, next byte) error {
	switch {
	case next >= 0x80:
		return s.limit("a name with a character that is not ASCII, behind %.100q", name)
	case len(name) == 0:
		return s.wrong("%q in place of a name", next)
	case class[name[0]]&beginsName == 0:
		return s.wrong("the name %.100q begins with %q", name, name[0])
	case len(name) > MaxName:
		return s.limit("a name is longer than %d bytes", MaxName)
	}
	return nil
}

// localPart is where the local part of a name begins; -1 if it has more than one prefix. What has a
// colon at an end is local, as in encoding/xml.
func localPart(name []byte) int {
	colon := bytes.IndexByte(name, ':')
	switch {
	case colon >= 0 && bytes.IndexByte(name[colon+1:], ':') >= 0:
		return -1
	case colon <= 0 || colon == len(name)-1:
		return 0
	}
	return colon + 1
}

// split sets name and prefix of the token.
func (s *Scanner) split(name []byte, local int) {
	s.local, s.prefix = name[local:], nil
	if local > 0 {
		s.prefix = name[:local-1]
	}
}

func (s *Scanner) startTag() (Token, error) {
	n, err := s.name(1)
	if err != nil {
		return 0, err
	}
	end := n
	s.attrs, s.spans = s.attrs[:0], s.spans[:0]
	for {
		c, err := s.need(n)
		if err != nil {
			return 0, err
		}
		n++
		if c == '>' {
			break
		}
		if c == '/' {
			if c, err = s.need(n); err != nil {
				return 0, err
			} else if c != '>' {
				return 0, s.wrong("%q behind the slash of a tag", c)
			}
			s.empty = true
			n++
			break
		}
		if class[c]&blank == 0 {
			if n, err = s.attribute(n - 1); err != nil {
				return 0, err
			}
		}
	}
	return s.push(end, n)
}

// push opens the element whose name ends at the offset end, and whose tag at n.
func (s *Scanner) push(end, n int) (Token, error) {
	tag := s.buf[s.r : s.r+n]
	name := tag[1:end]
	local := localPart(name)
	if local < 0 {
		return 0, s.wrong("the name %.100q has two prefixes", name)
	}
	if n > s.size {
		return 0, s.limit("a tag is longer than %d bytes", s.size)
	}
	if len(s.open) == MaxDepth {
		return 0, s.limit("elements are nested more than %d deep", MaxDepth)
	}
	s.open = append(s.open, frame{len(s.names), len(s.names) + local})
	s.names = append(s.names, name...)
	s.split(name, local)
	for _, a := range s.spans {
		name := tag[a.name:a.nameEnd]
		local := localPart(name)
		if local < 0 {
			return 0, s.wrong("the name %.100q has two prefixes", name)
		}
		value, err := s.decode(tag[a.value:a.valueEnd], inAttr)
		if err != nil {
			return 0, err
		}
		attr := Attr{Local: name[local:], Value: value}
		if local > 0 {
			attr.Prefix = name[:local-1]
		}
		s.attrs = append(s.attrs, attr)
		s.bind(attr)
	}
	s.r += n
	return Start, nil
}

// span is where an attribute is in its tag.
type span struct{ name, nameEnd, value, valueEnd int }

// attribute reads the attribute at the offset n and returns the offset behind it.
func (s *Scanner) attribute(n int) (int, error) {
	if len(s.spans) == MaxAttrs {
		return 0, s.limit("an element has more than %d attributes", MaxAttrs)
	}
	a := span{name: n}
	var err error
	if a.nameEnd, err = s.name(n); err != nil {
		return 0, err
	}
	n, c, err := s.skipBlanks(a.nameEnd)
	if err != nil {
		return 0, err
	}
	if c != '=' {
		return 0, s.wrong("%q behind the name of an attribute", c)
	}
	n, quote, err := s.skipBlanks(n + 1)
	if err != nil {
		return 0, err
	}
	if quote != '"' && quote != '\'' {
		return 0, s.wrong("%q in place of an attribute's quotation mark", quote)
	}
	a.value = n + 1
	for a.valueEnd = a.value; ; a.valueEnd++ {
		if c, err = s.need(a.valueEnd); err != nil {
			return 0, err
		} else if c == quote {
			s.spans = append(s.spans, a)
			return a.valueEnd + 1, nil
		}
	}
}

// skipBlanks returns the offset of the first byte that is no blank, and the byte.
func (s *Scanner) skipBlanks(n int) (int, byte, error) {
	for {
		c, err := s.need(n)
		if err != nil || class[c]&blank == 0 {
			return n, c, err
		}
		n++
	}
}

func (s *Scanner) endTag() (Token, error) {
	if len(s.open) > 0 { // nearly always it is as it should be
		want := s.names[s.open[len(s.open)-1].name:]
		if b := s.buf[s.r+2 : s.w]; len(b) > len(want) && b[len(want)] == '>' && string(b[:len(want)]) == string(want) {
			s.r += 2 + len(want) + 1
			return s.pop(), nil
		}
	}
	end, err := s.name(2)
	if err != nil {
		return 0, err
	}
	n, c, err := s.skipBlanks(end)
	if err != nil {
		return 0, err
	}
	if c != '>' {
		return 0, s.wrong("%q in an end tag", c)
	}
	name := s.buf[s.r+2 : s.r+end]
	if len(s.open) == 0 {
		return 0, s.wrong("</%.100s> ends nothing", name)
	}
	top := s.open[len(s.open)-1]
	if want := s.names[top.name:]; string(name) != string(want) {
		if s.Unclosed != "" && string(s.names[top.local:]) == s.Unclosed {
			return s.pop(), nil // and looks at this tag again
		}
		return 0, s.wrong("<%.100s> is closed by </%.100s>", want, name)
	}
	s.r += n + 1
	return s.pop(), nil
}

// pop closes the innermost element.
func (s *Scanner) pop() Token {
	top := s.open[len(s.open)-1]
	s.split(s.names[top.name:], top.local-top.name)
	s.names = s.names[:top.name]
	s.unbind()
	s.open = s.open[:len(s.open)-1]
	s.attrs = s.attrs[:0]
	return End
}
