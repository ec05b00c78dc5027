package xmlscan

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

// judge is encoding/xml: the same lines as tokens, and whether it saw something that is refused here on purpose.
func judge(in string) (all []string, limits string, err error) {
	d := xml.NewDecoder(strings.NewReader(in))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	note := func(limit string, is bool) {
		if is && limits == "" {
			limits = limit
		}
	}
	depth := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			return all, limits, nil
		} else if err != nil {
			return all, limits, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			depth++
			note("depth", depth > MaxDepth)
			note("attributes", len(token.Attr) > MaxAttrs)
			line := fmt.Sprintf("<%s {%s}", token.Name.Local, token.Name.Space)
			names := token.Name.Local
			for _, a := range token.Attr {
				line += fmt.Sprintf(" %s=%q", a.Name.Local, a.Value)
				names += a.Name.Space + a.Name.Local
			}
			note("ASCII", !ascii(names))
			all = append(all, line+">")
		case xml.EndElement:
			depth--
			all = append(all, fmt.Sprintf("</%s>", token.Name.Local))
		case xml.CharData:
			all = appendText(all, string(token))
		case xml.ProcInst:
			note("ASCII", !ascii(token.Target))
			note("declaration", token.Target == "xml" && !usual(token.Inst))
		case xml.Directive:
			note("directive", true)
		}
	}
}

func ascii(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0 }

// longReference and longName are what encoding/xml has no limits for.
var (
	longReference = regexp.MustCompile(fmt.Sprintf(`&#x?0{%d}`, MaxEntity/2))
	longName      = regexp.MustCompile(`[^\s<>]{1000}`)
)

// agree checks the scanner against encoding/xml: it reads the same from what both read, refuses all that is refused
// there, and beyond that only what its limits are.
func agree(t *testing.T, in string, size int) {
	t.Helper()
	want, limits, wantErr := judge(in)
	got, err := tokens(newSize(strings.NewReader(in), size))
	var syntax *SyntaxError
	if err != nil && !errors.As(err, &syntax) {
		t.Fatalf("%q: %v", in, err)
	}
	limited := err != nil && syntax.Limit
	switch {
	case err == nil && wantErr != nil:
		t.Fatalf("%q is read, and encoding/xml says %v", in, wantErr)
	case err == nil && limits != "":
		t.Fatalf("%q is read in spite of the limit of %s", in, limits)
	case err != nil && wantErr == nil && !limited:
		t.Fatalf("%q is refused (%v), and encoding/xml reads it as %q", in, err, want)
	case limited && wantErr == nil && limits == "" && len(in) < size && !longReference.MatchString(in) && !longName.MatchString(in):
		t.Fatalf("%q is refused (%v), and no limit is in sight", in, err)
	case err == nil && strings.Join(got, "|") != strings.Join(want, "|"):
		t.Fatalf("%q: got %q, encoding/xml reads %q", in, got, want)
	case err != nil && wantErr == nil:
		checkBeginning(t, got, want)
	}
}

// odd are documents that are near to what is wrong.
var odd = []string{
	`<?xml version="1.0" encoding="us-ascii"?><nc:rpc-reply xmlns:nc="urn:x" nc:message-id='1'><nc:ok/></nc:rpc-reply>`,
	"<a b='1' b=\"&#x27;\r\n\"/>\r\n<b/>", "<a>&lt;&#65;&#x41;]]&gt;\r\r\n</a>", "<a><![CDATA[<&]]]]><![CDATA[>]]></a>",
	"<!-- a - b --><a/><!---->", "<!--->-->", "<?a b?><?xml version='1.0'?><a/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
	"<a>]]></a>", "<a xmlns='u' xmlns:p='v'><p:b xmlns:p=''><p:c/></p:b><b xmlns=''/></a>", "<:a/><a:/><b:c:d/>", "<a\t/><a\n></a\r>",
	"<ä/>", "<a ä='1'/>", "<a>ü€😀\u0085\ufffd</a>", "<a>\xc3\x28\xff</a>", "<a b/>", "<a b=c/>", "<a></A>", "<a><b></a></b>", "<a>&#xD800;&#0;</a>",
	"<a>\x0b</a>", "<?xml version=\"1.1\"?><a/>", "<?xml version = \"2\"?><a/>", "<a b=' > '>></a>", "<a>&amp</a>", "<a/ >", "</a>", "<a", "&amp;",
	"<a>\ufffe</a>", "<xml:a xml:b='c'/><xmlns:a/><xmlns/>", "<a.b-c_d1/>", "<-a/>", "<a><!-- -- --></a>", "<![CDATA[x]]>", "<a>x\r<!-- -->\n</a>",
}

func TestAgreement(t *testing.T) {
	for _, in := range append(replies(t), odd...) {
		for _, size := range []int{MaxTag, 400} {
			agree(t, in, size)
		}
		if len(in) < 100 {
			for cut := range in {
				agree(t, in[:cut], MaxTag)
				agree(t, in[cut:], MaxTag)
			}
		}
	}
}

// FuzzAgreement: the scanner is encoding/xml within its limits, and never more lenient, whatever size its buffer has and
// however the bytes come.
func FuzzAgreement(f *testing.F) {
	for _, in := range append(replies(f), odd...) {
		f.Add(in, uint16(0))
	}
	f.Fuzz(func(t *testing.T, in string, size uint16) {
		agree(t, in, MaxTag)
		small := 64 + int(size)%1000
		agree(t, in, small)
		whole, err := tokens(newSize(strings.NewReader(in), small))
		dribbled, dribbledErr := tokens(newSize(iotest.OneByteReader(strings.NewReader(in)), small))
		if (err == nil) != (dribbledErr == nil) {
			t.Fatalf("%q: at once %v; byte by byte %v", in, err, dribbledErr)
		}
		got, want := strings.Join(whole, "|"), strings.Join(dribbled, "|")
		if err == nil && got != want {
			t.Fatalf("%q: at once %q; byte by byte %q", in, got, want)
		}
		if len(got) > len(want) { // of a text that is wrong further on there may be pieces
			whole, dribbled = dribbled, whole
		}
		checkBeginning(t, whole, dribbled)
	})
}
