/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The tables that user space reads, and what every program needs to fill them. */
#ifndef RINGFENCE_TABLES_H
#define RINGFENCE_TABLES_H

#include "kernel.h"

/* Two of each table: one is filled while the other is read. User space turns to the next epoch, waits until no
 * program that began before is still running, and then has the old table to itself. */
struct flow_table {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct counts);
};
struct flow_table flows_even SEC(".maps");
struct flow_table flows_odd SEC(".maps");

/* What found no room in the table of that epoch: counted all the same, without its key. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct counts);
} overflow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * LOSS_KINDS);
	__type(key, __u32);
	__type(value, __u64);
} losses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct namespace);
} namespaces SEC(".maps");

INLINE struct control *current_control(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&control, &zero);
}

INLINE void lose(const struct control *now, __u32 kind)
{
	__u32 index = (now->epoch & 1) * LOSS_KINDS + kind;
	__u64 *count = bpf_map_lookup_elem(&losses, &index);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/* Where to count what belongs to the key. NULL never happens; the verifier wants it checked. The tables are named apart,
 * because the kernel calls the code of a table directly where it knows which one it is. */
static __attribute__((noinline)) struct counts *counts_of(const struct control *now, const struct flow_key *key)
{
	struct counts *counts, none = {};
	__u32 odd = now->epoch & 1;

	if (odd) {
		counts = bpf_map_lookup_elem(&flows_odd, key);
		if (counts)
			return counts;
		bpf_map_update_elem(&flows_odd, key, &none, BPF_NOEXIST);
		counts = bpf_map_lookup_elem(&flows_odd, key);
	} else {
		counts = bpf_map_lookup_elem(&flows_even, key);
		if (counts)
			return counts;
		bpf_map_update_elem(&flows_even, key, &none, BPF_NOEXIST);
		counts = bpf_map_lookup_elem(&flows_even, key);
	}
	return counts ? counts : bpf_map_lookup_elem(&overflow, &odd);
}

INLINE void set_v4(__u8 to[16], __be32 address)
{
	__u32 *words = (__u32 *)to;

	words[0] = 0;
	words[1] = 0;
	words[2] = htonl(0xffff);
	words[3] = address;
}

INLINE int same(const __u8 *a, const __u8 *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1];
}

INLINE void copy(__u8 *to, const __u8 *from)
{
	__u64 *x = (__u64 *)to;
	const __u64 *y = (const __u64 *)from;

	x[0] = y[0];
	x[1] = y[1];
}

INLINE int ephemeral(const struct control *now, __u16 port)
{
	return port >= now->ephemeral_first && port <= now->ephemeral_last;
}

/* The addresses of a connected socket, and where it is. */
INLINE void identify(struct sock *sk, struct flow_key *key)
{
	struct sock_common *common = &sk->__sk_common;
	__u32 *local = (__u32 *)key->local, *remote = (__u32 *)key->remote;

	key->netns = common->skc_net.net->net_cookie;
	key->cgroup = sk->sk_cgrp_data.cgroup->kn->id;
	if (common->skc_family == AF_INET) {
		set_v4(key->remote, common->skc_daddr);
		set_v4(key->local, common->skc_rcv_saddr);
		return;
	}
	for (int i = 0; i < 4; i++)
		remote[i] = common->skc_v6_daddr.in6_u.u6_addr32[i];
	if (remote[0] == 0 && remote[1] == 0 && remote[2] == htonl(0xffff)) {
		/* While such a socket connects, only the IPv4 half of its own address is there. */
		set_v4(key->local, common->skc_rcv_saddr);
		return;
	}
	for (int i = 0; i < 4; i++)
		local[i] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
}

/* The namespaces that were met last, so that most need no search. */
#define MET 1024
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MET);
	__type(key, __u32);
	__type(value, __u64);
} met SEC(".maps");

/* Remembers the namespace of a socket that the current process opens or offers. */
INLINE void meet(struct sock *sk)
{
	struct net *net = sk->__sk_common.skc_net.net;
	__u64 cookie = net->net_cookie;
	__u32 place = cookie % MET;
	__u64 *last = bpf_map_lookup_elem(&met, &place);

	if (!last || *last == cookie)
		return;
	*last = cookie;
	if (bpf_map_lookup_elem(&namespaces, &cookie))
		return;
	struct namespace namespace = {
		.cgroup = bpf_get_current_cgroup_id(),
		.inode = net->ns.inum,
		.process = bpf_get_current_pid_tgid() >> 32,
	};

	bpf_map_update_elem(&namespaces, &cookie, &namespace, BPF_NOEXIST);
}

#endif
