/* SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only */
/*
 * The repair rule: an IPv4 packet in a frame that says IPv6 gets the EtherType
 * that it should have. The rule in Go, which the tests hold this one to bit for
 * bit, is lastmile/bpf/etherfix: read that first.
 *
 * A frame that the rule is not certain of is left alone and counted. No frame
 * is ever dropped.
 */
#ifndef LASTMILE_ETHERFIX_H
#define LASTMILE_ETHERFIX_H

#include "bpf.h"

enum { MAX_TAGS = 2 };

/* The order is that of etherfix.Verdict. */
enum verdict {
	INTACT,         /* not marked IPv6, or IPv6 indeed; counted are all frames */
	REPAIR_PLAIN,   /* repaired: no tag, */
	REPAIR_DOT1Q,   /* one, */
	REPAIR_QINQ,    /* two */
	DOUBT_SHORT,    /* ends before an IPv4 header would */
	DOUBT_VERSION,  /* neither IPv4 nor IPv6 */
	DOUBT_HEADER,   /* header length below 5 words */
	DOUBT_LENGTH,   /* total length shorter than the header or longer than the frame */
	DOUBT_CHECKSUM, /* header checksum wrong */
	VERDICTS,
};

/* A frame while it is looked at. */
struct frame {
	void *data, *end;
	void *l3;   /* the network header */
	__u32 tags; /* before it */
	__u16 type; /* in network order, as in the frame */
};

INLINE bool is_tag(__u16 type)
{
	return type == htons(ETH_P_8021Q) || type == htons(ETH_P_8021AD);
}

/* untag finds the type behind up to two VLAN tags; false for a frame that ends
 * before it. */
INLINE bool untag(struct frame *f)
{
	f->l3 = f->data + ETH_HLEN;
	f->tags = 0;
	if (f->l3 > f->end)
		return false;
	f->type = *(__u16 *)(f->l3 - 2);
#pragma unroll
	for (int i = 0; i < MAX_TAGS; i++) {
		if (!is_tag(f->type))
			break;
		f->l3 += VLAN_HLEN;
		keep(f->l3);
		if (f->l3 > f->end)
			return false;
		f->type = *(__u16 *)(f->l3 - 2);
		f->tags++;
	}
	return true;
}

/* checksum_ok says whether the ihl words of the header at l3 add up; false too
 * for a header that is not all in memory. The sum is RFC 1071's. */
INLINE bool checksum_ok(const struct frame *f, __u32 ihl)
{
	__u64 sum = 0;
	__u32 *word = f->l3;
#pragma unroll
	for (int i = 0; i < 15; i++) {
		if (i >= 5 && i >= ihl)
			break;
		if (i >= 5 && (void *)(word + i + 1) > f->end)
			return false;
		sum += word[i];
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* suspicious says whether an untagged frame is marked IPv6 and does not begin
 * like it: the only frames that cost more than a glance. */
INLINE bool suspicious(const struct frame *f)
{
	if (f->type != htons(ETH_P_IPV6))
		return false;
	return f->l3 + 1 > f->end || *(__u8 *)f->l3 >> 4 != 6;
}

enum shape { LINEAR, FRAGMENTS, SKB };

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} nowhere SEC(".maps");

/* fits says whether a frame has that many bytes, fragments included.
 *
 * Without CAP_PERFMON a program cannot subtract its two pointers, and before
 * Linux 5.18 it cannot ask. But to send bytes of the frame to user space fails in
 * one way if it has not that many, and in another if nobody is there to read. */
INLINE bool fits(void *ctx, enum shape shape, __u32 bytes)
{
	__u64 nothing = 0;
	switch (shape) {
	case FRAGMENTS:
		return bytes <= bpf_xdp_get_buff_len(ctx);
	case SKB:
		return bytes <= ((struct __sk_buff *)ctx)->len;
	default:
		return bpf_perf_event_output(ctx, &nowhere, (__u64)bytes << 32, &nothing, sizeof(nothing)) != -EFAULT;
	}
}

/* judge is the rule, for a suspicious frame. */
INLINE enum verdict judge(void *ctx, enum shape shape, const struct frame *f)
{
	__u8 *ip = f->l3;
	if ((void *)ip + IPV4_HLEN > f->end)
		return DOUBT_SHORT;
	if (ip[0] >> 4 != 4)
		return DOUBT_VERSION;
	__u32 ihl = ip[0] & 15;
	if (ihl < 5)
		return DOUBT_HEADER;
	__u32 total = ntohs(*(__u16 *)(ip + 2));
	if (total < ihl * 4 || !fits(ctx, shape, ETH_HLEN + f->tags * VLAN_HLEN + total))
		return DOUBT_LENGTH;
	if (!checksum_ok(f, ihl))
		return DOUBT_CHECKSUM;
	return REPAIR_PLAIN + f->tags;
}

INLINE bool repairs(enum verdict v)
{
	return v >= REPAIR_PLAIN && v <= REPAIR_QINQ;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

INLINE void count(enum verdict v)
{
	__u64 key = first32(v);
	__u64 *n = bpf_map_lookup_elem(&counters, &key);
	if (n)
		(*n)++;
}

#endif
