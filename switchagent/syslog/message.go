// Package syslog hears from a switch that something came up on one of its ports: Junos' messages of
// links and of LLDP neighbours, in the forms of RFC 3164 and RFC 5424, over UDP and TCP. A message is
// a hint to look and nothing more: nothing that it says is believed.
package syslog

import (
	"bytes"
	"regexp"
)

// up is the messages of interest, by the names that Junos gives them ("System Log Explorer"). There is
// none for a new IPv6 neighbour.
var up = [][]byte{[]byte("SNMP_TRAP_LINK_UP"), []byte("LLDP_NEIGHBOR_UP")}

// port finds the interface: "ifName ge-0/0/1.0" in text, interface-name="ge-0/0/1" in structured data,
// "for interface ge-0/0/1" in LLDP's.
var port = regexp.MustCompile(`(?:ifName[ =]"?|interface-name="|interface )([a-z][a-z0-9/:-]{0,31}(?:\.[0-9]{1,10})?)`)

// Parse returns the interface that a message says has come up, "" if it says nothing like that. Where
// the message begins and what is before its name does not matter: releases and relays differ there.
func Parse(message []byte) (ifname string) {
	for _, name := range up {
		at := bytes.Index(message, name)
		if at < 0 {
			continue
		}
		found := port.FindSubmatch(message[at+len(name):])
		if found != nil && bytes.ContainsAny(found[1], "0123456789") {
			return string(bytes.TrimRight(found[1], ":/-"))
		}
	}
	return ""
}
