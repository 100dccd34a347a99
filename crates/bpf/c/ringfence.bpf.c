/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Counts connections and conversations where they happen, by who talks to whom.
 *
 * TCP is counted at the changes of a socket's state, which costs nothing per packet: the connection and its bytes, from
 * the socket's own counters, when it ends and whenever user space asks for a sweep. Everything else is counted per packet.
 *
 * Why two licences: the project's is Apache-2.0, but the kernel lets only programs whose licence it knows to agree with
 * its own read its structures ("Cannot access kernel 'struct sock' from non-GPL compatible program") and call
 * bpf_probe_read_kernel. That is all programs here but those of connect and sendmsg; no other helper asks for it. So
 * whoever loads them takes them under GPL-2.0, and says so below; all others may take either. */
#include "kernel.h"

char LICENSE[] SEC("license") = "GPL";

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

/* A TCP socket that is being or was connected.
 *
 * The marks say how much of it is counted already. In their upper bits is a number that changes from connection to
 * connection: records are used again at once, and a sweep that still looks at the old one must not move a mark of the
 * new. A mark that was taken away is 0. */
struct stream {
	__u64 socket;		/* its address; 0: the record is free */
	struct flow_key key;	/* without a direction as long as it only is about to connect */
	__u64 opened;
	__u64 sent_bytes;
	__u64 received_bytes;
	__u64 sent_packets;
	__u64 received_packets;
	__u32 crowded;		/* whether it is of the table of that name */
	__u32 swept;		/* sweeps that found it closed */
};
#define MARK_BITS 40
#define COUNT_MASK ((1ull << MARK_BITS) - 1)
#define SEGMENT_MASK 0xffffffffull	/* the socket counts segments in 32 bits */

/* Each socket has one place for its record, which costs a tenth of a record that the socket itself keeps, because nothing
 * is allocated. Where the place is taken by another, the record is in the table of the crowded. */
#define PLACE_BITS 15
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << PLACE_BITS);
	__type(key, __u32);
	__type(value, struct stream);
} streams SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, __u64);
	__type(value, struct stream);
} crowded SEC(".maps");

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

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct namespace);
} namespaces SEC(".maps");

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

/* What a socket counts itself. */
struct volume {
	__u64 opened;
	__u64 sent_bytes;
	__u64 received_bytes;
	__u64 sent_packets;
	__u64 received_packets;
};

/* A record with marks at what is counted already. */
INLINE void mark(struct stream *stream, const struct volume *counted)
{
	__u64 number = (__u64)((bpf_get_prandom_u32() & 0x7fffff) | 1) << MARK_BITS;

	stream->opened = number + counted->opened;
	stream->sent_bytes = number + (counted->sent_bytes & COUNT_MASK);
	stream->received_bytes = number + (counted->received_bytes & COUNT_MASK);
	stream->sent_packets = number + counted->sent_packets;
	stream->received_packets = number + counted->received_packets;
}

/* Who talks to whom. What the connect hook left in `dialled` stays if it is not what was reached. */
INLINE void address(struct flow_key *key, struct sock *sk, __u8 direction)
{
	identify(sk, key);
	key->protocol = PROTOCOL_TCP;
	if (direction == DIRECTION_OUT)
		key->port = ntohs(sk->__sk_common.skc_dport);
	else
		key->port = sk->__sk_common.skc_num;
	if (key->dialled_port == key->port && same(key->dialled, key->remote)) {
		__builtin_memset(key->dialled, 0, sizeof(key->dialled));
		key->dialled_port = 0;
	}
	key->direction = direction;
}

/* By the lower half of the address: that is all that one may compute with. */
INLINE struct stream *place_of(__u64 socket)
{
	__u32 place = (__u32)socket * 0x9e3779b1u >> (32 - PLACE_BITS);

	return bpf_map_lookup_elem(&streams, &place);
}

/* The record of a socket, if it has one. */
INLINE struct stream *find(__u64 socket)
{
	struct stream *stream = place_of(socket);

	return stream && stream->socket == socket ? stream : bpf_map_lookup_elem(&crowded, &socket);
}

/* The record of a socket. It may have one already. */
INLINE struct stream *record(const struct control *now, __u64 socket)
{
	struct stream *stream = place_of(socket);

	if (stream) {
		__u64 other = __sync_val_compare_and_swap(&stream->socket, 0, socket);

		if (!other || other == socket)
			return stream;
	}
	struct stream none = { .socket = socket, .crowded = 1 };

	bpf_map_update_elem(&crowded, &socket, &none, BPF_NOEXIST);
	stream = bpf_map_lookup_elem(&crowded, &socket);
	if (!stream)
		lose(now, LOSS_NO_MEMORY);
	return stream;
}

INLINE void release(struct stream *stream, __u64 socket)
{
	if (stream->crowded) {
		bpf_map_delete_elem(&crowded, &socket);
		return;
	}
	stream->key.direction = 0;
	stream->key.dialled_port = 0;
	__sync_lock_test_and_set(&stream->socket, 0);
}

/* Begins to follow a socket. */
INLINE void follow(const struct control *now, struct sock *sk, __u8 direction, const struct volume *counted)
{
	/* Whoever connects has a record from when it dialled. */
	struct stream *stream = direction == DIRECTION_OUT ? find((__u64)sk) : NULL;

	if (!stream)
		stream = record(now, (__u64)sk);
	if (!stream)
		return;
	struct flow_key *key = &stream->key;

	if (key->direction) {
		struct flow_key own = {};

		identify(sk, &own);
		/* Two sockets may connect to each other. */
		if (key->direction == DIRECTION_OUT && direction == DIRECTION_IN && same(key->remote, own.remote) &&
		    key->port == ntohs(sk->__sk_common.skc_dport))
			return;
		key->direction = 0;
		lose(now, LOSS_CONNECTION_UNKNOWN);
	}
	if (direction == DIRECTION_IN) {
		__builtin_memset(key->dialled, 0, sizeof(key->dialled));
		key->dialled_port = 0;
	}
	stream->swept = 0;
	mark(stream, counted);
	address(key, sk, direction);
}

/* How far a counter is ahead of its mark. */
INLINE __u64 ahead(__u64 mark, __u64 counter, __u64 mask)
{
	__u64 step = (counter - mark) & mask;

	return step > mask >> 1 ? 0 : step;
}

/* Moves a mark from where it was to where the counter stands and says by how much, unless somebody else has moved it
 * meanwhile: who did counts it. */
INLINE __u64 advance(__u64 *mark, __u64 from, __u64 counter, __u64 mask)
{
	__u64 step = ahead(from, counter, mask);

	if (!from || !step)
		return 0;
	return __sync_val_compare_and_swap(mark, from, from + step) == from ? step : 0;
}

/* Takes the mark away: nobody moves it any more. */
INLINE __u64 settle(__u64 *mark, __u64 counter, __u64 mask)
{
	return ahead(__sync_lock_test_and_set(mark, 0), counter, mask);
}

INLINE void add(struct counts *counts, const struct volume *volume)
{
	if (volume->opened)
		__sync_fetch_and_add(&counts->opened, volume->opened);
	if (volume->sent_bytes)
		__sync_fetch_and_add(&counts->sent_bytes, volume->sent_bytes);
	if (volume->received_bytes)
		__sync_fetch_and_add(&counts->received_bytes, volume->received_bytes);
	if (volume->sent_packets)
		__sync_fetch_and_add(&counts->sent_packets, volume->sent_packets);
	if (volume->received_packets)
		__sync_fetch_and_add(&counts->received_packets, volume->received_packets);
}

INLINE void finish(const struct control *now, struct sock *sk, int before)
{
	struct stream *stream = find((__u64)sk);

	if (!stream || !stream->key.direction) {
		/* A listener closes too, and so does a child that was never handed over. */
		if (before != TCP_LISTEN && before != TCP_SYN_RECV && before != TCP_CLOSE)
			lose(now, LOSS_CONNECTION_UNKNOWN);
		return;
	}
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct counts *counts = counts_of(now, &stream->key);

	if (!tcp || !counts)
		return;
	int established = before != TCP_SYN_SENT && before != TCP_SYN_RECV;
	/* The FIN has a sequence number and is in the socket's count, though it is no byte of the application. */
	__u64 received = tcp->bytes_received;

	if (received && sk->__sk_common.skc_flags & (1ul << SOCK_DONE))
		received--;
	struct volume volume = {
		.opened = settle(&stream->opened, established, COUNT_MASK),
		.sent_bytes = settle(&stream->sent_bytes, tcp->bytes_sent - tcp->bytes_retrans, COUNT_MASK),
		.received_bytes = settle(&stream->received_bytes, received, COUNT_MASK),
		.sent_packets = settle(&stream->sent_packets, tcp->segs_out, SEGMENT_MASK),
		.received_packets = settle(&stream->received_packets, tcp->segs_in, SEGMENT_MASK),
	};
	int error = sk->sk_err;

	add(counts, &volume);
	if (established) {
		__sync_fetch_and_add(&counts->closed, 1);
		if (error == ECONNRESET || error == EPIPE)
			__sync_fetch_and_add(&counts->reset, 1);
	} else if (error == ECONNREFUSED) {
		__sync_fetch_and_add(&counts->refused, 1);
	} else if (error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH) {
		__sync_fetch_and_add(&counts->unanswered, 1);
	} else {
		__sync_fetch_and_add(&counts->abandoned, 1);
	}
	release(stream, (__u64)sk);
}

SEC("tp_btf/inet_sock_set_state")
int tcp_state(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	int before = (int)ctx[1], after = (int)ctx[2];

	/* Most changes are on the way to an end and leave at once. */
	if (after != TCP_SYN_SENT && after != TCP_CLOSE && after != TCP_LISTEN && before != TCP_SYN_RECV)
		return 0;
	if (sk->sk_protocol != PROTOCOL_TCP)
		return 0;
	const struct control *now = current_control();
	const struct volume nothing = {};

	if (!now)
		return 0;
	if (after == TCP_SYN_SENT) {
		meet(sk);
		follow(now, sk, DIRECTION_OUT, &nothing);
	} else if (after == TCP_LISTEN) {
		meet(sk);
	} else if (after == TCP_ESTABLISHED) {
		follow(now, sk, DIRECTION_IN, &nothing);
	} else if (after == TCP_CLOSE) {
		finish(now, sk, before);
	}
	return 0;
}

/* Whether the record is of a socket that is there, as far as its memory tells. */
INLINE int lives(const struct stream *stream, struct sock *sk, __u64 netns)
{
	struct net *net = NULL;
	__u64 cookie = 0;

	if (stream->crowded) {
		struct stream *own = place_of((__u64)sk);

		/* The socket has another record. */
		if (own && own->socket == (__u64)sk)
			return 0;
	}
	READ(net, sk->__sk_common.skc_net.net);
	READ(cookie, net->net_cookie);
	return cookie == netns;
}

/* Counts what the open connections are and did so far; a connection that is over counts itself. The record may be of
 * another socket at any moment: so the marks are read before all else, and move only if they still are what was read. A
 * FIN may be under way and already in the count of bytes, so the last byte waits for the end of the connection. */
SEC("iter/bpf_map_elem")
int sweep(struct bpf_iter__bpf_map_elem *ctx)
{
	struct stream *stream = ctx->value;
	const struct control *now = current_control();

	if (!stream || !now || !stream->socket)
		return 0;
	volatile struct stream *marks = stream;
	struct volume from = {
		.opened = marks->opened,
		.sent_bytes = marks->sent_bytes,
		.received_bytes = marks->received_bytes,
		.sent_packets = marks->sent_packets,
		/* Keeps the processor from reading ahead what follows. */
		.received_packets = __sync_fetch_and_add(&stream->received_packets, 0),
	};
	struct flow_key key = stream->key;
	__u64 socket = stream->socket;
	struct tcp_sock *tcp = (struct tcp_sock *)socket;
	struct sock *sk = (struct sock *)tcp;
	__u64 sent = 0, again = 0, received = 0;
	__u32 segments_out = 0, segments_in = 0;
	__u8 state = TCP_CLOSE;

	READ(state, sk->__sk_common.skc_state);
	if (key.direction && state != TCP_CLOSE && !lives(stream, sk, key.netns))
		state = TCP_CLOSE;
	if (state == TCP_CLOSE && stream->swept++) {
		/* An attempt that failed before it began; else an end that was missed. */
		if (key.direction)
			lose(now, LOSS_CONNECTION_UNKNOWN);
		if (stream->crowded) {
			bpf_map_delete_elem(&crowded, &socket);
		} else {
			stream->key.direction = 0;
			__sync_val_compare_and_swap(&stream->socket, socket, 0);
		}
		return 0;
	}
	if (!key.direction || state == TCP_SYN_SENT || state == TCP_SYN_RECV || state == TCP_CLOSE)
		return 0;
	READ(sent, tcp->bytes_sent);
	READ(again, tcp->bytes_retrans);
	READ(received, tcp->bytes_received);
	READ(segments_out, tcp->segs_out);
	READ(segments_in, tcp->segs_in);
	struct volume volume = {
		.opened = advance(&stream->opened, from.opened, 1, COUNT_MASK),
		.sent_bytes = advance(&stream->sent_bytes, from.sent_bytes, sent - again, COUNT_MASK),
		.received_bytes =
			advance(&stream->received_bytes, from.received_bytes, received ? received - 1 : 0, COUNT_MASK),
		.sent_packets = advance(&stream->sent_packets, from.sent_packets, segments_out, SEGMENT_MASK),
		.received_packets = advance(&stream->received_packets, from.received_packets, segments_in, SEGMENT_MASK),
	};

	if (!(volume.opened | volume.sent_bytes | volume.received_bytes | volume.sent_packets | volume.received_packets))
		return 0;
	struct counts *counts = counts_of(now, &key);

	if (counts)
		add(counts, &volume);
	return 0;
}

/* A SYN to a port where nobody listens meets no socket: the reset that answers it is all there is. */
SEC("tp_btf/tcp_send_reset")
int tcp_refuse(__u64 *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx[1];

	if (ctx[0] || !skb)
		return 0;
	struct {
		__be16 source, dest;
		__be32 sequence, acknowledgement;
		__u8 offset, flags;
	} tcp;
	__u8 header[40];
	struct flow_key key = { .protocol = PROTOCOL_TCP, .direction = DIRECTION_IN };
	const struct control *now = current_control();

	if (!now)
		return 0;
	unsigned char *head = skb->head;

	if (bpf_probe_read_kernel(&tcp, sizeof(tcp), head + skb->transport_header) ||
	    bpf_probe_read_kernel(header, sizeof(header), head + skb->network_header)) {
		lose(now, LOSS_UNPARSED);
		return 0;
	}
	if ((tcp.flags & 0x12) != 0x02)	/* SYN without ACK */
		return 0;
	if (header[0] >> 4 == 4) {
		set_v4(key.remote, *(__be32 *)(header + 12));
		set_v4(key.local, *(__be32 *)(header + 16));
	} else {
		__builtin_memcpy(key.remote, header + 8, 16);
		__builtin_memcpy(key.local, header + 24, 16);
	}
	struct net_device *dev = skb->dev;

	if (!dev)
		return 0;
	key.netns = dev->nd_net.net->net_cookie;
	key.port = ntohs(tcp.dest);
	struct counts *counts = counts_of(now, &key);

	if (counts)
		__sync_fetch_and_add(&counts->refused, 1);
	return 0;
}

/* Keeps what the application asks for, before a load balancer at the socket may put another address in its place. */
INLINE int dial(struct bpf_sock_addr *ctx, int v6)
{
	__u16 port = ntohs((__u16)ctx->user_port);
	__u8 address[16];

	if (!ctx->sk)
		return 1;
	if (v6) {
		__u32 *words = (__u32 *)address;

		words[0] = ctx->user_ip6[0];
		words[1] = ctx->user_ip6[1];
		words[2] = ctx->user_ip6[2];
		words[3] = ctx->user_ip6[3];
	} else {
		set_v4(address, ctx->user_ip4);
	}
	if (ctx->protocol == PROTOCOL_TCP) {
		const struct control *now = current_control();
		struct stream *stream = now ? record(now, (__u64)ctx->sk) : NULL;

		if (!stream)
			return 1;
		if (stream->key.direction) {
			/* Only a socket that is not connected comes here. */
			stream->key.direction = 0;
			lose(now, LOSS_CONNECTION_UNKNOWN);
		}
		copy(stream->key.dialled, address);
		stream->key.dialled_port = port;
		stream->swept = 0;
		return 1;
	}
	struct endpoint *endpoint = bpf_sk_storage_get(&endpoints, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (!endpoint)
		return 1;
	copy(endpoint->dialled, address);
	endpoint->dialled_port = port;
	return 1;
}

SEC("cgroup/connect4")
int dial_connect4(struct bpf_sock_addr *ctx)
{
	return dial(ctx, 0);
}

SEC("cgroup/connect6")
int dial_connect6(struct bpf_sock_addr *ctx)
{
	return dial(ctx, 1);
}

SEC("cgroup/sendmsg4")
int dial_sendmsg4(struct bpf_sock_addr *ctx)
{
	return dial(ctx, 0);
}

SEC("cgroup/sendmsg6")
int dial_sendmsg6(struct bpf_sock_addr *ctx)
{
	return dial(ctx, 1);
}

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

/* The sockets that were there before the programs. Listeners come first, so that an open connection whose local port
 * one of them has is known to have been accepted. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} listening SEC(".maps");

SEC("iter/tcp")
int seed_streams(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	const struct control *now = current_control();

	if (!common || !now)
		return 0;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(common);

	if (!tcp)
		return 0;
	struct sock *sk = (struct sock *)tcp;
	__u64 port = sk->__sk_common.skc_net.net->net_cookie << 16 | sk->__sk_common.skc_num;
	__u8 state = sk->__sk_common.skc_state;

	if (state == TCP_LISTEN) {
		bpf_map_update_elem(&listening, &port, &port, 0);
		return 0;
	}

	if (state == TCP_CLOSE || find((__u64)tcp))
		return 0;
	int accepted = bpf_map_lookup_elem(&listening, &port) ||
		(!ephemeral(now, sk->__sk_common.skc_num) && ephemeral(now, ntohs(sk->__sk_common.skc_dport)));
	/* What went through it so far is not of this time. */
	struct volume before = {
		.opened = state != TCP_SYN_SENT,
		.sent_bytes = tcp->bytes_sent - tcp->bytes_retrans,
		.received_bytes = tcp->bytes_received,
		.sent_packets = tcp->segs_out,
		.received_packets = tcp->segs_in,
	};

	follow(now, sk, accepted ? DIRECTION_IN : DIRECTION_OUT, &before);
	return 0;
}
