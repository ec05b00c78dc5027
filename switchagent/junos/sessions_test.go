package junos

import (
	"errors"
	"strings"
	"testing"
)

// TestSessionsThatAreNotAll: what is missing of the table, or cannot be read, is an error.
func TestSessionsThatAreNotAll(t *testing.T) {
	const one = `<bgp-peer><peer-address>10.0.0.1</peer-address><peer-state>Established</peer-state></bgp-peer>`
	for name, tt := range map[string]struct {
		reply string
		want  string // in the error
	}{
		"1 of 40":             {`<bgp-information><peer-count>40</peer-count>` + one + `</bgp-information>`, "peer-count is 40, 1 peers came"},
		"none of 40":          {`<bgp-information><peer-count>40</peer-count></bgp-information>`, "0 peers came"},
		"short second engine": {`<a><bgp-information><peer-count>1</peer-count>` + one + `</bgp-information></a><b><bgp-information><peer-count>2</peer-count>` + one + `</bgp-information></b>`, "peer-count is 2"},
		"short first engine":  {`<a><bgp-information><peer-count>2</peer-count>` + one + `</bgp-information></a><b><bgp-information><peer-count>1</peer-count>` + one + `</bgp-information></b>`, "peer-count is 2"},
		"unreadable, up":      {`<bgp-information>` + strings.Replace(one, "10.0.0.1", "server1", 1) + `</bgp-information>`, `"server1" is no address`},
		"unreadable, down":    {`<bgp-information>` + strings.NewReplacer("10.0.0.1", "unspecified", "Established", "Idle").Replace(one) + `</bgp-information>`, ""},
		"whole":               {`<bgp-information><peer-count>1</peer-count>` + one + `</bgp-information>`, ""},
		"no count":            {`<bgp-information>` + one + `</bgp-information>`, ""},
	} {
		d := &device{t: t, replies: map[string][]string{"get-bgp-summary-information": {tt.reply}}}
		sessions, err := d.client().Sessions(t.Context())
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || len(sessions) > 0) {
			t.Errorf("%s: %v, %v, want %q", name, sessions, err, tt.want)
		}
		if strings.Contains(tt.want, "came") && !errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %v is not ErrTruncated", name, err)
		}
	}
}
