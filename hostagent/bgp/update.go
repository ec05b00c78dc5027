package bgp

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// A decoder decodes the UPDATE messages of one session.
type decoder struct {
	families []bgp.Family // of the session
	awaited  []bgp.Family // those whose End-of-RIB marker has not come yet
	asSize   int          // of an AS number in AS_PATH: 4 bytes, or 2 (RFC 6793)
}

func newDecoder(theirs open) decoder {
	d := decoder{families: theirs.families(), awaited: theirs.families(), asSize: 4}
	if !theirs.fourOctetAS {
		d.asSize = 2
	}
	return d
}

// action is what becomes of an UPDATE with an error that does not end the
// session (RFC 7606 section 2), mildest first.
type action uint8

const (
	noAction          action = iota
	discardAttribute         // it is read as if the attribute were not there
	treatAsWithdrawal        // all that it announces is withdrawn
)

func (a action) String() string {
	return [...]string{"none", "attribute discarded", "treated as withdrawal"}[a]
}

// fault is an error in an UPDATE and what it was met with.
type fault struct {
	action action
	why    string
}

// decode reads the body of an UPDATE message (RFC 4271 section 4.3). The fault
// is the gravest of the errors in it that the session survives; the error, a
// *notification, is one that it does not.
//
// The result shares no memory with body. Its Peer is not filled in.
func (d *decoder) decode(body []byte) (Update, fault, error) {
	withdrawn, rest, ok := cutField(body)
	attributes, announced, complete := cutField(rest)
	if !ok || !complete {
		return Update{}, fault{}, resetSession(subAttributeList, nil, "the fields of an UPDATE are longer than it")
	}
	p := parsing{decoder: d}
	p.withdrawn[0] = nlri{family: bgp.RF_IPv4_UC, bytes: withdrawn}
	p.announced[0] = nlri{family: bgp.RF_IPv4_UC, bytes: announced}
	if err := p.attributes(attributes); err != nil {
		return Update{}, fault{}, err
	}
	if err := p.checkPrefixes(); err != nil {
		return Update{}, fault{}, err
	}
	if p.reaches() {
		p.checkMandatory()
	} else if p.fault.action == treatAsWithdrawal {
		// RFC 7606 section 5.2: what it was to announce may be what could not
		// be read.
		return Update{}, fault{}, resetSession(subAttributeList, nil, p.fault.why+" in an UPDATE without routes")
	}
	p.reconcile()
	u := p.update()
	u.EndOfRIB = p.endOfRIB()
	return u, p.fault, nil
}

// cutField takes a field that begins with its length in two bytes off b.
func cutField(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	size := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; size > len(b) {
		return nil, nil, false
	}
	return b[:size], b[size:], true
}

// resetSession is an error in an UPDATE that ends the session.
func resetSession(subcode uint8, data []byte, why string) error {
	most := maxSize - headerSize - 2
	return &notification{code: errUpdate, subcode: subcode, data: slices.Clone(data[:min(len(data), most)]),
		why: "malformed update: " + why}
}

// parsing is an UPDATE that is being decoded.
type parsing struct {
	*decoder
	withdrawn [2]nlri // the field, and MP_UNREACH_NLRI
	announced [2]nlri // the field, and MP_REACH_NLRI

	found int       // attributes
	seen  [4]uint64 // bit n stands for type n
	attrs Attributes
	fault fault

	// What is well formed of these, if anything is.
	asPath        []byte  // the value of AS_PATH
	as4Path       *asPath // AS4_PATH
	aggregator    uint32  // the AS number in AGGREGATOR
	as4Aggregator bool    // AS4_AGGREGATOR
}

// tolerate takes note of an error that the session survives.
func (p *parsing) tolerate(a action, why string) {
	if a > p.fault.action {
		p.fault = fault{a, why}
	}
}

func (p *parsing) has(t bgp.BGPAttrType) bool { return p.seen[t/64]&(1<<(t%64)) != 0 }

// reaches says if the UPDATE announces anything.
func (p *parsing) reaches() bool { return len(p.announced[0].bytes)+len(p.announced[1].bytes) > 0 }

// checkPrefixes looks for errors in the prefixes. Where they cannot be told
// apart, they cannot be withdrawn either (RFC 7606 section 3 j).
func (p *parsing) checkPrefixes() error {
	for i := range 2 {
		for _, n := range []*nlri{&p.withdrawn[i], &p.announced[i]} {
			if n.check() {
				continue
			}
			if n.attribute != nil {
				return resetSession(subOptionalAttribute, n.attribute, "a prefix is longer than its family or its attribute allows")
			}
			return resetSession(subNetworkField, nil, "a prefix is longer than 32 bits or than its field")
		}
	}
	return nil
}

// checkMandatory looks for the attributes without which nothing can be
// announced (RFC 4271 section 5, RFC 7606 section 3 d).
func (p *parsing) checkMandatory() {
	for _, t := range []bgp.BGPAttrType{bgp.BGP_ATTR_TYPE_ORIGIN, bgp.BGP_ATTR_TYPE_AS_PATH, bgp.BGP_ATTR_TYPE_NEXT_HOP} {
		if t == bgp.BGP_ATTR_TYPE_NEXT_HOP && len(p.announced[0].bytes) == 0 {
			continue // MP_REACH_NLRI has one of its own
		}
		if !p.has(t) {
			p.tolerate(treatAsWithdrawal, nameOf(t)+" is missing")
		}
	}
}

// update makes routes of prefixes.
func (p *parsing) update() Update {
	var u Update
	withdraw := p.withdrawn[:]
	announce := p.announced[:]
	if p.fault.action == treatAsWithdrawal {
		withdraw, announce = append(slices.Clip(withdraw), announce...), nil
	}
	if n := p.count(withdraw); n > 0 {
		u.Withdrawn = make([]netip.Prefix, 0, n)
	}
	for _, n := range withdraw {
		if p.speaks(n.family) {
			u.Withdrawn = n.appendTo(u.Withdrawn)
		}
	}
	n := p.count(announce)
	if n == 0 {
		return u
	}
	attrs := p.attrs
	attrs.LocalPref = defaultLocalPref
	u.Announced = make([]Route, 0, n)
	for _, n := range announce {
		if p.speaks(n.family) {
			u.Announced = n.appendRoutes(u.Announced, &attrs)
		}
	}
	return u
}

// count returns how many prefixes of the session's families there are.
func (p *parsing) count(all []nlri) int {
	sum := 0
	for _, n := range all {
		if p.speaks(n.family) {
			sum += n.count
		}
	}
	return sum
}

// speaks says if the family is one of the session's. Others are passed over.
func (d *decoder) speaks(family bgp.Family) bool { return slices.Contains(d.families, family) }

// endOfRIB says if the UPDATE is an End-of-RIB marker, and the last one that
// was missing (RFC 4724 section 2).
func (p *parsing) endOfRIB() bool {
	family := bgp.RF_IPv4_UC
	switch {
	case len(p.withdrawn[0].bytes) > 0 || len(p.withdrawn[1].bytes) > 0 || p.reaches() || p.found > 1:
		return false
	case p.has(bgp.BGP_ATTR_TYPE_MP_UNREACH_NLRI):
		family = p.withdrawn[1].family
	case p.found > 0:
		return false
	}
	i := slices.Index(p.awaited, family)
	if i < 0 {
		return false
	}
	p.awaited = slices.Delete(p.awaited, i, i+1)
	return len(p.awaited) == 0
}
