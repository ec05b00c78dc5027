package xmlscan

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// tokens reads a document into lines: <local {namespace} local=value ...>, </local> and texts in quotes, with the
// pieces of a text put together.
func tokens(s *Scanner) (all []string, err error) {
	for {
		token, err := s.Next()
		if err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
		switch token {
		case Start:
			line := fmt.Sprintf("<%s {%s}", s.Name(), s.Space())
			for _, a := range s.Attrs() {
				line += fmt.Sprintf(" %s=%q", a.Local, a.Value)
			}
			all = append(all, line+">")
		case End:
			all = append(all, fmt.Sprintf("</%s>", s.Name()))
		case Text:
			all = appendText(all, string(s.Text()))
		}
	}
}

func appendText(all []string, text string) []string {
	if text == "" {
		return all
	}
	if n := len(all) - 1; n >= 0 && strings.HasPrefix(all[n], "'") {
		all[n] += text
		return all
	}
	return append(all, "'"+text)
}

func TestTokens(t *testing.T) {
	for in, want := range map[string]string{
		"":                                      "",
		" \n":                                   "' \n",
		"<a/>":                                  "<a {}>|</a>",
		"<a />\n":                               "<a {}>|</a>|'\n",
		"<a></a >":                              "<a {}>|</a>",
		"<a><b>x</b> <c\t/></a>":                "<a {}>|<b {}>|'x|</b>|' |<c {}>|</c>|</a>",
		"<p:a xmlns:p='u'><p:b/></p:a>":         "<a {u} p=\"u\">|<b {u}>|</b>|</a>",
		"<a xmlns='u'><b xmlns='v'/><c/></a>":   `<a {u} xmlns="u">|<b {v} xmlns="v">|</b>|<c {u}>|</c>|</a>`,
		"<p:a><xml:b/><xmlns:c/><xmlns/></p:a>": "<a {p}>|<b {http://www.w3.org/XML/1998/namespace}>|</b>|<c {xmlns}>|</c>|<xmlns {}>|</xmlns>|</a>",
		"<:a><a:/></:a>":                        "<:a {}>|<a: {}>|</a:>|</:a>",
		`<a b="1"c = '"&gt;>'/>`:                `<a {} b="1" c="\">>">|</a>`,
		"<a b='x\r\ny\rz ]]>'/>":                `<a {} b="x\ny\nz ]]>">|</a>`,
		"<a>&lt;&gt;&amp;&apos;&quot;</a>":      `<a {}>|'<>&'"|</a>`,
		"<a>&#65;&#x42;&#x1F600;&#xD800;&#13;</a>":                "<a {}>|'AB😀\ufffd\r|</a>",
		"<a>1\r\n2\r3\n\r\n\r\r</a>":                              "<a {}>|'1\n2\n3\n\n\n\n|</a>",
		"<a>]] ]>]]&gt;ü€</a>":                                    "<a {}>|']] ]>]]>ü€|</a>",
		"<a>x<![CDATA[<&amp;]]]]>\r\n<![CDATA[]]>y</a>":           "<a {}>|'x<&amp;]]\ny|</a>",
		"<a>x<!-- - <b> &no; \xff->-->y<?pi ? > \x00?>z<?q?></a>": "<a {}>|'xyz|</a>",
		`<?xml version="1.0" encoding="us-ascii"?><a/><b/>`:       "<a {}>|</a>|<b {}>|</b>",
		"<a>\t\u007f\u0085</a>":                                   "<a {}>|'\t\u007f\u0085|</a>",
	} {
		for size, buffer := range map[string]int{"whole": MaxTag, "small": 80} {
			for name, r := range map[string]io.Reader{
				"at once": strings.NewReader(in), "byte by byte": iotest.OneByteReader(strings.NewReader(in)),
				"with the end": iotest.DataErrReader(strings.NewReader(in)),
			} {
				got, err := tokens(newSize(r, buffer))
				if strings.Join(got, "|") != want || err != nil {
					t.Errorf("%q, %s buffer, %s: got %q, %v", in, size, name, got, err)
				}
			}
		}
	}
}

// wrong is what is no XML, or none that is read, and what is said of it.
var wrong = map[string]string{
	"<a>":                             "byte 3: it ends early",
	"<a":                              "byte 0: it ends early",
	"<a b='":                          "byte 0: it ends early",
	"<a><!-- x --":                    "it ends early",
	"<a><![CDATA[x]]":                 "it ends early",
	"<a>&":                            "byte 3: \"&\" is not a reference",
	"<a></b>":                         "byte 3: <a> is closed by </b>",
	"<p:a></q:a>":                     "<p:a> is closed by </q:a>",
	"<a></aa>":                        "<a> is closed by </aa>",
	"</a>":                            "</a> ends nothing",
	"<a/></a>":                        "byte 4: </a> ends nothing",
	"<a></a b>":                       `'b' in an end tag`,
	"< a/>":                           "' ' in place of a name",
	"<1/>":                            `the name "1" begins with '1'`,
	"<a:b:c/>":                        `the name "a:b:c" has two prefixes`,
	"<a b:c:d='1'/>":                  `the name "b:c:d" has two prefixes`,
	"<ä/>":                            "a name with a character that is not ASCII",
	"<a b/>":                          `'/' behind the name of an attribute`,
	"<a b=1/>":                        `'1' in place of an attribute's quotation mark`,
	"<a b='<'/>":                      "a < within an attribute",
	"<a / >":                          `' ' behind the slash of a tag`,
	"<a>]]></a>":                      "]]> outside a CDATA section",
	"<a>\xff</a>":                     "a byte 0xff that is not UTF-8",
	"<a>\xed\xa0\x80</a>":             "a byte 0xed that is not UTF-8",
	"<a>\x01</a>":                     "the character U+0001",
	"<a>\uffff</a>":                   "the character U+FFFF",
	"<a>&#0;</a>":                     "the character U+0000",
	"<a>&#x110000;</a>":               "&#x110000; is not a reference",
	"<a>&#;&#x;</a>":                  "&#; is not a reference",
	"<a>&e;</a>":                      "&e; is not a reference",
	"<a>&lt</a>":                      "is not a reference",
	"<a><!-- x -- y --></a>":          `"--" within a comment`,
	"<!DOCTYPE a><a/>":                "byte 0: it holds a <!directive>",
	"<a><!ENTITY b 'c'></a>":          "it holds a <!directive>",
	"<a><![INCLUDE[x]]></a>":          "it holds a <!directive>",
	`<?xml version="1.1"?><a/>`:       `version="1.1"?> is not an XML declaration of version 1.0`,
	"<? xml?><a/>":                    "' ' in place of a name",
	strings.Repeat("<a>", MaxDepth+1): "nested more than 100 deep",
	"<a" + strings.Repeat(" b=''", MaxAttrs+1) + "/>":    "more than 200 attributes",
	"<" + strings.Repeat("a", MaxName+1) + "/>":          "a name is longer than 1000 bytes",
	"<a b='" + strings.Repeat("x", MaxTag) + "'/>":       "a tag is longer than 32768 bytes",
	"<a>&#" + strings.Repeat("0", MaxEntity) + "65;</a>": "is not a reference of at most 32 bytes",
	"<a>&" + strings.Repeat("0", 2*MaxTag) + "65;</a>":   "is not a reference of at most 32 bytes",
	"<?xml " + strings.Repeat(" ", MaxTag) + "?><a/>":    "is longer than 32768 bytes",
}

// TestRefused: what is wrong is named, with its place.
func TestRefused(t *testing.T) {
	for in, want := range wrong {
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(in), "byte by byte": iotest.OneByteReader(strings.NewReader(in))} {
			s := New(r)
			_, err := tokens(s)
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || !strings.Contains(err.Error(), want) {
				t.Errorf("%.50q, %s: got %v, want %q in it", in, name, err, want)
			}
			if _, again := s.Next(); again != err {
				t.Errorf("%.50q: %v, and then %v", in, err, again)
			}
		}
	}
}

// TestLimitsHold: what is just below the limits is read.
func TestLimitsHold(t *testing.T) {
	for name, in := range map[string]string{
		"depth":     strings.Repeat("<a>", MaxDepth) + strings.Repeat("</a>", MaxDepth),
		"attrs":     "<a" + strings.Repeat(" b=''", MaxAttrs) + "/>",
		"name":      "<" + strings.Repeat("a", MaxName) + "/>",
		"tag":       "<a b='" + strings.Repeat("x", MaxTag-len("<a b=''/>")) + "'/>",
		"reference": "<a>&#" + strings.Repeat("0", MaxEntity-len("&#65;")) + "65;</a>",
		"comment":   "<!--" + strings.Repeat("x", 3*MaxTag) + "--><a/>",
		"PI":        "<?x " + strings.Repeat("?", 3*MaxTag) + "?><a/>",
	} {
		if _, err := tokens(New(strings.NewReader(in))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLongTexts come in pieces, and nothing is lost between two.
func TestLongTexts(t *testing.T) {
	for _, in := range []string{"\r\n", "x", "ü", "€€a", "😀", "&amp;", "&#x1F600;x", "]", "]]", "]]&gt;", "\r\r\n", "a\r"} {
		for shift := range 9 {
			long := strings.Repeat("a", shift) + strings.Repeat(in, 500)
			read := func(size int) string {
				got, err := tokens(newSize(strings.NewReader("<a>"+long+"</a><a><![CDATA["+long+"]]></a>"), size))
				return fmt.Sprintf("%q %v", got, err)
			}
			if whole, pieces := read(MaxTag), read(80); whole != pieces || !strings.HasSuffix(whole, "<nil>") {
				t.Errorf("%q, %d bytes in: whole %.200s; in pieces %.200s", in, shift, whole, pieces)
			}
		}
	}
}

// TestUnclosed: only the named element may lack its end.
func TestUnclosed(t *testing.T) {
	for in, ok := range map[string]bool{
		"<r><n:e><x/></r>":          true,
		"<r><e><e/><e><x/></e></r>": true,
		"<r><e><x></r>":             false,
		"<r><e><x></e></r>":         false,
		"<r><e><x/>":                false,
		"<r><e></q></r>":            false,
		"<r><x></r></x>":            false,
	} {
		s := New(strings.NewReader(in))
		s.Unclosed = "e"
		if got, err := tokens(s); (err == nil) != ok {
			t.Errorf("%s: %q, %v", in, got, err)
		} else if err == nil && strings.Count(in, "<")-strings.Count(in, "</") != strings.Count(strings.Join(got, ""), "</") {
			t.Errorf("%s: %q", in, got)
		}
	}
}

// replies are what the packages around have recorded, and some that are at least as odd.
func replies(t testing.TB) (all []string) {
	for _, dir := range []string{"../../junos/testdata", "testdata"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.xml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(text))
		}
	}
	return all
}

// TestCut: wherever a reply is cut off before its last tag ends, that is an error, and what was read
// before is the beginning of the whole.
func TestCut(t *testing.T) {
	for _, reply := range replies(t) {
		want, err := tokens(New(strings.NewReader(reply)))
		if err != nil || len(want) < 3 {
			t.Fatalf("%.80s: %v", reply, err)
		}
		for cut := strings.Index(reply, "rpc-reply"); cut < strings.LastIndex(reply, "rpc-reply>")+len("rpc-reply"); cut++ {
			got, err := tokens(New(strings.NewReader(reply[:cut])))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("cut at %d of %d: %v\n%s", cut, len(reply), err, reply[:cut])
			}
			checkBeginning(t, got, want)
		}
	}
}

// checkBeginning allows for a last text that is not whole.
func checkBeginning(t *testing.T, got, want []string) {
	t.Helper()
	for i := range got {
		if i >= len(want) || got[i] != want[i] && !(i == len(got)-1 && strings.HasPrefix(got[i], "'") && strings.HasPrefix(want[i], got[i])) {
			t.Fatalf("token %d of %q is not that of %q", i, got, want)
		}
	}
}

// TestReaderErrors are handed on as they are.
func TestReaderErrors(t *testing.T) {
	pulled := errors.New("cable pulled")
	for _, in := range []string{"", "<a>", "<a b='", "<a>text", "<a></", "<!--", "<![CDATA[x", "<?x", "<?xml"} {
		if _, err := tokens(New(io.MultiReader(strings.NewReader(in), iotest.ErrReader(pulled)))); !errors.Is(err, pulled) {
			t.Errorf("%q: %v", in, err)
		}
	}
	if _, err := New(silent{}).Next(); err != io.ErrNoProgress {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// TestMemory: a long document takes no more than a short one.
func TestMemory(t *testing.T) {
	reply := strings.Repeat("<entry>\n<address>fe80::1</address><x:y z='&lt;'/>&amp;</entry>\n", 1000)
	s := New(io.MultiReader(strings.NewReader("<a xmlns:x='u'>"), &endless{text: reply}))
	read := func() {
		for range 10_000 {
			if _, err := s.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if allocs := testing.AllocsPerRun(10, read); allocs > 0 {
		t.Errorf("%v allocations for 10000 tokens", allocs)
	}
}

// TestRoom: the reader always has room for a character.
func TestRoom(t *testing.T) {
	for _, in := range []string{"<a>" + strings.Repeat("x", 500) + "</a>", "<a b='" + strings.Repeat("x", 500) + "'/>"} {
		for _, step := range []int{1, 3, 7, 100} {
			if _, err := tokens(newSize(&picky{strings.NewReader(in), step}, 80)); err == errNoRoom {
				t.Errorf("%.20s, %d bytes at a time: %v", in, step, err)
			}
		}
	}
}

var errNoRoom = errors.New("no room")

type picky struct {
	in   io.Reader
	step int
}

func (r *picky) Read(p []byte) (int, error) {
	if len(p) < MinRead {
		return 0, errNoRoom
	}
	return r.in.Read(p[:min(len(p), r.step)])
}

type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.text[e.at:])
	e.at = (e.at + n) % len(e.text)
	return n, nil
}
