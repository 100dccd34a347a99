//! Lines of logs, built from what matters in them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "for tests, of which not every one uses all of it"
)]

use ringfence_flows::{Aggregator, Observations, Options, ReadError, ReadOptions, read_flows};
use ringfence_model::{Edge, Protocol};

use crate::support::Table;

/// A cluster of two nodes: `web` calls `api` (two pods) through the Service `api`.
pub(crate) fn cluster() -> Table {
    Table::default()
        .node("192.168.0.1", "n1")
        .node("192.168.0.2", "n2")
        .pod("10.0.1.1", "shop/Deployment/web", "n1")
        .pod("10.0.2.1", "shop/Deployment/api", "n2")
        .pod("10.0.2.2", "shop/Deployment/api", "n2")
        .pod("10.0.2.3", "shop/Deployment/other", "n2")
        .pod("10.0.2.9", "kube/Deployment/dns", "n2")
        .pod("2001:db8::1", "shop/Deployment/web", "n1")
        .pod("2001:db8::2", "shop/Deployment/api", "n2")
        .service("10.96.0.1", Protocol::Tcp, "shop/api", 80, &[("shop/Deployment/api", 8080)])
        .service("10.96.0.53", Protocol::Udp, "kube/dns", 53, &[("kube/Deployment/dns", 53)])
        .service(
            "10.96.0.2",
            Protocol::Tcp,
            "shop/mixed",
            80,
            &[("shop/Deployment/api", 8080), ("shop/Deployment/other", 9090)],
        )
        .service("10.96.0.3", Protocol::Tcp, "shop/empty", 80, &[])
}

/// A Hubble line in short: `second node source destination l4 more`, such as
/// `1 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S TO_OVERLAY request`. Words after `l4`, in any order: verdicts,
/// observation points, `request`, `reply`, `cookie=N` with `pre` or `post`, `policy` (a policy verdict event).
/// `l4` is a protocol, for TCP with flags (S, A, F, R, P), for ICMP with the type.
pub(crate) fn hubble(short: &str) -> String {
    let words: Vec<_> = short.split_whitespace().collect();
    let [second, node, source, destination, l4, more @ ..] = words.as_slice() else {
        panic!("{short}")
    };
    let (protocol, detail) = l4.split_once('/').unwrap_or((l4, ""));
    let icmp = protocol.starts_with("ICMP");
    let split = |end: &str| -> (String, String) {
        match end.rsplit_once(':') {
            _ if icmp => (end.into(), String::new()),
            Some((ip, port)) => (ip.trim_matches(['[', ']']).into(), port.into()),
            None => (end.into(), String::new()),
        }
    };
    let ((source, source_port), (destination, destination_port)) =
        (split(source), split(destination));
    let mut l4_members = Vec::new();
    if !source_port.is_empty() {
        l4_members.push(format!(r#""source_port":{source_port}"#));
    }
    if !destination_port.is_empty() {
        l4_members.push(format!(r#""destination_port":{destination_port}"#));
    }
    if icmp {
        l4_members.push(format!(r#""type":{detail}"#));
    } else if protocol == "TCP" {
        let flags: Vec<_> = detail
            .chars()
            .map(|flag| match flag {
                'S' => r#""SYN":true"#,
                'A' => r#""ACK":true"#,
                'F' => r#""FIN":true"#,
                'R' => r#""RST":true"#,
                'P' => r#""PSH":true"#,
                other => panic!("{other}"),
            })
            .collect();
        l4_members.push(format!(r#""flags":{{{}}}"#, flags.join(",")));
    }
    let (mut verdict, mut kind, mut extra) = ("FORWARDED", "L3_L4", Vec::new());
    for word in more {
        match *word {
            "DROPPED" | "ERROR" | "AUDIT" | "REDIRECTED" | "VERDICT_UNKNOWN" => verdict = word,
            "request" => extra.push(r#","is_reply":false"#.to_owned()),
            "reply" => extra.push(r#","is_reply":true"#.to_owned()),
            "policy" => extra.push(r#","event_type":{"type":5}"#.to_owned()),
            "drop" => extra.push(r#","event_type":{"type":1,"sub_type":133}"#.to_owned()),
            "L7" => kind = "L7",
            "pre" | "post" => {
                (kind, verdict) = ("SOCK", if *word == "pre" { "TRACED" } else { "TRANSLATED" });
                let word = word.to_uppercase();
                extra.push(format!(
                    r#","sock_xlate_point":"SOCK_XLATE_POINT_{word}_DIRECTION_FWD""#
                ));
            }
            point if point.starts_with("TO_") || point.starts_with("FROM_") => {
                extra.push(format!(r#","trace_observation_point":"{point}""#));
            }
            cookie if cookie.starts_with("cookie=") => {
                extra.push(format!(r#","socket_cookie":"{}""#, &cookie[7..]));
            }
            other => panic!("{other}"),
        }
    }
    let (seconds, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let seconds: u32 = seconds.parse().unwrap();
    let time = format!("2026-03-02T01:{:02}:{:02}.{fraction}Z", seconds / 60, seconds % 60);
    format!(
        r#"{{"flow":{{"time":"{time}","verdict":"{verdict}","IP":{{"source":"{source}","destination":"{destination}"}},"l4":{{"{protocol}":{{{}}}}},"source":{{}},"destination":{{}},"Type":"{kind}","node_name":"{node}"{extra}}},"node_name":"{node}","time":"{time}"}}"#,
        l4_members.join(","),
        extra = extra.concat()
    )
}

/// A record in short: `second node side source destination l4 opened/refused/denied more`, with `sent=BYTES` and
/// `dialled=IP:PORT` after it.
pub(crate) fn record(short: &str) -> String {
    let words: Vec<_> = short.split_whitespace().collect();
    let [second, node, side, source, destination, protocol, counts, more @ ..] = words.as_slice()
    else {
        panic!("{short}")
    };
    let socket = |end: &str| match end.rsplit_once(':') {
        Some((ip, port)) => format!(r#"{{"ip":"{ip}","port":{port}}}"#),
        None => format!(r#"{{"ip":"{end}"}}"#),
    };
    let counts: Vec<u64> = counts.split('/').map(|n| n.parse().unwrap()).collect();
    let mut extra = Vec::new();
    for word in more {
        match word.split_once('=').unwrap() {
            ("sent", bytes) => extra.push(format!(r#","sent":{{"bytes":{bytes},"packets":1}}"#)),
            ("dialled", end) => extra.push(format!(r#","dialled":{}"#, socket(end))),
            other => panic!("{other:?}"),
        }
    }
    let second: u32 = second.parse().unwrap();
    let time = |s: u32| format!("2026-03-02T01:{:02}:{:02}Z", s / 60, s % 60);
    format!(
        r#"{{"version":1,"start":"{}","end":"{}","observer":{{"node":"{node}","side":"{side}"}},"protocol":"{protocol}","source":{},"destination":{},"connections":{{"opened":{},"refused":{},"denied":{}}}{extra}}}"#,
        time(second),
        time(second + 10),
        socket(source),
        socket(destination),
        counts[0],
        counts[1],
        counts[2],
        extra = extra.concat()
    )
}

/// Reads a log whole.
pub(crate) fn observe(log: &[u8], table: &Table, options: Options) -> Observations {
    let (observations, result) = try_observe(log, table, options, ReadOptions::default());
    result.unwrap();
    observations
}

/// Reads as much of a log as can be read.
pub(crate) fn try_observe(
    log: &[u8],
    table: &Table,
    options: Options,
    reading: ReadOptions,
) -> (Observations, Result<(), ReadError>) {
    let mut aggregator = Aggregator::new(table, options);
    let result = read_flows(log, "log", reading, &mut aggregator, |_| {});
    (aggregator.finish(), result)
}

/// `source -> destination l4 forwarded/dropped/refused first-last via services`, seconds counted from 01:00.
pub(crate) fn show(edge: &Edge) -> String {
    let second = |at: ringfence_model::Timestamp| at.nanos() / 1_000_000_000 - 1_772_413_200;
    let e = &edge.evidence;
    let mut text = format!(
        "{} {}/{}/{} {}-{}",
        edge.key,
        e.forwarded,
        e.dropped,
        e.refused,
        second(e.first_seen),
        second(e.last_seen)
    );
    if edge.key.nature == ringfence_model::Nature::OwnNode {
        text += " own-node";
    }
    text.extend(edge.services.iter().map(|service| format!(" via {service}")));
    text.replace("shop/Deployment/", "").replace("kube/Deployment/", "")
}
