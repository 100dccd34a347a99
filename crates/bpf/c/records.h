/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the programs and user space share. The Rust side checks its own layout against this file, field by field:
 * one field a line, of the types below only. Addresses are 16 bytes, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2);
 * ports are in host order. */
#ifndef RINGFENCE_RECORDS_H
#define RINGFENCE_RECORDS_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

/* Who called. */
#define DIRECTION_OUT 1
#define DIRECTION_IN 2

/* What is counted together. */
struct flow_key {
	__u64 netns;		/* cookie of the network namespace */
	__u64 cgroup;		/* id of the socket's cgroup; 0 without a socket */
	__u8 local[16];
	__u8 remote[16];	/* reached, as far as the socket knows */
	__u8 dialled[16];	/* asked for, where that differs; else zero */
	__u16 dialled_port;
	__u16 port;		/* the server's: remote if DIRECTION_OUT, local if DIRECTION_IN */
	__u8 protocol;		/* IANA number */
	__u8 direction;
	__u8 pad[2];
};

/* What is counted. Bytes are those of the application: payload that was sent at least once, payload that was taken. */
struct counts {
	__u64 opened;		/* TCP: established. Else conversations begun */
	__u64 closed;		/* TCP connections that had been established */
	__u64 answered;		/* conversations, not TCP: that went both ways */
	__u64 refused;		/* attempts that a reset or a port-unreachable error ended */
	__u64 unanswered;	/* TCP attempts that ran into a time-out or an unreachable network or host */
	__u64 abandoned;	/* TCP attempts that the caller gave up */
	__u64 reset;		/* of those closed: by a reset from the other end */
	__u64 sent_bytes;
	__u64 received_bytes;
	__u64 sent_packets;
	__u64 received_packets;
};

/* What could not be counted where it belongs, beside the counts that found no room for their key. */
#define LOSS_CONNECTION_UNKNOWN 0	/* TCP connections that ended without having been known */
#define LOSS_DATAGRAM_UNKNOWN 1		/* packets of sockets that are not known: the kernel's own, or not yet seeded */
#define LOSS_NO_MEMORY 2		/* sockets that could not be followed */
#define LOSS_UNPARSED 3			/* packets whose headers could not be read */
#define LOSS_CONVERSATION_ROOM 4	/* conversations that could not be remembered: packets counted, no opening */
#define LOSS_KINDS 8			/* room for later ones */

/* A network namespace as the programs met it: enough to find out whose it is, even after it is gone. */
struct namespace {
	__u64 cgroup;		/* id of the cgroup of the process that opened or offered a connection first */
	__u32 inode;		/* as in the link /proc/PID/ns/net */
	__u32 process;		/* that process, in the initial pid namespace */
};

/* Which pair of tables is being filled: those of epoch & 1. */
struct control {
	__u64 epoch;
	__u64 incarnation;	/* random, from the creation of the maps */
	__u32 ephemeral_first;	/* the machine's range of ports that clients get */
	__u32 ephemeral_last;
};

#endif
