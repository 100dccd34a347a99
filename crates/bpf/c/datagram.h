/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Everything but TCP: by its packets. */
#ifndef RINGFENCE_DATAGRAM_H
#define RINGFENCE_DATAGRAM_H

#include "tables.h"

/* Any other socket: what its packets do not say. */
struct endpoint {
	__u64 netns;		/* 0: not known yet */
	__u8 dialled[16];
	__u16 dialled_port;
	__u16 pad[3];
};
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct endpoint);
} endpoints SEC(".maps");

/* Conversations of protocols without connections. */
struct conversation_key {
	__u64 netns;
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u8 protocol;
	__u8 pad[3];
};
struct conversation {
	__u64 seen;		/* nanoseconds of the coarse monotonic clock */
	__u32 direction;
	__u32 answered;
	__u32 refused;
	__u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct conversation_key);
	__type(value, struct conversation);
} conversations SEC(".maps");

/* As long as connection tracking keeps a UDP stream by default. */
#define CONVERSATION_IDLE_NS (120ull * 1000 * 1000 * 1000)

/* Adds what was asked for, if it is not what was reached. */
INLINE void recall(const struct endpoint *endpoint, struct flow_key *flow)
{
	if (!endpoint || !endpoint->dialled_port ||
	    (endpoint->dialled_port == flow->port && same(endpoint->dialled, flow->remote)))
		return;
	copy(flow->dialled, endpoint->dialled);
	flow->dialled_port = endpoint->dialled_port;
}

/* The namespace of a socket. No helper tells it to the programs of packets on every kernel, and they may not follow the
 * pointers of a socket, but they may read at an address. */
INLINE long locate(struct bpf_sock *sk, __u64 *cookie)
{
	struct sock *at = NULL;
	struct net *net = NULL;

	READ(at, sk);
	READ(net, at->__sk_common.skc_net.net);
	return READ(*cookie, net->net_cookie);
}

enum way { EGRESS, INGRESS };

/* Reads the headers: addresses, ports and the bytes after them. Fragments do not occur here: a packet on its way out
 * is not cut yet, one on its way in is whole again. */
INLINE int parse(struct __sk_buff *skb, int v6, __u8 protocol, enum way way, struct conversation_key *key,
		 __u32 *payload, __u8 *icmp_type)
{
	__u8 header[40];
	__u32 offset;
	struct {
		__be16 source, dest, third, fourth;
	} ports;

	if (v6) {
		if (bpf_skb_load_bytes(skb, 0, header, 40))
			return -1;
		offset = 40;
		__builtin_memcpy(way == EGRESS ? key->local : key->remote, header + 8, 16);
		__builtin_memcpy(way == EGRESS ? key->remote : key->local, header + 24, 16);
	} else {
		if (bpf_skb_load_bytes(skb, 0, header, 20))
			return -1;
		offset = (header[0] & 15) * 4;
		set_v4(way == EGRESS ? key->local : key->remote, *(__be32 *)(header + 12));
		set_v4(way == EGRESS ? key->remote : key->local, *(__be32 *)(header + 16));
	}
	if (bpf_skb_load_bytes(skb, offset, &ports, sizeof(ports)))
		return -1;
	offset += protocol == PROTOCOL_SCTP ? 12 : 8;
	*payload = skb->len > offset ? skb->len - offset : 0;
	key->protocol = protocol;
	if (protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6) {
		*icmp_type = ntohs(ports.source) >> 8;
		key->local_port = ntohs(ports.third);
		key->remote_port = 0;
		return 0;
	}
	key->local_port = ntohs(way == EGRESS ? ports.source : ports.dest);
	key->remote_port = ntohs(way == EGRESS ? ports.dest : ports.source);
	return 0;
}

/* Who called. Where the ports do not tell, whoever is seen to speak first: that is right unless a conversation is
 * older than the programs or was idle for long. */
INLINE __u8 caller(const struct control *now, const struct conversation_key *key, enum way way, int icmp, int request)
{
	if (icmp)
		return (way == EGRESS) == !!request ? DIRECTION_OUT : DIRECTION_IN;
	int local = ephemeral(now, key->local_port), remote = ephemeral(now, key->remote_port);

	if (local != remote)
		return local ? DIRECTION_OUT : DIRECTION_IN;
	return way == EGRESS ? DIRECTION_OUT : DIRECTION_IN;
}

INLINE int packet(struct __sk_buff *skb, enum way way)
{
	void *data = (void *)(unsigned long)skb->data, *end = (void *)(unsigned long)skb->data_end;
	__u8 first[10];
	__u8 *header = data;

	/* TCP leaves as early as possible: it is counted elsewhere. */
	if (data + sizeof(first) > end) {
		if (bpf_skb_load_bytes(skb, 0, first, sizeof(first)))
			return 1;
		header = first;
	}
	int v6 = header[0] >> 4 == 6;
	__u8 protocol = v6 ? header[6] : header[9];

	if (protocol == PROTOCOL_TCP)
		return 1;
	const struct control *now = current_control();
	struct bpf_sock *sk = skb->sk;

	if (!now || !sk)
		return 1;
	int icmp = protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6;

	if (!icmp && protocol != PROTOCOL_UDP && protocol != PROTOCOL_SCTP) {
		/* Hop-by-hop, routing, fragment, destination options: there may be something of ours behind them. Behind the
		 * first mostly is the kernel's own membership in multicast groups (RFC 3810), which is not. */
		__u8 next = 0;

		if (v6 && protocol == 0 && !bpf_skb_load_bytes(skb, 40, &next, 1) && next == PROTOCOL_ICMPV6)
			return 1;
		if (v6 && (protocol == 0 || protocol == 43 || protocol == 44 || protocol == 60))
			lose(now, LOSS_UNPARSED);
		return 1;
	}
	struct conversation_key key = {};
	__u32 payload;
	__u8 type = 0;

	if (parse(skb, v6, protocol, way, &key, &payload, &type)) {
		lose(now, LOSS_UNPARSED);
		return 1;
	}
	int request = type == (protocol == PROTOCOL_ICMP ? 8 : 128);

	/* Of ICMP only echoes are conversations. */
	if (icmp && !request && type != (protocol == PROTOCOL_ICMP ? 0 : 129))
		return 1;
	/* The sockets by which the kernel answers echoes go from namespace to namespace; all others stay. */
	struct endpoint *endpoint =
		icmp ? NULL : bpf_sk_storage_get(&endpoints, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (endpoint && endpoint->netns) {
		key.netns = endpoint->netns;
	} else if (locate(sk, &key.netns)) {
		lose(now, LOSS_DATAGRAM_UNKNOWN);
		return 1;
	} else if (endpoint) {
		endpoint->netns = key.netns;
	}
	__u64 time = bpf_ktime_get_coarse_ns();
	struct conversation *conversation = bpf_map_lookup_elem(&conversations, &key);
	int opened = 0, answered = 0;
	__u8 direction;

	if (conversation && time - conversation->seen < CONVERSATION_IDLE_NS) {
		conversation->seen = time;
		direction = conversation->direction;
	} else {
		direction = caller(now, &key, way, icmp, request);
		struct conversation begun = { .seen = time, .direction = direction };

		/* Two processors may see the first packets of one conversation: it is opened once. */
		long failed = bpf_map_update_elem(&conversations, &key, &begun, conversation ? 0 : BPF_NOEXIST);

		conversation = bpf_map_lookup_elem(&conversations, &key);
		if (conversation)
			opened = !failed;
		else
			lose(now, LOSS_CONVERSATION_ROOM);
	}
	if (conversation && !conversation->answered && (way == EGRESS) != (direction == DIRECTION_OUT))
		answered = __sync_val_compare_and_swap(&conversation->answered, 0, 1) == 0;

	struct flow_key flow = { .netns = key.netns, .protocol = protocol, .direction = direction };

	flow.cgroup = bpf_sk_cgroup_id(sk);
	copy(flow.local, key.local);
	copy(flow.remote, key.remote);
	flow.port = icmp ? 0 : direction == DIRECTION_OUT ? key.remote_port : key.local_port;
	if (direction == DIRECTION_OUT)
		recall(endpoint, &flow);
	struct counts *counts = counts_of(now, &flow);

	if (!counts)
		return 1;
	if (opened)
		__sync_fetch_and_add(&counts->opened, 1);
	if (answered)
		__sync_fetch_and_add(&counts->answered, 1);
	if (way == EGRESS) {
		__sync_fetch_and_add(&counts->sent_packets, 1);
		__sync_fetch_and_add(&counts->sent_bytes, payload);
	} else {
		__sync_fetch_and_add(&counts->received_packets, 1);
		__sync_fetch_and_add(&counts->received_bytes, payload);
	}
	return 1;
}

SEC("cgroup_skb/egress")
int datagram_out(struct __sk_buff *skb)
{
	return packet(skb, EGRESS);
}

SEC("cgroup_skb/ingress")
int datagram_in(struct __sk_buff *skb)
{
	return packet(skb, INGRESS);
}

/* A port-unreachable error reaches a connected UDP socket as the error of that socket. */
SEC("tp_btf/inet_sk_error_report")
int datagram_refused(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];

	if (sk->sk_protocol != PROTOCOL_UDP || sk->sk_err != ECONNREFUSED || !sk->__sk_common.skc_dport)
		return 0;
	const struct control *now = current_control();
	struct flow_key flow = { .protocol = PROTOCOL_UDP, .direction = DIRECTION_OUT };
	struct conversation_key key = { .protocol = PROTOCOL_UDP };

	if (!now)
		return 0;
	identify(sk, &flow);
	flow.port = ntohs(sk->__sk_common.skc_dport);
	key.netns = flow.netns;
	copy(key.local, flow.local);
	copy(key.remote, flow.remote);
	key.local_port = sk->__sk_common.skc_num;
	key.remote_port = flow.port;
	struct conversation *conversation = bpf_map_lookup_elem(&conversations, &key);

	/* Every datagram may be refused; the conversation is refused once. */
	if (!conversation || __sync_val_compare_and_swap(&conversation->refused, 0, 1))
		return 0;
	recall(bpf_sk_storage_get(&endpoints, sk, NULL, 0), &flow);
	struct counts *counts = counts_of(now, &flow);

	if (counts)
		__sync_fetch_and_add(&counts->refused, 1);
	return 0;
}

#endif
