/* SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only */
/*
 * The programs on an uplink. An interface has one place for an XDP program, so
 * the EtherType repair and the BFD watchdog share one; the loader says by
 * constants which part is on, and the verifier takes out the other one.
 *
 * There are several variants because kernels differ: lastmile/bpf/uplink
 * chooses. All always pass the frame on.
 */
#include "etherfix.h"
#include "bfdwatch.h"

volatile const bool repair_on = 1;
volatile const bool watchdog_on = 1;

INLINE int xdp(struct xdp_md *ctx, enum shape shape, bool timers)
{
	struct frame f = { .data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end };
	count(INTACT);
	if (!untag(&f))
		return XDP_PASS;
	if (repair_on && suspicious(&f)) {
		enum verdict v = judge(ctx, shape, &f);
		if (repairs(v))
			*(__u16 *)(f.l3 - 2) = htons(ETH_P_IP);
		count(v);
		return XDP_PASS;
	}
	if (timers && watchdog_on)
		wind_up(&f, ctx->ingress_ifindex);
	return XDP_PASS;
}

/* Linux 5.18 and later: frames of several pages, that is a large MTU. */
SEC("xdp.frags") int uplink_frags(struct xdp_md *ctx)
{
	return xdp(ctx, FRAGMENTS, 1);
}

/* Linux 5.15 and later, and generic mode. */
SEC("xdp") int uplink_plain(struct xdp_md *ctx)
{
	return xdp(ctx, LINEAR, 1);
}

/* Kernels that know no timers refuse a program that mentions one, used or not. */
SEC("xdp") int uplink_repair(struct xdp_md *ctx)
{
	return xdp(ctx, LINEAR, 0);
}

/* For interfaces where XDP does not work: Linux 6.6 and later. At this place the
 * kernel has read the EtherType already, so the repaired frame is sent back to
 * the interface to be received again, as IPv4 now. Tags have been taken off by
 * then, all but the inner one of two. */
SEC("tcx/ingress") int uplink_tcx(struct __sk_buff *skb)
{
	struct frame f = { .data = (void *)(long)skb->data, .end = (void *)(long)skb->data_end };
	count(INTACT);
	if (!untag(&f))
		return TCX_NEXT;
	if (!repair_on || !suspicious(&f)) {
		if (watchdog_on && !skb->vlan_present)
			wind_up(&f, skb->ifindex);
		return TCX_NEXT;
	}
	__u32 head = ETH_HLEN + MAX_TAGS * VLAN_HLEN + IPV4_MAX;
	if (f.data + head > f.end) {
		/* The rest of a header may be in another page. */
		bpf_skb_pull_data(skb, skb->len < head ? skb->len : head);
		f.data = (void *)(long)skb->data;
		f.end = (void *)(long)skb->data_end;
		if (!untag(&f))
			return TCX_NEXT;
	}
	enum verdict v = judge(skb, SKB, &f);
	if (repairs(v)) {
		__u64 ipv4 = first16(htons(ETH_P_IP));
		if (skb->vlan_present && f.tags < MAX_TAGS)
			v++;
		if (bpf_skb_store_bytes(skb, ETH_HLEN + f.tags * VLAN_HLEN - 2, &ipv4, sizeof(__u16), 0) == 0) {
			count(v);
			return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
		}
		return TCX_NEXT;
	}
	count(v);
	return TCX_NEXT;
}

/* The timers may only be used by programs under a licence that the kernel takes
 * for compatible with its own; see docs/decisions/one-xdp-program.md. */
char license_text[] SEC("license") = "Dual MIT/GPL";
