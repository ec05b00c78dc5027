package inventory

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// noDefault stands for the agent's own check.
func noDefault(p netip.Prefix) error {
	if p.Bits() == 0 {
		return errors.New("no default route")
	}
	return nil
}

const good = `# the rack, from left to right
port,       server, as,               prefixes,                     shared,      mac,                                   key_file
ge-0/0/1.0, bms1,   4200000017,       10.0.0.1/32 2001:db8::1/128,  10.9.9.9/32, 52:54:00:00:01:01 52-54-00-00-01-AA,   /etc/switchagent/bms1.key
ge-0/0/2.0, bms2,   4200000018 64512, 10.0.0.2/32,                  10.9.9.9/32, ,
"ge-0/0/3.0", bms2, 4200000018,       10.0.0.2/32,                  "",          ,
et-0/0/4:1.0, idle, 64513,            ,                             ,            ,
`

func TestParse(t *testing.T) {
	inv, err := Parse("rack.csv", []byte(good), noDefault)
	if err != nil {
		t.Fatal(err)
	}
	one := Entry{
		Port: "ge-0/0/1.0", Server: "bms1", AS: []uint32{4200000017}, Line: 3,
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("2001:db8::1/128")},
		Shared:   []netip.Prefix{netip.MustParsePrefix("10.9.9.9/32")},
		MACs:     []string{"52:54:00:00:01:01", "52:54:00:00:01:aa"}, KeyFile: "/etc/switchagent/bms1.key",
	}
	got, ok := inv.Port("ge-0/0/1.0")
	if diff := cmp.Diff(one, got, cmpopts.EquateComparable(netip.Prefix{})); !ok || diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !got.Expects("52:54:00:00:01:AA") || got.Expects("52:54:00:00:01:02") || len(got.Announced()) != 3 {
		t.Errorf("MACs or prefixes of %+v", got)
	}
	if e, _ := inv.Port("et-0/0/4:1.0"); !e.Expects("anything") || len(e.Announced()) != 0 {
		t.Errorf("an entry with nothing: %+v", e)
	}
	if _, ok := inv.Port("ge-0/0/9.0"); ok || len(inv.Entries()) != 4 {
		t.Error("there is a port that is not listed")
	}
	var none *Inventory
	if _, ok := none.Port("ge-0/0/1.0"); ok || none.Entries() != nil || len(inv.Missing(none)) != 4 {
		t.Error("no inventory has a port")
	}
}

func TestParseRefuses(t *testing.T) {
	const head = "port,server,as,prefixes,shared,mac\n"
	const row = "ge-0/0/1.0,bms1,64512,10.0.0.1/32,,\n"
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "f: it is empty; a first row such as port,server,as,"},
		{"no rows", head, "f: no port is listed"},
		{"no header", "ge-0/0/1.0,bms1,64512\n", `f:1:1: "ge-0/0/1.0" is no column; allowed: port, server, as, prefixes, shared, mac, key_file`},
		{"column twice", "port,server,as,as\n", `f:1:16: column "as" is there twice`},
		{"column missing", "port,server\n", `f:1:1: column "as" is missing`},
		{"quotation mark", head + `ge-0/0/1.0,b"ms1,64512` + "\n", `f:2:13: bare "`},
		{"fields missing", head + "ge-0/0/1.0,bms1,64512\n", "f:2:1: the row has 3 fields; the first row names 6 columns"},
		{"port twice", head + row + row, `f:3:1: port: "ge-0/0/1.0" is on line 2 already`},
		{"no port", head + "ge-0/0/1,bms1,64512,,,\n", `f:2:1: port: "ge-0/0/1" is no logical interface; one such as ge-0/0/1.0`},
		{"server", head + "ge-0/0/1.0,b ms,64512,,,\n", `f:2:12: server: "b ms" is not allowed`},
		{"as missing", head + "ge-0/0/1.0,bms1,,,,\n", "f:2:17: as: it is missing"},
		{"as", head + "ge-0/0/1.0,bms1,x 0 4294967296 23456 1 1,,,\n", `f:2:17: as: "x" is not allowed; 1 to 4294967294 is wanted
f:2:17: as: "0" is not allowed; 1 to 4294967294 is wanted
f:2:17: as: "4294967296" is not allowed; 1 to 4294967294 is wanted
f:2:17: as: 23456 is reserved; another of 1 to 4294967294 is wanted
f:2:17: as: 1 is there twice`},
		{"prefix", head + "ge-0/0/1.0,bms1,64512,10.0.0.1 0.0.0.0/0,,\n", `f:2:23: prefixes: "10.0.0.1" is no prefix; one such as 10.0.0.1/32`},
		{"default", head + "ge-0/0/1.0,bms1,64512,,0.0.0.0/0,\n", "f:2:24: shared: no default route"},
		{"mac", head + "ge-0/0/1.0,bms1,64512,,,ff:ff:ff:ff:ff:ff\n", `f:2:25: mac: "ff:ff:ff:ff:ff:ff" is no MAC address of a machine`},
		{"another's prefix", head + row + "ge-0/0/2.0,bms2,64513,10.0.0.1/32,,\n", "f:3: 10.0.0.1/32 of bms2 is that, which bms1 has on line 2; only the same prefix, in the column shared of both"},
		{"shared by one only", head + row + "ge-0/0/2.0,bms2,64513,,10.0.0.1/32,\n", "10.0.0.1/32 of bms2"},
		{"around another's", head + row + "ge-0/0/2.0,bms2,64513,10.0.0.0/24,,\n", "f:2: 10.0.0.1/32 of bms1 is within 10.0.0.0/24, which bms2 has on line 3"},
		{"within a shared one", head + "ge-0/0/1.0,bms1,64512,,10.0.0.0/24,\nge-0/0/2.0,bms2,64513,,10.0.0.7/32,\n", "f:3: 10.0.0.7/32 of bms2 is within"},
	} {
		inv, err := Parse("f", []byte(tt.text), noDefault)
		if err == nil || inv != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v\nwant %s", tt.name, err, tt.want)
		}
	}
}

// TestParseIsBounded: a table of nonsense is refused in a few lines.
func TestParseIsBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString("port,server,as\n")
	for i := range 3 * maxEntries {
		fmt.Fprintf(&text, "ge-0/0/%d.0,bms,64512\n", i)
	}
	if _, err := Parse("f", []byte(text.String()), noDefault); err == nil || !strings.Contains(err.Error(), "more than 10000 ports") {
		t.Errorf("too many ports: %v", err)
	}
	bad := "port,server,as\n" + strings.Repeat("x,,\n", 1000)
	if _, err := Parse("f", []byte(bad), noDefault); err == nil || strings.Count(err.Error(), "\n") > maxErrors || !strings.Contains(err.Error(), "more") {
		t.Errorf("a thousand errors: %v", err)
	}
	if _, err := Parse("f", make([]byte, maxFile+1), noDefault); err == nil {
		t.Error("a file that is too large is read")
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rack.csv")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := NewFile(path, noDefault)
	want := func(when string, ports int, problem string) {
		t.Helper()
		inv, err := f.Refresh()
		if (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) || len(inv.Entries()) != ports {
			t.Errorf("%s: %d ports, %v; want %d, %q", when, len(inv.Entries()), err, ports, problem)
		}
	}
	want("no file", 0, "no such file")
	write(good)
	want("written", 4, "")
	want("as it was", 0, "")
	same := strings.Replace(good, "10.0.0.1/32", "10.0.0.7/32", 1) // as long, and maybe within the clock's step
	write(same)
	want("changed", 4, "")
	write("port\n")
	want("broken", 0, ":1:1:")
	want("still broken", 0, ":1:1:")
	write(same)
	want("mended", 4, "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	want("gone", 0, "no such file")
	write(same)
	want("back", 4, "")
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("port,server,as\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		inv, err := Parse("f", []byte(text), noDefault)
		if err != nil && (inv != nil || len(err.Error()) > 1<<20+len(text)*8) {
			t.Errorf("%d ports and an error of %d bytes", len(inv.Entries()), len(err.Error()))
		}
		owner := map[netip.Prefix]string{}
		for _, e := range inv.Entries() {
			if found, ok := inv.Port(e.Port); !ok || found.Line != e.Line || len(e.AS) == 0 {
				t.Errorf("%+v is not found, or is not whole", e)
			}
			for _, p := range e.Prefixes {
				if other := owner[p]; other != "" && other != e.Server || p.Bits() == 0 {
					t.Errorf("%s is of %s and %s", p, other, e.Server)
				}
				owner[p] = e.Server
			}
		}
	})
}

// TestPipe: who opens one waits until somebody writes to it, and that may be never.
func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rack.csv")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f := NewFile(path, noDefault)
	read := make(chan error, 1)
	go func() {
		_, err := f.Refresh()
		read <- err
	}()
	select {
	case err := <-read:
		if err == nil || !strings.Contains(err.Error(), "it is a pipe; a regular file is wanted") {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it waits for somebody to write")
	}
	for _, other := range []string{filepath.Dir(path), os.DevNull} {
		if _, err := NewFile(other, noDefault).Refresh(); err == nil {
			t.Errorf("%s is read", other)
		}
	}
}
