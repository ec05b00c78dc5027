/* SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only */
/*
 * The fault that the repair is for, as some Junos releases have it: IPv4 that
 * this machine sends itself leaves the interface marked as IPv6. Packets in
 * transit came in over an interface, and are left as they are.
 */
#include "bpf.h"

SEC("tc") int etherfault(struct __sk_buff *skb)
{
	__u16 type, ipv6 = htons(ETH_P_IPV6);
	__u32 at = ETH_HLEN - 2;
	if (skb->ingress_ifindex != 0)
		return TC_ACT_OK;
	/* A tag is in the frame only where the driver does not add it. */
	if (skb->protocol == htons(ETH_P_8021Q) || skb->protocol == htons(ETH_P_8021AD))
		at += VLAN_HLEN;
	if (bpf_skb_load_bytes(skb, at, &type, sizeof(type)) == 0 && type == htons(ETH_P_IP))
		bpf_skb_store_bytes(skb, at, &ipv6, sizeof(ipv6), 0);
	return TC_ACT_OK;
}

char license_text[] SEC("license") = "Apache-2.0";
