package netconf

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const wrapper = `<rpc-reply xmlns="urn:ietf:params:xml:ns:netconf:base:1.0" xmlns:junos="http://xml.juniper.net/junos/20.2R0/junos" message-id="1">%s</rpc-reply>`

// nestedError is what a box answered to a load with an unknown statement (15.1X49).
const nestedError = `<load-configuration-results>
<rpc-error><error-type>protocol</error-type><error-tag>operation-failed</error-tag><error-severity>error</error-severity>
<error-message>
syntax error
</error-message><error-info><bad-element>lldp</bad-element></error-info></rpc-error>
<load-error-count>1</load-error-count></load-configuration-results>`

// malformedCommit is what a cluster answered to a good commit (25.4R1.12, rfc-compliant).
const malformedCommit = `<nc:rpc-reply  xmlns:junos="http://xml.juniper.net/junos/25.4R1.12/junos" xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0" message-id="1">
<routing-engine junos:style="show-name">
<name>node1</name>
<commit-check-success/>
<nc:ok/>
</nc:rpc-reply>
`

func warning(text string) string {
	return "<rpc-error><error-severity>warning</error-severity><error-message>" + text + "</error-message></rpc-error>"
}

// replies is what a device may answer to a call whose message-id is 1.
var replies = []struct {
	name     string
	in       string
	ok       bool
	warnings string // joined by |
	refused  string // part of the text of the ReplyError
	broken   bool
}{
	{name: "ok", in: fmt.Sprintf(wrapper, "<ok/>"), ok: true},
	{name: "empty", in: fmt.Sprintf(wrapper, "")},
	{name: "prefix", in: `<nc:rpc-reply xmlns:nc="x" message-id="1"><nc:ok/></nc:rpc-reply>`, ok: true},
	{name: "comments and text", in: "\ufeff<!-- keepalive --> \x00\x08" + fmt.Sprintf(wrapper, "Non-existant dump device<ok/>") + "<!-- session end -->", ok: true},
	{name: "commit-success inside", in: fmt.Sprintf(wrapper, "<commit-results><routing-engine><name>re0</name><commit-success/></routing-engine></commit-results>"), ok: true},
	{name: "malformed commit", in: malformedCommit, ok: true},
	{name: "malformed commit with an error", in: strings.Replace(malformedCommit, "<nc:ok/>", "<nc:rpc-error><nc:error-severity>error</nc:error-severity><nc:error-message>boom</nc:error-message></nc:rpc-error>", 1), refused: "boom"},
	{name: "warning only", in: fmt.Sprintf(wrapper, warning("\nuncommitted changes will be discarded on exit\n")), warnings: "uncommitted changes will be discarded on exit"},
	{name: "warning and ok", in: fmt.Sprintf(wrapper, "<load-configuration-results>"+warning("statement not found")+"<ok/></load-configuration-results>"), ok: true, warnings: "statement not found"},
	{name: "nested error", in: fmt.Sprintf(wrapper, nestedError), refused: "refused: syntax error (element lldp)"},
	{name: "error beside ok", in: fmt.Sprintf(wrapper, nestedError+"<ok/>"), refused: "syntax error"},
	{name: "error without severity", in: fmt.Sprintf(wrapper, "<rpc-error><error-tag>lock-denied</error-tag></rpc-error>"), refused: "rpc-error lock-denied"},
	{name: "xnm error", in: fmt.Sprintf(wrapper, `<xnm:error xmlns:xnm="http://xml.juniper.net/xnm/1.1/xnm"><source-daemon>dcd</source-daemon><edit-path>[edit x]</edit-path><message>bad</message></xnm:error>`), refused: "bad (at [edit x]) (from dcd)"},
	{name: "xnm warning", in: fmt.Sprintf(wrapper, `<xnm:warning xmlns:xnm="http://xml.juniper.net/xnm/1.1/xnm"><message>w</message></xnm:warning><ok/>`), ok: true, warnings: "w"},
	{name: "xnm error without declaration", in: fmt.Sprintf(wrapper, `<xnm:error><message>bad</message></xnm:error><ok/>`), refused: "bad"},
	{name: "deep", in: fmt.Sprintf(wrapper, strings.Repeat("<a>", 1000)+strings.Repeat("</a>", 1000)), broken: true},
	{name: "another element named error", in: fmt.Sprintf(wrapper, "<input><error>3</error></input><ok/>"), ok: true},
	{name: "error without message-id", in: "<rpc-reply>" + nestedError + "</rpc-reply>", refused: "syntax error"},
	{name: "no message-id", in: "<rpc-reply><ok/></rpc-reply>", broken: true},
	{name: "foreign message-id", in: `<rpc-reply message-id="2"><ok/></rpc-reply>`, broken: true},
	{name: "foreign message-id with an error", in: `<rpc-reply message-id="2">` + nestedError + `</rpc-reply>`, broken: true},
	{name: "notification", in: "<notification/>", broken: true},
	{name: "cut off", in: fmt.Sprintf(wrapper, "<ok/>")[:140], broken: true},
	{name: "cut off in a routing-engine", in: strings.TrimSuffix(malformedCommit, "</nc:rpc-reply>\n"), broken: true},
	{name: "not xml", in: "syntax error, expecting <command>", broken: true},
	{name: "nothing", in: "", broken: true},
	{name: "document type", in: `<!DOCTYPE x [<!ENTITY e "y">]>` + fmt.Sprintf(wrapper, "<ok/>"), broken: true},
	{name: "entity", in: fmt.Sprintf(wrapper, "&e;<ok/>"), broken: true},
}

func TestReadReply(t *testing.T) {
	for _, tt := range replies {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole":        strings.NewReader(tt.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
			} {
				reply, err := Call{Body: "<x/>"}.ReadReply(r, "1")
				var refused *ReplyError
				if tt.broken != errors.Is(err, errReply) || (tt.refused != "") != errors.As(err, &refused) {
					t.Fatalf("%s: unexpected error %v", name, err)
				}
				if refused != nil && !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("%s: %q, want %q in it", name, err, tt.refused)
				}
				var warnings []string
				for _, w := range reply.Warnings {
					warnings = append(warnings, w.Message)
				}
				if reply.OK != tt.ok || strings.Join(warnings, "|") != tt.warnings {
					t.Errorf("%s: got %+v, want ok %v and warnings %q", name, reply, tt.ok, tt.warnings)
				}
			}
		})
	}
}

func TestReadReplyErrorsOfTheReader(t *testing.T) {
	cut := errors.New("cable pulled")
	in := io.MultiReader(strings.NewReader(fmt.Sprintf(wrapper, "<ok/>")[:140]), iotest.ErrReader(cut))
	for _, elements := range []map[string]Element{nil, {"x": nil}} {
		if _, err := (Call{Elements: elements}).ReadReply(in, "1"); !errors.Is(err, cut) {
			t.Errorf("got %v, want the error of the reader", err)
		}
	}
}

// TestReadReplyElements: tables are found at any depth, in any namespace, and containers that
// are only marked are entered.
func TestReadReplyElements(t *testing.T) {
	in := fmt.Sprintf(wrapper, `<multi-routing-engine-results>
<multi-routing-engine-item><re-name>re0</re-name><j:table xmlns:j="x"><j:row>a</j:row><j:row>b&amp;</j:row><total>2</total></j:table></multi-routing-engine-item>
<multi-routing-engine-item><re-name>re1</re-name><table><row>Z\xfcrich</row></table></multi-routing-engine-item>
</multi-routing-engine-results>`)
	in = strings.ReplaceAll(in, `\xfc`, "\xfc")
	var got []string
	collect := func(decode func(any) error) error {
		var text string
		err := decode(&text)
		got = append(got, text)
		return err
	}
	_, err := Call{Elements: map[string]Element{
		"table": func(func(any) error) error { got = append(got, "table"); return nil },
		"row":   collect, "total": collect,
	}}.ReadReply(strings.NewReader(in), "1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"table", "a", "b&", "2", "table", "Z?rich"}, got); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
}

func TestCallName(t *testing.T) {
	for body, want := range map[string]string{
		"<get-ipv6-nd-information/>":               "get-ipv6-nd-information",
		` <load-configuration action="merge"><x/>`: "load-configuration",
		"<commit-configuration><x/>":               "commit-configuration",
		"":                                         "",
	} {
		if got := (Call{Body: body}).Name(); got != want {
			t.Errorf("%q: got %q, want %q", body, got, want)
		}
	}
}

// FuzzReadReply: no reply panics, and what is read does not depend on how it arrives.
func FuzzReadReply(f *testing.F) {
	f.Add(fmt.Sprintf(wrapper, nestedError), true)
	f.Add(fmt.Sprintf(wrapper, "<a><row>1</row></a><ok/>"), true)
	f.Add(malformedCommit, false)
	f.Fuzz(func(t *testing.T, in string, table bool) {
		read := func(r io.Reader) string {
			call := Call{}
			var rows []string
			if table {
				call.Elements = map[string]Element{"row": func(decode func(any) error) error {
					var row string
					err := decode(&row)
					rows = append(rows, row)
					return err
				}}
			}
			reply, err := call.ReadReply(r, "1")
			return fmt.Sprintf("%q %+v %v", rows, reply, err)
		}
		whole, dribbled := read(strings.NewReader(in)), read(iotest.OneByteReader(strings.NewReader(in)))
		if whole != dribbled {
			t.Errorf("whole: %s; byte by byte: %s", whole, dribbled)
		}
	})
}
