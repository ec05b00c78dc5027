package hostagent

import (
	"testing"
	"testing/synctest"
)

func TestAddressesOnLoopback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth*")
		w.addresses("10.0.1.1/32", "c0d1::1/128")
		w.expect(t, "source 10.0.1.1 c0d1::1", "announce 10.0.1.1/32 c0d1::1/128")
		w.addresses("10.0.1.1/32", "192.168.0.250/32", "c0d1::1/128")
		w.expect(t, "announce 10.0.1.1/32 192.168.0.250/32 c0d1::1/128")
		w.addresses("10.0.0.53/32", "10.0.1.1/32", "c0d1::1/128")
		w.expect(t, "announce 10.0.0.53/32 10.0.1.1/32 c0d1::1/128") // the router ID stays the source
		w.addresses("10.0.0.53/32", "c0d1::1/128")
		w.expect(t, "source 10.0.0.53 c0d1::1", "announce 10.0.0.53/32 c0d1::1/128")
		w.addresses("c0d1::1/128")
		w.expect(t, "source invalid IP c0d1::1", "announce c0d1::1/128")
		w.broken = true
		w.addresses("10.0.1.1/32")
		w.repair(w.ctx)
		w.expect(t)
		w.broken = false
		w.repair(w.ctx)
		w.expect(t, "source 10.0.1.1 invalid IP", "announce 10.0.1.1/32")
		w.repair(w.ctx)
		w.expect(t)
	})
}

func TestAnnouncedPrefixesAreNotRouted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.addresses("10.0.1.1/32", "10.0.2.2/32") // an anycast address that the other server has too
		w.expect(t, "source 10.0.1.1 invalid IP", "announce 10.0.1.1/32 10.0.2.2/32", "route 10.0.2.2/32 via")
		w.addresses("10.0.1.1/32")
		w.expect(t, "announce 10.0.1.1/32", "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
	})
}
