// Package lab builds a whole lastmile fabric on one Linux machine and plays
// with it: spines, leaves, servers and hosts without BGP are network
// namespaces, cables are veth links, routers are FRR's real daemons, a Junos
// leaf is the simulated one of lab/junos, and the agents are the real
// switchagent and hostagent. Leaves and
// servers speak BFD where the topology has it; a Junos leaf's is FRR's, from
// bfd-liveness-detection in its configuration.
//
// A fabric is data ([Topology]); [Talk] is the one the project was first shown
// with and [Clos] makes others. [Up] brings a fabric up, [Down] takes down
// whatever of it still exists, [Demo] plays the six scenes in one, and
// [Bringup] and [Scale] measure.
//
// The lab needs root and Linux, and nothing of the host's own network: all
// happens inside namespaces, whose names begin with the fabric's name. Daemons
// log into the fabric's directory under [StateRoot].
package lab
