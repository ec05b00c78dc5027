package junos

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

type readWriter struct {
	io.Reader
	io.Writer
}

// messages reads all messages of a stream.
func messages(stream string, chunked bool) (out []string, err error) {
	f := newFramer(readWriter{iotest.OneByteReader(strings.NewReader(stream)), io.Discard})
	f.chunked = chunked
	for {
		m, err := f.read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, string(m))
	}
}

func TestFraming(t *testing.T) {
	for name, test := range map[string]struct {
		stream  string
		chunked bool
		want    []string
		err     string
	}{
		"two messages":      {"<a/>]]>]]>\n<b>]]></b>]]>]]>", false, []string{"<a/>", "\n<b>]]></b>"}, ""},
		"cut off":           {"<a/>]]>]]", false, nil, "unexpected EOF"},
		"chunks":            {"\n#4\n<a/>\n##\n\n#2\n\n#\n#1\n#\n##\n", true, []string{"<a/>", "\n##"}, ""},
		"extra line breaks": {"\n\n#4\n<a/>\n##\n\n", true, []string{"<a/>"}, ""},
		"no header":         {"<a/>", true, nil, "want a line break"},
		"size 0":            {"\n#0\n", true, nil, `unexpected '0'`},
		"not a size":        {"\n#x\n", true, nil, `unexpected 'x'`},
		"no chunk":          {"\n##\n", true, nil, `unexpected '#'`},
		"too long":          {"\n#99999999\n", true, nil, "longer than"},
		"cut chunk":         {"\n#9\n<a/>", true, nil, "chunk of 9 bytes"},
		"cut header":        {"\n#9", true, nil, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := messages(test.stream, test.chunked)
			if strings.Join(got, "|") != strings.Join(test.want, "|") {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
}

// FuzzFraming writes what it reads and reads that again.
func FuzzFraming(f *testing.F) {
	f.Add("<a/>]]>]]><b/>]]>]]>", false)
	f.Add("\n#4\n<a/>\n##\n", true)
	f.Fuzz(func(t *testing.T, stream string, chunked bool) {
		got, _ := messages(stream, chunked)
		var written bytes.Buffer
		w := newFramer(readWriter{strings.NewReader(""), &written})
		w.chunked, w.longest = true, len(stream)%5 // takes any content
		for _, m := range got {
			if m == "" {
				return // what no server sends
			}
			// In two parts, as long replies are.
			err := errors.Join(w.part([]byte(m[:len(m)/2])), w.part([]byte(m[len(m)/2:])), w.end())
			if err != nil {
				t.Fatal(err)
			}
		}
		again, err := messages(written.String(), true)
		if err != nil || strings.Join(again, "|") != strings.Join(got, "|") {
			t.Errorf("read %q, wrote and read %q (%v)", got, again, err)
		}
	})
}
