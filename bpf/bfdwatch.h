/* SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only */
/*
 * The BFD watchdog: a kernel timer for each session, wound up by each of the
 * peer's control packets and reported when it runs down. What the maps mean,
 * and who may do what with them, stands in lastmile/bpf/bfdwatch.
 */
#ifndef LASTMILE_BFDWATCH_H
#define LASTMILE_BFDWATCH_H

#include "etherfix.h"

enum { CLOCK_MONOTONIC = 1, NO_ROOM_RETRY_NS = 1000000 };

struct session_key {
	__u32 ifindex;
	__u32 discriminator; /* ours, in host order */
} __attribute__((aligned(8)));

/* What user space writes, each time as a whole. */
struct session {
	__u64 generation;
	__u64 detect;  /* ns */
	__u64 peer[2]; /* source address, in network order */
	__u32 slot;    /* of its timer, its own while it is armed */
	__u32 pad;
};

/* What we write. A timer once made stays, whichever session has the slot: to make
 * one takes memory, and there may be none at hand when a packet comes. */
struct watch {
	struct bpf_timer timer;
	struct session_key key;
	__u64 generation;
	__u64 detect, last; /* when the last packet came */
};

struct event {
	struct session_key key;
	__u64 generation;
	__u64 last, expired; /* CLOCK_MONOTONIC, ns */
};

enum { MAX_SESSIONS = 64 };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SESSIONS);
	__type(key, struct session_key);
	__type(value, struct session);
} sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SESSIONS);
	__type(key, __u32);
	__type(value, struct watch);
} watches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536); /* a page at least, everywhere */
} events SEC(".maps");

/* ran_down is called when a timer has: it reports, unless a packet came in the
 * meantime or the session is not armed any more, or armed anew. An event that
 * finds no room is tried again, never lost. */
static int ran_down(void *map, __u32 *slot, struct watch *w)
{
	/* Read before the rest and written after it, both with a barrier: of a
	 * generation that is new, last and detect cannot be old. */
	__u64 generation = __sync_fetch_and_add(&w->generation, 0);
	__u64 last = w->last, detect = w->detect, now = bpf_ktime_get_ns();
	if (now < last + detect) {
		bpf_timer_start(&w->timer, last + detect - now, 0);
		return 0;
	}
	__u64 key = *(__u64 *)&w->key;
	struct session *s = bpf_map_lookup_elem(&sessions, &key);
	if (!s || s->generation != generation)
		return 0;
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		bpf_timer_start(&w->timer, NO_ROOM_RETRY_NS, 0);
		return 0;
	}
	*(__u64 *)&e->key = key;
	e->generation = generation;
	e->last = last;
	e->expired = now;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* make makes a timer; true too if there is one already. */
INLINE bool make(struct watch *w)
{
	long err = bpf_timer_init(&w->timer, &watches, CLOCK_MONOTONIC);
	return (err == 0 || err == -EBUSY) && bpf_timer_set_callback(&w->timer, ran_down) == 0;
}

struct ipv6 {
	__u32 flow;
	__u16 length;
	__u8 next, hops;
	__u64 source[2], destination[2];
} __attribute__((packed, aligned(2)));

struct udp {
	__u16 source, destination, length, checksum;
};

/* RFC 5880 section 4.1 */
struct bfd {
	__u8 version_diag, flags, multiplier, length;
	__u32 my, your;
} __attribute__((packed, aligned(2)));

enum { BFD_PORT = 3784, BFD_HLEN = 24, BFD_AUTH = 4, BFD_MULTIPOINT = 1 };

/* bfd_of returns the control packet in an untagged frame, if it passes what
 * RFC 5880 section 6.8.6 and RFC 5881 section 5 ask of every packet. The UDP
 * checksum is not looked at: on a virtual link it may not be there yet. */
INLINE struct bfd *bfd_of(const struct frame *f)
{
	if (f->tags != 0 || f->type != htons(ETH_P_IPV6))
		return NULL;
	struct ipv6 *ip = f->l3;
	if ((void *)ip + IPV6_HLEN + UDP_HLEN + BFD_HLEN > f->end)
		return NULL;
	struct udp *udp = (void *)(ip + 1);
	struct bfd *bfd = (void *)(udp + 1);
	if (ip->next != IPPROTO_UDP || udp->destination != htons(BFD_PORT) || ip->hops != 255)
		return NULL;
	__u32 length = ntohs(udp->length);
	if (length > ntohs(ip->length) || bfd->length < BFD_HLEN || bfd->length + UDP_HLEN > length)
		return NULL;
	if (bfd->version_diag >> 5 != 1 || bfd->multiplier == 0 || bfd->my == 0)
		return NULL;
	if (bfd->flags & (BFD_AUTH | BFD_MULTIPOINT)) /* we have no authentication */
		return NULL;
	return bfd;
}

/* wind_up starts the session's timer anew if the frame is one of its packets. */
INLINE void wind_up(const struct frame *f, __u32 ifindex)
{
	struct bfd *bfd = bfd_of(f);
	if (!bfd)
		return;
	__u64 key = both32(ifindex, ntohl(bfd->your)); /* a struct session_key */
	struct session *s = bpf_map_lookup_elem(&sessions, &key);
	if (!s)
		return;
	struct ipv6 *ip = f->l3;
	if (ip->source[0] != s->peer[0] || ip->source[1] != s->peer[1])
		return;
	struct watch *w = bpf_map_lookup_elem(&watches, &s->slot);
	if (!w)
		return;
	w->last = bpf_ktime_get_ns();
	w->detect = s->detect;
	*(__u64 *)&w->key = key;
	__sync_lock_test_and_set(&w->generation, s->generation);
	if (bpf_timer_start(&w->timer, s->detect, 0) != 0 && make(w))
		bpf_timer_start(&w->timer, s->detect, 0);
}

/* make_timer makes the timer of the slot that the frame begins with: for the
 * loader, which has the patience that a packet has not. */
SEC("xdp") int make_timer(struct xdp_md *ctx)
{
	__u32 *slot = (void *)(long)ctx->data;
	if ((void *)(slot + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__u64 key = first32(*slot);
	struct watch *w = bpf_map_lookup_elem(&watches, &key);
	return w && make(w) ? XDP_PASS : XDP_ABORTED;
}

#endif
