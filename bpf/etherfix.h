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
	INTACT,         /* not marked IPv6, or IPv6 indeed */
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

/* Of one CPU; the order is that of etherfix.Counters. */
struct counters {
	__u64 seen;
	__u64 verdict[VERDICTS]; /* [INTACT] stays 0: seen, less the others */
};

/* Where a frame is, while it is looked at. */
struct frame {
	void *data, *end;
	__u32 l3;   /* offset of the network header */
	__u32 tags;
	__u16 type; /* in network order, as in the frame */
};

INLINE bool has(const struct frame *f, __u32 bytes)
{
	return f->data + bytes <= f->end;
}

INLINE bool is_tag(__u16 type)
{
	return type == htons(ETH_P_8021Q) || type == htons(ETH_P_8021AD);
}

/* untag finds the type behind up to two VLAN tags; false for a frame that ends
 * before it. */
INLINE bool untag(struct frame *f)
{
	f->l3 = ETH_HLEN;
	f->tags = 0;
	if (!has(f, ETH_HLEN))
		return false;
	f->type = *(__u16 *)(f->data + ETH_HLEN - 2);
#pragma unroll
	for (int i = 0; i < MAX_TAGS; i++) {
		if (!is_tag(f->type))
			break;
		if (!has(f, f->l3 + VLAN_HLEN))
			return false;
		f->type = *(__u16 *)(f->data + f->l3 + VLAN_HLEN - 2);
		f->l3 += VLAN_HLEN;
		f->tags++;
	}
	return true;
}

/* checksum_ok says whether the ihl words of the header at l3 add up; false too
 * for a header that is not all in memory. The sum is RFC 1071's. */
INLINE bool checksum_ok(const struct frame *f, __u32 ihl)
{
	__u64 sum = 0;
	__u32 *word = f->data + f->l3;
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
	return !has(f, f->l3 + 1) || *(__u8 *)(f->data + f->l3) >> 4 != 6;
}

/* judge is the rule, for a suspicious frame of len bytes, fragments included; len
 * 0 stands for one without fragments, which ends where its memory does. (Its
 * length is not computed: subtracting pointers takes CAP_PERFMON.) */
INLINE enum verdict judge(const struct frame *f, __u32 len)
{
	if (!has(f, f->l3 + IPV4_HLEN))
		return DOUBT_SHORT;
	__u8 *ip = f->data + f->l3;
	if (ip[0] >> 4 != 4)
		return DOUBT_VERSION;
	__u32 ihl = ip[0] & 15;
	if (ihl < 5)
		return DOUBT_HEADER;
	__u32 total = ntohs(*(__u16 *)(ip + 2));
	if (total < ihl * 4)
		return DOUBT_LENGTH;
	if (len ? f->l3 + total > len : !has(f, f->l3 + total))
		return DOUBT_LENGTH;
	if (!checksum_ok(f, ihl))
		return DOUBT_CHECKSUM;
	return REPAIR_PLAIN + f->tags;
}

INLINE bool repairs(enum verdict v)
{
	return v >= REPAIR_PLAIN && v <= REPAIR_QINQ;
}

INLINE void count(struct counters *c, enum verdict v)
{
	if (c && v < VERDICTS)
		c->verdict[v]++;
}

#endif
