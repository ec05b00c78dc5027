/* SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only */
/*
 * Programs to measure ours by. A test run that is repeated uses one frame again
 * and again, which is repaired after the first time; so what is to be measured
 * breaks it again first, and bench_break measures what that alone costs.
 */
#include "uplink.bpf.c"

INLINE bool break_again(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	if (data + ETH_HLEN > (void *)(long)ctx->data_end)
		return false;
	*(__u16 *)(data + ETH_HLEN - 2) = htons(ETH_P_IPV6);
	return true;
}

/* The rule of the talk "The modern, interoperable DC, part 1" of 2020, built anew
 * from its description: no checks but the version, no VLANs, and a frame too short
 * for an IPv4 header is dropped. */
INLINE int talk(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	if (data + ETH_HLEN + IPV4_HLEN > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__u16 *type = data + ETH_HLEN - 2;
	if (*type == htons(ETH_P_IPV6) && *(__u8 *)(data + ETH_HLEN) >> 4 == 4)
		*type = htons(ETH_P_IP);
	return XDP_PASS;
}

SEC("xdp.frags") int bench_floor(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp.frags") int bench_break(struct xdp_md *ctx)
{
	break_again(ctx);
	return XDP_PASS;
}

SEC("xdp.frags") int bench_repair(struct xdp_md *ctx)
{
	break_again(ctx);
	return xdp(ctx, FRAGMENTS, 1);
}

SEC("xdp.frags") int bench_talk(struct xdp_md *ctx)
{
	return talk(ctx);
}

SEC("xdp.frags") int bench_talk_repair(struct xdp_md *ctx)
{
	break_again(ctx);
	return talk(ctx);
}
