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
#include "datagram.h"
#include "stream.h"

char LICENSE[] SEC("license") = "GPL";

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
