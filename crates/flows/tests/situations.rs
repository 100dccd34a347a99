//! One row a situation: a small log, and the edges that it is evidence of.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod log;
mod support;

use log::{cluster, hubble, observe, record, show};
use ringfence_flows::Options;

/// Name, lines in short, expected edges. Order of lines must not matter, nor lines that are there twice.
const HUBBLE: &[(&str, &[&str], &[&str])] = &[
    (
        "both nodes report a connection and its replies",
        &[
            "1 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S TO_OVERLAY request",
            "2 n2 10.0.1.1:40000 10.0.2.1:8080 TCP/S TO_ENDPOINT request",
            "3 n2 10.0.2.1:8080 10.0.1.1:40000 TCP/SA TO_OVERLAY reply",
            "4 n1 10.0.2.1:8080 10.0.1.1:40000 TCP/SA TO_ENDPOINT reply",
            "5 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/FA TO_OVERLAY request",
        ],
        &["web -> api TCP/8080 1/0/0 1-5"],
    ),
    (
        "two client ports are two connections, two pods of a workload one edge",
        &[
            "1 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S request",
            "2 n1 10.0.1.1:40001 10.0.2.1:8080 TCP/S request",
            "3 n1 10.0.1.1:40002 10.0.2.2:8080 TCP/S request",
        ],
        &["web -> api TCP/8080 3/0/0 1-3"],
    ),
    (
        "a retransmitted SYN is the same connection",
        &[
            "1 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S request",
            "2 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S request",
        ],
        &["web -> api TCP/8080 1/0/0 1-2"],
    ),
    (
        "a reset in answer to the SYN refuses",
        &[
            "1 n1 10.0.1.1:40000 10.0.2.1:8081 TCP/S request",
            "1 n1 10.0.2.1:8081 10.0.1.1:40000 TCP/RA reply",
        ],
        &["web -> api TCP/8081 1/0/1 1-1"],
    ),
    (
        "a reset of an established connection does not",
        &[
            "1 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S request",
            "1 n1 10.0.2.1:8080 10.0.1.1:40000 TCP/SA reply",
            "1 n1 10.0.2.1:8080 10.0.1.1:40000 TCP/RA reply",
        ],
        &["web -> api TCP/8080 1/0/0 1-1"],
    ),
    (
        "a reset of a connection older than the log does not",
        &[
            "1 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/PA request",
            "1 n1 10.0.2.1:8080 10.0.1.1:40000 TCP/R reply",
        ],
        &["web -> api TCP/8080 1/0/0 1-1"],
    ),
    (
        "forwarded by the client's node and dropped by the server's is dropped, its two events are one attempt",
        &[
            "1 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S TO_OVERLAY request",
            "1 n2 10.0.1.1:40000 10.0.2.1:8080 TCP/S DROPPED policy",
            "1 n2 10.0.1.1:40000 10.0.2.1:8080 TCP/S DROPPED drop",
        ],
        &["web -> api TCP/8080 0/1/0 1-1"],
    ),
    (
        "a policy verdict that allows is the connection it allows",
        &[
            "1 n2 10.0.1.1:40000 10.0.2.1:8080 TCP/S policy request",
            "1 n2 10.0.1.1:40000 10.0.2.1:8080 TCP/S TO_ENDPOINT request",
        ],
        &["web -> api TCP/8080 1/0/0 1-1"],
    ),
    (
        "a packet lost from a connection that is answered does not deny it",
        &[
            "1 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S request",
            "2 n1 10.0.2.1:8080 10.0.1.1:40000 TCP/SA reply",
            "3 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/PA DROPPED drop",
        ],
        &["web -> api TCP/8080 1/0/0 1-3"],
    ),
    (
        "audit and redirection to a proxy let pass, an error does not",
        &[
            "1 n1 10.0.1.1:40000 10.0.2.1:81 TCP/S AUDIT request",
            "1 n1 10.0.1.1:40000 10.0.2.1:82 TCP/S REDIRECTED request",
            "1 n1 10.0.1.1:40000 10.0.2.1:83 TCP/S ERROR request",
            "1 n1 10.0.1.1:40000 10.0.2.1:84 TCP/S VERDICT_UNKNOWN request",
        ],
        &[
            "web -> api TCP/81 1/0/0 1-1",
            "web -> api TCP/82 1/0/0 1-1",
            "web -> api TCP/83 0/1/0 1-1",
        ],
    ),
    (
        "a connection known by its replies only",
        &["1 n1 10.0.2.1:8080 10.0.1.1:40000 TCP/A reply"],
        &["web -> api TCP/8080 1/0/0 1-1"],
    ),
    (
        "without is_reply the handshake tells, also for what comes before it",
        &[
            "1 n1 10.0.2.1:8080 10.0.1.1:9999 TCP/A",
            "2 n1 10.0.1.1:9999 10.0.2.1:8080 TCP/S",
            "3 n1 10.0.2.1:8080 10.0.1.1:9999 TCP/SA",
        ],
        &["web -> api TCP/8080 1/0/0 1-3"],
    ),
    (
        "UDP by is_reply, whatever the ports",
        &[
            "1 n1 10.0.1.1:53 10.0.2.1:40000 UDP request",
            "2 n1 10.0.2.1:40000 10.0.1.1:53 UDP reply",
        ],
        &["web -> api UDP/40000 1/0/0 1-2"],
    ),
    (
        "UDP without is_reply: the side with a port that clients are given",
        &["1 n1 10.0.2.1:5353 10.0.1.1:40000 UDP", "2 n1 10.0.1.1:40000 10.0.2.1:5353 UDP"],
        &["web -> api UDP/5353 1/0/0 1-2"],
    ),
    (
        "UDP without is_reply and without a telling port: who spoke first, not the lower port",
        &["1 n1 10.0.1.1:500 10.0.2.1:4500 UDP", "2 n1 10.0.2.1:4500 10.0.1.1:500 UDP"],
        &["web -> api UDP/4500 1/0/0 1-2"],
    ),
    (
        "SCTP",
        &["1 n1 10.0.1.1:40000 10.0.2.1:3868 SCTP request"],
        &["web -> api SCTP/3868 1/0/0 1-1"],
    ),
    (
        "IPv6, and IPv4 in IPv6 clothes",
        &[
            "1 n1 [2001:db8::1]:40000 [2001:db8::2]:8080 TCP/S request",
            "2 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S request",
            "3 n2 [::ffff:10.0.1.1]:40000 [::ffff:10.0.2.1]:8080 TCP/S request",
        ],
        &["web -> api TCP/8080 2/0/0 1-3"],
    ),
    (
        "the Service address before translation is a view of the translated connection",
        &[
            "1 n1 10.0.1.1:40000 10.96.0.1:80 TCP/S FROM_ENDPOINT",
            "2 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S TO_OVERLAY request",
        ],
        &["web -> api TCP/8080 1/0/0 2-2 via shop/api:80"],
    ),
    (
        "another connection's translated view is no substitute",
        &[
            "1 n1 10.0.1.1:40000 10.96.0.1:80 TCP/S FROM_ENDPOINT",
            "2 n1 10.0.1.1:40001 10.0.2.1:8080 TCP/S TO_OVERLAY request",
        ],
        &["web -> api TCP/8080 2/0/0 1-2 via shop/api:80"],
    ),
    (
        "only the view before translation: the backends",
        &["1 n1 10.0.1.1:40000 10.96.0.1:80 TCP/S FROM_ENDPOINT"],
        &["web -> api TCP/8080 1/0/0 1-1 via shop/api:80"],
    ),
    (
        "only the view before translation, and several backends: each may be the one",
        &["1 n1 10.0.1.1:40000 10.96.0.2:80 TCP/S FROM_ENDPOINT"],
        &[
            "web -> api TCP/8080 1/0/0 1-1 via shop/mixed:80",
            "web -> other TCP/9090 1/0/0 1-1 via shop/mixed:80",
        ],
    ),
    (
        "the translated view tells which of several backends",
        &[
            "1 n1 10.0.1.1:40000 10.96.0.2:80 TCP/S FROM_ENDPOINT",
            "1 n1 10.0.1.1:40000 10.0.2.3:9090 TCP/S TO_OVERLAY request",
        ],
        &["web -> other TCP/9090 1/0/0 1-1 via shop/mixed:80"],
    ),
    (
        "a translated view that is no known backend is told by the socket and the time",
        &[
            "1 n1 10.0.1.1:40000 10.96.0.3:80 TCP/S FROM_ENDPOINT",
            "2 n1 10.0.1.1:40000 10.0.2.3:9090 TCP/S TO_OVERLAY request",
        ],
        &["web -> other TCP/9090 1/0/0 2-2 via shop/empty:80"],
    ),
    (
        "much later the same socket is another connection",
        &[
            "1 n1 10.0.1.1:40000 10.96.0.1:80 TCP/S FROM_ENDPOINT",
            "90 n1 10.0.1.1:40000 10.0.2.3:9090 TCP/S TO_OVERLAY request",
        ],
        &["web -> api TCP/8080 1/0/0 1-1 via shop/api:80", "web -> other TCP/9090 1/0/0 90-90"],
    ),
    (
        "a Service without backends is the peer itself",
        &["1 n1 10.0.1.1:40000 10.96.0.3:80 TCP/S FROM_ENDPOINT"],
        &["web -> shop/Service/empty TCP/80 1/0/0 1-1 via shop/empty:80"],
    ),
    (
        "a reply from the Service address is a view before translation too",
        &[
            "1 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S TO_OVERLAY request",
            "2 n1 10.96.0.1:80 10.0.1.1:40000 TCP/SA TO_ENDPOINT reply",
        ],
        &["web -> api TCP/8080 1/0/0 1-1 via shop/api:80"],
    ),
    (
        "socket calls tell the Service of packets",
        &[
            "1 n1 10.0.1.1 10.96.0.1:80 TCP pre cookie=7",
            "1 n1 10.0.1.1 10.0.2.1:8080 TCP post cookie=7",
            "2 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S TO_OVERLAY request",
            "3 n1 10.0.1.1:40001 10.0.2.1:8080 TCP/S TO_OVERLAY request",
        ],
        &["web -> api TCP/8080 2/0/0 2-3 via shop/api:80"],
    ),
    (
        "socket calls alone count by cookie and node",
        &[
            "1 n1 10.0.1.1 10.96.0.1:80 TCP pre cookie=7",
            "1 n1 10.0.1.1 10.0.2.1:8080 TCP post cookie=7",
            "2 n1 10.0.1.1 10.96.0.1:80 TCP pre cookie=8",
            "2 n1 10.0.1.1 10.0.2.2:8080 TCP post cookie=8",
        ],
        &["web -> api TCP/8080 2/0/0 1-2 via shop/api:80"],
    ),
    (
        "a socket call without translation: the backends",
        &["1 n1 10.0.1.1 10.96.0.1:80 TCP pre cookie=7"],
        &["web -> api TCP/8080 1/0/0 1-1 via shop/api:80"],
    ),
    (
        "a socket call without translation, and packets to one of the backends",
        &[
            "1 n1 10.0.1.1 10.96.0.2:80 TCP pre cookie=7",
            "2 n1 10.0.1.1:40000 10.0.2.3:9090 TCP/S TO_OVERLAY request",
        ],
        &["web -> other TCP/9090 1/0/0 2-2 via shop/mixed:80"],
    ),
    (
        "a socket call to no Service",
        &["1 n1 10.0.1.1 203.0.113.7:443 TCP pre cookie=9"],
        &["web -> 203.0.113.7 TCP/443 1/0/0 1-1"],
    ),
    (
        "DNS through the Service, one socket for two questions",
        &[
            "1 n1 10.0.1.1:40000 10.96.0.53:53 UDP FROM_ENDPOINT",
            "1 n1 10.0.1.1:40000 10.0.2.9:53 UDP TO_OVERLAY request",
            "2 n1 10.0.2.9:53 10.0.1.1:40000 UDP TO_ENDPOINT reply",
            "3 n1 10.0.1.1:40000 10.0.2.9:53 UDP TO_OVERLAY request",
        ],
        &["web -> dns UDP/53 1/0/0 1-3 via kube/dns:53"],
    ),
    (
        "echo requests count each, seen at two points once",
        &[
            "1 n1 10.0.1.1 10.0.2.1 ICMPv4/8 TO_OVERLAY request",
            "1.1 n2 10.0.1.1 10.0.2.1 ICMPv4/8 TO_ENDPOINT request",
            "1.2 n2 10.0.2.1 10.0.1.1 ICMPv4/0 TO_OVERLAY reply",
            "2 n1 10.0.1.1 10.0.2.1 ICMPv4/8 TO_OVERLAY request",
            "2.1 n2 10.0.1.1 10.0.2.1 ICMPv4/8 TO_ENDPOINT request",
            "3 n1 2001:db8::1 2001:db8::2 ICMPv6/128 TO_OVERLAY request",
        ],
        &["web -> api ICMP 2/0/0 1-2", "web -> api ICMPv6 1/0/0 3-3"],
    ),
    (
        "an echo request that the server's node drops",
        &[
            "1 n1 10.0.1.1 10.0.2.1 ICMPv4/8 TO_OVERLAY request",
            "1 n2 10.0.1.1 10.0.2.1 ICMPv4/8 DROPPED drop",
            "1 n2 10.0.1.1 10.0.2.1 ICMPv4/8 DROPPED policy",
        ],
        &["web -> api ICMP 0/1/0 1-1"],
    ),
    (
        "no edges: link-local, multicast, ICMP errors, L7",
        &[
            "1 n1 fe80::1 ff02::2 ICMPv6/133 DROPPED drop",
            "1 n1 [fe80::1]:546 [2001:db8::1]:547 UDP request",
            "1 n1 10.0.1.1:5353 224.0.0.251:5353 UDP request",
            "1 n1 10.0.2.1 10.0.1.1 ICMPv4/3 request",
            "1 n1 10.0.1.1:40000 10.0.2.1:8080 TCP L7 request",
        ],
        &[],
    ),
    (
        "node-local DNS is link-local and an edge all the same",
        &["1 n1 10.0.1.1:40000 169.254.20.10:53 UDP request"],
        &["web -> 169.254.20.10 UDP/53 1/0/0 1-1"],
    ),
    (
        "from the pod's own node, and from another node",
        &[
            "1 n2 192.168.0.2:40000 10.0.2.1:8080 TCP/S request",
            "1 n2 192.168.0.1:40000 10.0.2.1:8080 TCP/S request",
        ],
        &["Node/n1 -> api TCP/8080 1/0/0 1-1", "Node/n2 -> api TCP/8080 1/0/0 1-1 own-node"],
    ),
];

const RECORDS: &[(&str, &[&str], &[&str])] = &[
    (
        "one side over two intervals",
        &[
            "0 n1 client 10.0.1.1 10.0.2.1:8080 TCP 3/1/0",
            "10 n1 client 10.0.1.1 10.0.2.1:8080 TCP 2/0/0",
        ],
        &["web -> api TCP/8080 5/0/1 0-20"],
    ),
    (
        "both sides saw the same",
        &[
            "0 n1 client 10.0.1.1 10.0.2.1:8080 TCP 3/1/0",
            "1 n2 server 10.0.1.1 10.0.2.1:8080 TCP 3/1/0",
        ],
        &["web -> api TCP/8080 3/0/1 0-11"],
    ),
    (
        "what the client's side let pass the server's side denied",
        &[
            "0 n1 client 10.0.1.1 10.0.2.1:8080 TCP 5/0/0",
            "0 n2 server 10.0.1.1 10.0.2.1:8080 TCP 3/0/2",
        ],
        &["web -> api TCP/8080 3/2/0 0-10"],
    ),
    (
        "denials of the two sides are different attempts",
        &[
            "0 n1 client 10.0.1.1 10.0.2.1:8080 TCP 2/0/4",
            "0 n2 server 10.0.1.1 10.0.2.1:8080 TCP 0/0/2",
        ],
        &["web -> api TCP/8080 0/6/0 0-10"],
    ),
    (
        "a connection older than the log counts once",
        &[
            "0 n1 client 10.0.1.1:40000 10.0.2.1:8080 TCP 0/0/0 sent=100",
            "10 n1 client 10.0.1.1:40000 10.0.2.1:8080 TCP 0/0/0 sent=100",
            "0 n2 server 10.0.1.1:40000 10.0.2.1:8080 TCP 0/0/0 sent=100",
        ],
        &["web -> api TCP/8080 1/0/0 0-20"],
    ),
    ("nothing happened", &["0 n1 client 10.0.1.1 10.0.2.1:8080 TCP 0/0/0"], &[]),
    (
        "with the Service dialled",
        &["0 n1 client 10.0.1.1 10.0.2.1:8080 TCP 1/0/0 dialled=10.96.0.1:80"],
        &["web -> api TCP/8080 1/0/0 0-10 via shop/api:80"],
    ),
    (
        "the client's side sees the Service only",
        &["0 n1 client 10.0.1.1 10.96.0.1:80 TCP 4/0/0"],
        &["web -> api TCP/8080 4/0/0 0-10 via shop/api:80"],
    ),
    (
        "the client's side sees the Service, the server's side the client",
        &[
            "0 n1 client 10.0.1.1 10.96.0.1:80 TCP 4/0/0",
            "0 n2 server 10.0.1.1 10.0.2.1:8080 TCP 4/0/0",
        ],
        &["web -> api TCP/8080 4/0/0 0-10 via shop/api:80"],
    ),
    (
        "UDP and SCTP",
        &[
            "0 n1 client 10.0.1.1 10.0.2.9:53 UDP 4/0/0",
            "0 n1 client 10.0.1.1 10.0.2.1:3868 SCTP 1/0/0",
        ],
        &["web -> dns UDP/53 4/0/0 0-10", "web -> api SCTP/3868 1/0/0 0-10"],
    ),
];

fn check(name: &str, lines: &[String], expected: &[&str]) {
    let table = cluster();
    let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
    expected.sort_unstable();
    let backwards: Vec<_> = lines.iter().rev().cloned().collect();
    let doubled = [lines, &backwards].concat();
    for (order, lines) in [("in order", lines), ("backwards", &backwards), ("twice", &doubled)] {
        let observed = observe(lines.join("\n").as_bytes(), &table, Options::default());
        let mut edges: Vec<_> = observed.edges.iter().map(show).collect();
        edges.sort_unstable();
        assert_eq!(edges, expected, "{name}, {order}\n{:#?}", observed.ledger);
        assert_eq!(observed.ledger.lines(), lines.len() as u64, "{name}, {order}");
        assert_eq!(observed.ledger.malformed, 0, "{name}: {:#?}", observed.diagnostics);
    }
}

#[test]
fn hubble_situations() {
    for (name, lines, expected) in HUBBLE {
        let lines: Vec<_> = lines.iter().map(|line| hubble(line)).collect();
        check(name, &lines, expected);
    }
}

#[test]
fn record_situations() {
    for (name, lines, expected) in RECORDS {
        let lines: Vec<_> = lines.iter().map(|line| record(line)).collect();
        check(name, &lines, expected);
    }
}
