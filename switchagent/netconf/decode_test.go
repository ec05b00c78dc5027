package netconf

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// TestFields: every element inside the wanted one is told of, with its own text.
func TestFields(t *testing.T) {
	in := fmt.Sprintf(wrapper, `<x><row/><j:row xmlns:j="u" a="1"> not told
<j:b> 1 &amp; <![CDATA[<2>]]> </j:b><c>3<d><e/>4<f>5</f>6</d> 7<!-- --> </c></j:row></x><row><b>8</b></row><ok/>`)
	var got []string
	fields := Fields(func(path, text []byte) { got = append(got, fmt.Sprintf("%s=%s", path, text)) })
	reply, err := Call{Elements: map[string]Element{"row": func(decode func(any) error) error {
		got = append(got, "row")
		return decode(fields)
	}}}.ReadReply(strings.NewReader(in), "1")
	if err != nil || !reply.OK {
		t.Fatal(reply, err)
	}
	if diff := cmp.Diff([]string{"row", "row", "b=1 & <2>", "c/d/e=", "c/d/f=5", "c/d=46", "c=3 7", "row", "b=8"}, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

// TestDecodeAgreement: Fields reads what encoding/xml reads into a struct, from every beginning of a recorded reply; and one
// that is cut off is an error with both.
func TestDecodeAgreement(t *testing.T) {
	text, err := os.ReadFile("../junos/testdata/nd.xml")
	if err != nil {
		t.Fatal(err)
	}
	read := func(in string, row Element, rows *[]string) error {
		*rows = nil
		_, err := Call{Elements: map[string]Element{"ipv6-nd-entry": row}}.ReadReply(strings.NewReader(in), "1")
		return err
	}
	whole := strings.TrimSpace(string(text))
	for cut := len(whole); cut > 100; cut-- {
		var byStruct, byFields []string
		structErr := read(whole[:cut], func(decode func(any) error) error {
			var e struct {
				Address string `xml:"ipv6-nd-neighbor-address"`
				MAC     string `xml:"ipv6-nd-neighbor-l2-address"`
			}
			err := decode(&e)
			if err == nil {
				byStruct = append(byStruct, strings.TrimSpace(e.Address)+" "+strings.TrimSpace(e.MAC))
			}
			return err
		}, &byStruct)
		fieldsErr := read(whole[:cut], func(decode func(any) error) error {
			var address, mac string
			err := decode(Fields(func(path, text []byte) {
				switch string(path) {
				case "ipv6-nd-neighbor-address":
					address = string(text)
				case "ipv6-nd-neighbor-l2-address":
					mac = string(text)
				}
			}))
			if err == nil {
				byFields = append(byFields, address+" "+mac)
			}
			return err
		}, &byFields)
		if (structErr == nil) != (cut == len(whole)) || fmt.Sprint(structErr) != fmt.Sprint(fieldsErr) {
			t.Fatalf("cut at %d of %d: %v, and with Fields %v", cut, len(whole), structErr, fieldsErr)
		}
		if diff := cmp.Diff(byStruct, byFields); diff != "" {
			t.Fatalf("cut at %d (-struct +Fields):\n%s", cut, diff)
		}
	}
}

// TestLongText: a text of any length, and of any characters, is one value.
func TestLongText(t *testing.T) {
	for _, piece := range []string{"set x;", "Zürich ", "€", "&amp;\r\n", "\xfc\x00"} {
		text := strings.Repeat(piece, 20_000)
		for name, r := range map[string]io.Reader{
			"whole":        strings.NewReader(fmt.Sprintf(wrapper, "<set>"+text+"</set>")),
			"byte by byte": iotest.OneByteReader(strings.NewReader(fmt.Sprintf(wrapper, "<set>"+text+"</set>"))),
			"half by half": iotest.HalfReader(strings.NewReader(fmt.Sprintf(wrapper, "<set>"+text+"</set>"))),
		} {
			var got string
			_, err := Call{Elements: map[string]Element{"set": func(decode func(any) error) error { return decode(&got) }}}.ReadReply(r, "1")
			want := strings.NewReplacer("&amp;", "&", "\r\n", "\n", "\xfc", "?", "\x00", " ").Replace(text)
			if err != nil || got != want {
				t.Errorf("%q, %s: %v; %d bytes, want %d", piece, name, err, len(got), len(want))
			}
		}
	}
}

// TestCleaner: what cannot be XML is replaced, and nothing else, however it comes.
func TestCleaner(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"banner\r\n\xff":           "",
		"\ufeff\x00 >banner\n<a/>": "<a/>",
		"<a>ü€😀\t\r\n</a>":         "<a>ü€😀\t\r\n</a>",
		"<\x00\x1f\x0b\x7f":        "<   \x7f",
		"<\xff\xfe\xc3(\xe2\x82(":  "<???(??(",
		"<\ufffe\uffff\ufffd":      "<??\ufffd",
		"<\xed\xa0\x80":            "<???",
		"<\xe2\x82":                "<??",
		"<\xf0\x9f\x98":            "<???",
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(in), "byte by byte": iotest.OneByteReader(strings.NewReader(in)),
			"with the end": iotest.DataErrReader(strings.NewReader(in)),
		} {
			if got, err := io.ReadAll(newCleaner(r)); string(got) != want || err != nil {
				t.Errorf("%q, %s: got %q, %v, want %q", in, name, got, err, want)
			}
		}
	}
}

// TestOrdinary: eight bytes at a time are judged as each of them is.
func TestOrdinary(t *testing.T) {
	usual := []byte("0123456789abcdef ~\n\x7f<>&;:")
	for at := range 20 {
		for c := range 256 {
			text := append([]byte(nil), usual...)
			text[at] = byte(c)
			want := len(text)
			if c >= 0x80 || c < ' ' && c != '\n' {
				want = at
			}
			if got := ordinary(text); got != want {
				t.Fatalf("byte %#x at %d: %d, want %d", c, at, got, want)
			}
		}
	}
}
