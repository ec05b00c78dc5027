package netconf

import (
	"bytes"
	"encoding/xml"

	"lastmile/switchagent/netconf/xmlscan"
)

// Fields is for the rows of large tables: nothing is allocated for it. Given to decode, it is called at the end of
// each element inside the wanted one, with the local names that lead to it, joined by slashes
// ("error-info/bad-element"), and its own text without the blanks around it. Both are valid only during the call.
type Fields func(path, text []byte)

// decoder reads elements whole. It embeds encoding/xml, which sees nothing but the scanner's tokens.
type decoder struct {
	*xml.Decoder
	tokens *tokens
	decode func(any) error // element, made once

	path, text []byte // of fields, kept for the next element
	open       []field
}

// field is where in path and text an open element begins.
type field struct{ path, text int }

func newDecoder(scan *xmlscan.Scanner) *decoder {
	t := &tokens{scan: scan}
	d := &decoder{Decoder: xml.NewTokenDecoder(t), tokens: t}
	d.decode = d.element
	return d
}

// element reads the element that has just begun.
func (d *decoder) element(v any) error {
	if f, ok := v.(Fields); ok {
		return d.fields(f)
	}
	d.tokens.again = true
	return d.Decode(v)
}

func (d *decoder) fields(f Fields) error {
	scan := d.tokens.scan
	d.path, d.text, d.open = d.path[:0], d.text[:0], d.open[:0]
	for {
		token, err := scan.Next()
		switch {
		case err != nil:
			return err
		case token == xmlscan.Start:
			d.open = append(d.open, field{len(d.path), len(d.text)})
			if len(d.path) > 0 {
				d.path = append(d.path, '/')
			}
			d.path = append(d.path, scan.Name()...)
		case len(d.open) == 0:
			if token == xmlscan.End {
				return nil
			}
		case token == xmlscan.Text:
			d.text = append(d.text, scan.Text()...)
		default:
			last := d.open[len(d.open)-1]
			f(d.path, bytes.TrimSpace(d.text[last.text:]))
			d.path, d.text, d.open = d.path[:last.path], d.text[:last.text], d.open[:len(d.open)-1]
		}
	}
}

// tokens is an xml.TokenReader. Its names have the prefixes of the document: xml.Decoder resolves those that are
// declared inside what it reads.
type tokens struct {
	scan  *xmlscan.Scanner
	again bool // the start tag that was read last comes again
}

// Token returns the next token. What is in it is valid until the next call.
func (t *tokens) Token() (xml.Token, error) {
	token := xmlscan.Start
	if !t.again {
		var err error
		if token, err = t.scan.Next(); err != nil {
			return nil, err
		}
	}
	t.again = false
	name := xml.Name{Space: string(t.scan.Prefix()), Local: string(t.scan.Name())}
	switch token {
	case xmlscan.Start:
		start := xml.StartElement{Name: name}
		for _, a := range t.scan.Attrs() {
			start.Attr = append(start.Attr, xml.Attr{
				Name: xml.Name{Space: string(a.Prefix), Local: string(a.Local)}, Value: string(a.Value),
			})
		}
		return start, nil
	case xmlscan.End:
		return xml.EndElement{Name: name}, nil
	}
	return xml.CharData(t.scan.Text()), nil
}
