package netconf

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll reads messages until the stream ends.
func readAll(r io.Reader, chunked bool, max int64) (msgs []string, err error) {
	f := framer{in: bufio.NewReaderSize(r, 64), chunked: chunked, max: max}
	for {
		msg, err := io.ReadAll(f.message())
		if err != nil {
			return msgs, err
		}
		msgs = append(msgs, string(msg))
	}
}

func TestFramingReads(t *testing.T) {
	tests := []struct {
		name    string
		chunked bool
		in      string
		want    []string
		err     error
	}{
		{"one", false, "<a/>]]>]]>", []string{"<a/>"}, io.ErrUnexpectedEOF},
		{"two in one read", false, "<a/>]]>]]><b/>]]>]]>", []string{"<a/>", "<b/>"}, io.ErrUnexpectedEOF},
		{"empty message", false, "]]>]]>", []string{""}, io.ErrUnexpectedEOF},
		{"nearly a delimiter", false, "]]>]]]>]]]]>]]>", []string{"]]>]]]>]]"}, io.ErrUnexpectedEOF},
		{"cut in the delimiter", false, "<a/>]]>]]", nil, io.ErrUnexpectedEOF},
		{"too large", false, strings.Repeat("x", 300) + "]]>]]>", nil, errTooLarge},
		{"one chunk", true, "\n#4\n<a/>\n##\n", []string{"<a/>"}, io.ErrUnexpectedEOF},
		{"three chunks", true, "\n#1\n<\n#2\na/\n#1\n>\n##\n\n#1\nb\n##\n", []string{"<a/>", "b"}, io.ErrUnexpectedEOF},
		{"framing bytes in data", true, "\n#9\n\n##\n\n#4\n\n\n##\n", []string{"\n##\n\n#4\n\n"}, io.ErrUnexpectedEOF},
		{"line feed after the hello", true, "\n\n\n#4\n<a/>\n##\n", []string{"<a/>"}, io.ErrUnexpectedEOF},
		{"line feed between chunks", true, "\n#2\n<a\n\n#2\n/>\n##\n", nil, errFraming},
		{"delimiter of 1.0", true, "<a/>]]>]]>", nil, errFraming},
		{"size zero", true, "\n#0\n\n##\n", nil, errFraming},
		{"leading zero", true, "\n#04\n<a/>\n##\n", nil, errFraming},
		{"signed size", true, "\n#+4\n<a/>\n##\n", nil, errFraming},
		{"size above 32 bits", true, "\n#4294967296\n", nil, errFraming},
		{"endless size", true, "\n#" + strings.Repeat("1", 50), nil, errFraming},
		{"no line feed", true, "#4\n<a/>", nil, errFraming},
		{"cut in a chunk", true, "\n#400\n<a/>", nil, io.ErrUnexpectedEOF},
		{"cut before the end", true, "\n#4\n<a/>", nil, io.ErrUnexpectedEOF},
		{"huge size, few bytes", true, "\n#4294967295\n<a/>", nil, io.ErrUnexpectedEOF},
		{"too large in chunks", true, strings.Repeat("\n#100\n"+strings.Repeat("x", 100), 3), nil, errTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole":        strings.NewReader(tt.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
			} {
				got, err := readAll(r, tt.chunked, 256)
				if !errors.Is(err, tt.err) || strings.Join(got, "|") != strings.Join(tt.want, "|") {
					t.Errorf("%s: got %q, %v; want %q, %v", name, got, err, tt.want, tt.err)
				}
			}
		})
	}
}

// FuzzFraming: no input panics or hangs, and what is read does not depend on how it arrives.
func FuzzFraming(f *testing.F) {
	f.Add([]byte("<a/>]]>]]><b>]]>]</b>]]>]]>"), false)
	f.Add([]byte("\n#4\n<a/>\n##\n\n#1\nx\n#2\nyz\n##\n"), true)
	f.Add([]byte("\n#4294967295\n<a/>"), true)
	f.Fuzz(func(t *testing.T, in []byte, chunked bool) {
		want, wantErr := readAll(bytes.NewReader(in), chunked, 1<<16)
		got, gotErr := readAll(iotest.OneByteReader(bytes.NewReader(in)), chunked, 1<<16)
		if strings.Join(want, "\x00") != strings.Join(got, "\x00") || wantErr.Error() != gotErr.Error() {
			t.Errorf("whole: %q, %v; byte by byte: %q, %v", want, wantErr, got, gotErr)
		}
	})
}

// FuzzFramingRoundTrip: what is sent is what is read.
func FuzzFramingRoundTrip(f *testing.F) {
	f.Add([]byte("<a>\n##\n</a>"), true)
	f.Add([]byte("<a>]]>]]</a>"), false)
	f.Fuzz(func(t *testing.T, msg []byte, chunked bool) {
		if chunked && len(msg) == 0 || !chunked && bytes.Contains(append(msg, endOfMessage[:5]...), endOfMessage) {
			t.Skip("cannot be framed")
		}
		var wire bytes.Buffer
		out := framer{out: &wire, chunked: chunked}
		if err := out.send(msg); err != nil {
			t.Fatal(err)
		}
		got, _ := readAll(&wire, chunked, 1<<20)
		if len(got) != 1 || got[0] != string(msg) {
			t.Errorf("sent %q, read %q", msg, got)
		}
	})
}
