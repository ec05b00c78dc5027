package nd

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/ndp"
)

var (
	leaf = netip.MustParseAddr("fe80::1%eth0")
	mac  = net.HardwareAddr{2, 0, 0, 0, 0, 1}
)

func marshal(t testing.TB, m ndp.Message) []byte {
	t.Helper()
	b, err := ndp.MarshalMessage(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sourceOf(mac net.HardwareAddr) ndp.Option {
	return &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac}
}

// samples is messages as the ndp package writes them.
type samples struct {
	full, bare []byte // advertisements
	solicit    []byte
}

func newSamples(t *testing.T) samples {
	t.Helper()
	return samples{
		full: marshal(t, &ndp.RouterAdvertisement{
			RouterLifetime: 1800 * time.Second,
			Options: []ndp.Option{
				ndp.NewMTU(9000),
				sourceOf(mac),
				&ndp.PrefixInformation{PrefixLength: 64, Prefix: netip.MustParseAddr("2001:db8::")},
			},
		}),
		bare:    marshal(t, &ndp.RouterAdvertisement{}),
		solicit: marshal(t, &ndp.RouterSolicitation{Options: []ndp.Option{sourceOf(mac)}}),
	}
}

// arrival is a datagram from the leaf that was not forwarded, unless it says otherwise.
type arrival struct {
	body     []byte
	source   netip.Addr
	hopLimit int
	want     message
	err      error
}

func (a arrival) test(t *testing.T) {
	d := datagram{body: a.body, source: leaf, hopLimit: 255}
	if a.source.IsValid() {
		d.source = a.source
	}
	if a.hopLimit != 0 {
		d.hopLimit = a.hopLimit
	}
	got, err := parse(d)
	if !errors.Is(err, a.err) {
		t.Fatalf("error %v, want %v", err, a.err)
	}
	if err != nil {
		return
	}
	if diff := cmp.Diff(a.want, got, cmp.AllowUnexported(message{})); diff != "" {
		t.Error(diff)
	}
}

func TestParse(t *testing.T) {
	m := newSamples(t)
	// 33 units of 8 bytes: more than the length of one option fits into a byte.
	long := append(bytes.Clone(m.bare), make([]byte, 33*8)...)
	long[16], long[17] = 200, 33

	odd := append(bytes.Clone(m.bare), make([]byte, 16)...) // an MTU option is 8 bytes long
	odd[16], odd[17] = 5, 2

	for name, test := range map[string]arrival{
		"advertisement":             {body: m.full, want: message{lifetime: 30 * time.Minute, mac: mac}},
		"without options":           {body: m.bare},
		"long unknown option":       {body: long},
		"odd option that we ignore": {body: odd},
		"second source is ignored":  {body: append(bytes.Clone(m.full), 1, 1, 9, 9, 9, 9, 9, 9), want: message{lifetime: 30 * time.Minute, mac: mac}},
		"solicitation":              {body: m.solicit, want: message{kind: solicitation, mac: mac}},
		"solicitation from nobody":  {body: m.solicit[:8], source: netip.IPv6Unspecified(), want: message{kind: solicitation}},
	} {
		t.Run(name, test.test)
	}
}

func TestParseRefuses(t *testing.T) {
	m := newSamples(t)
	edit := func(b []byte, at int, to byte) []byte {
		b = bytes.Clone(b)
		b[at] = to
		return b
	}
	for name, test := range map[string]arrival{
		"nobody with a MAC":            {body: m.solicit, source: netip.IPv6Unspecified(), err: errSource},
		"forwarded":                    {body: m.full, hopLimit: 254, err: errHopLimit},
		"global source":                {body: m.full, source: netip.MustParseAddr("2001:db8::1"), err: errSource},
		"code":                         {body: edit(m.full, 1, 1), err: errCode},
		"neighbour solicitation":       {body: edit(m.full, 0, 135), err: errType},
		"empty":                        {body: []byte{}, err: errLength},
		"seven bytes":                  {body: m.solicit[:7], err: errLength},
		"advertisement of 15 bytes":    {body: m.bare[:15], err: errLength},
		"option of length 0":           {body: edit(m.full, 17, 0), err: errOption},
		"option beyond the end":        {body: edit(m.full, 17, 40), err: errOption},
		"one byte of an option":        {body: m.full[:17], err: errOption},
		"solicitation's option length": {body: edit(m.solicit, 9, 0), err: errOption},
	} {
		t.Run(name, test.test)
	}
}

// What the ndp package takes we must take too, and read the same in it.
func FuzzParse(f *testing.F) {
	f.Add(marshal(f, &ndp.RouterAdvertisement{
		RouterLifetime: time.Hour, Options: []ndp.Option{sourceOf(mac), ndp.NewMTU(1500)},
	}))
	f.Add(marshal(f, &ndp.RouterSolicitation{Options: []ndp.Option{sourceOf(mac)}}))
	f.Add([]byte{134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parse(datagram{body: body, source: leaf, hopLimit: 255})
		want, wantErr := ndp.ParseMessage(body)
		if wantErr != nil || len(body) < solicitationLen || body[1] != 0 {
			return
		}
		switch want := want.(type) {
		case *ndp.RouterAdvertisement:
			if err != nil || got.kind != advertisement || got.lifetime != want.RouterLifetime {
				t.Fatalf("%+v, %v; ndp reads %+v", got, err, want)
			}
		case *ndp.RouterSolicitation:
			if err != nil || got.kind != solicitation {
				t.Fatalf("%+v, %v; ndp reads %+v", got, err, want)
			}
		}
	})
}
