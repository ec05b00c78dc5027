/* SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only */
/*
 * What our programs need of the kernel's interface, and no more, so that the
 * objects do not depend on which headers a machine has. Names and layouts are
 * those of the kernel's uapi linux/bpf.h; the numbers of functions and types
 * there never change.
 */
#ifndef LASTMILE_BPF_H
#define LASTMILE_BPF_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef _Bool bool;

enum { false, true };

#define NULL ((void *)0)
#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

/* The fields of a map definition, as libbpf spells them in BTF. */
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define htons(x) ((__u16)((((x) & 0xff) << 8) | (((x) >> 8) & 0xff)))
#define ntohs(x) htons(x)
#define ntohl(x) __builtin_bswap32(x)
#else
#define htons(x) ((__u16)(x))
#define ntohs(x) ((__u16)(x))
#define ntohl(x) (x)
#endif

enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4, BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_MAP_TYPE_RINGBUF = 27 };
enum { XDP_ABORTED = 0, XDP_PASS = 2 };
enum { TCX_NEXT = -1, TC_ACT_OK = 0 };
enum { BPF_F_INGRESS = 1 };

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto;
	__u32 priority, ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end;
};

struct bpf_timer {
	__u64 opaque[2];
} __attribute__((aligned(8)));

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static __u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static long (*bpf_skb_store_bytes)(struct __sk_buff *skb, __u32 at, const void *from, __u32 len, __u64 flags) = (void *)9;
static long (*bpf_perf_event_output)(void *ctx, void *map, __u64 flags, void *data, __u64 size) = (void *)25;
static long (*bpf_skb_load_bytes)(const struct __sk_buff *skb, __u32 at, void *to, __u32 len) = (void *)26;
static long (*bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*bpf_skb_pull_data)(struct __sk_buff *skb, __u32 len) = (void *)39;
static void *(*bpf_ringbuf_reserve)(void *ringbuf, __u64 size, __u64 flags) = (void *)131;
static void (*bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static long (*bpf_timer_init)(struct bpf_timer *timer, void *map, __u64 flags) = (void *)169;
static long (*bpf_timer_set_callback)(struct bpf_timer *timer, void *callback) = (void *)170;
static long (*bpf_timer_start)(struct bpf_timer *timer, __u64 nsecs, __u64 flags) = (void *)171;
static __u64 (*bpf_xdp_get_buff_len)(struct xdp_md *ctx) = (void *)188;

enum { EFAULT = 14, EBUSY = 16 };

/* keep has the compiler take a pointer as it is. Without CAP_PERFMON a program
 * may add only constants to a pointer into a frame; the compiler would rather
 * choose between constants first and add the choice. */
#define keep(pointer) asm volatile("" : "+r"(pointer))

/* Values whose first two or four bytes in memory are x, and whose first and second
 * four are x and y. Without CAP_PERFMON some kernels (6.1) let what a program puts
 * on its stack only be written over 8 bytes at a time, so keys are that wide. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define first16(x) ((__u64)(__u16)(x))
#define first32(x) ((__u64)(__u32)(x))
#define both32(x, y) (first32(x) | (__u64)(__u32)(y) << 32)
#else
#define first16(x) ((__u64)(__u16)(x) << 48)
#define first32(x) ((__u64)(__u32)(x) << 32)
#define both32(x, y) (first32(x) | (__u32)(y))
#endif

/* What frames are made of. */
enum { ETH_HLEN = 14, VLAN_HLEN = 4, IPV4_HLEN = 20, IPV4_MAX = 60, IPV6_HLEN = 40, UDP_HLEN = 8 };
enum { ETH_P_IP = 0x0800, ETH_P_8021Q = 0x8100, ETH_P_IPV6 = 0x86dd, ETH_P_8021AD = 0x88a8 };
enum { IPPROTO_UDP = 17 };

#endif
