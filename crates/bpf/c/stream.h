/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* TCP: by the changes of a socket's state, and by sweeps over the open connections. */
#ifndef RINGFENCE_STREAM_H
#define RINGFENCE_STREAM_H

#include "tables.h"

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

#endif
