//! Inputs as they come: compressed, cut off, garbled, huge, and in pieces.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod log;
mod support;

use std::io::{self, Read, Write};

use log::{cluster, hubble, observe, record, show, try_observe};
use proptest::prelude::*;
use ringfence_flows::{Aggregator, Options, ReadError, ReadOptions, Skip, read_file, read_flows};
use ringfence_model::{Span, Timestamp};

/// A log of `n` connections, one line each.
fn connections(n: u32) -> String {
    let line =
        |at| format!("{} n1 10.0.1.1:{} 10.0.2.1:8080 TCP/S request", at % 3000, 30_000 + at);
    (0..n).map(|at| hubble(&line(at)) + "\n").collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

fn edges(log: &[u8]) -> Vec<String> {
    observe(log, &cluster(), Options::default()).edges.iter().map(show).collect()
}

#[test]
fn compression_is_found_by_content() {
    let text = connections(100);
    let (first, second) = text.split_at(text.len() / 2);
    let members = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
    let expected = edges(text.as_bytes());
    assert_eq!(expected, ["web -> api TCP/8080 100/0/0 0-99"]);
    for log in [gzip(text.as_bytes()), members, zstd::encode_all(text.as_bytes(), 1).unwrap()] {
        assert_eq!(edges(&log), expected);
    }
    assert_eq!(edges(text.replace('\n', "\r\n").as_bytes()), expected);
    assert_eq!(edges(text.replace('\n', "\n\n  \n").as_bytes()), expected);
    assert_eq!(edges(b""), Vec::<String>::new());
    assert_eq!(edges(text.trim_end().as_bytes()), expected);
}

#[test]
fn cut_off_compression_is_an_error_that_keeps_what_was_read() {
    let text = connections(3000);
    for log in [gzip(text.as_bytes()), zstd::encode_all(text.as_bytes(), 1).unwrap()] {
        let cut = &log[..log.len() / 2];
        let (observed, result) =
            try_observe(cut, &cluster(), Options::default(), ReadOptions::default());
        let Err(ReadError::Truncated { lines, bytes, .. }) = &result else { panic!("{result:?}") };
        assert_eq!(*bytes, cut.len() as u64);
        assert!((500..3000).contains(lines), "{lines}");
        assert_eq!(observed.ledger.lines(), *lines);
        assert_eq!(observed.edges[0].evidence.forwarded, *lines);
        assert_eq!(observed.ledger.malformed, 0);
        let message = result.unwrap_err().to_string();
        assert!(
            message.starts_with("log: the compressed data ends too early, after "),
            "{message}"
        );
    }
    let mut broken = gzip(text.as_bytes());
    let middle = broken.len() / 2;
    broken[middle..middle + 64].fill(0xff);
    let (_, result) = try_observe(&broken, &cluster(), Options::default(), ReadOptions::default());
    assert!(matches!(result, Err(ReadError::Read { .. })), "{result:?}");
}

#[test]
fn a_file_that_is_not_there_or_not_a_log_is_an_error() {
    let table = cluster();
    let mut aggregator = Aggregator::new(&table, Options::default());
    let missing = std::path::Path::new("no/such/file");
    let result = read_file(missing, ReadOptions::default(), &mut aggregator, |_| {});
    assert!(matches!(result, Err(ReadError::Open { .. })), "{result:?}");
    let yaml = "kind: Pod\nmetadata: {}\n";
    let (observed, result) =
        try_observe(yaml.as_bytes(), &table, Options::default(), ReadOptions::default());
    assert!(matches!(result, Err(ReadError::Format { lines: 2, .. })), "{result:?}");
    assert_eq!(observed.ledger.malformed, 2);
}

#[test]
fn bad_lines_are_counted_and_placed_and_the_rest_is_used() {
    let good: Vec<_> = connections(8).lines().map(str::to_owned).collect();
    let mut log = Vec::new();
    let bad: [&[u8]; 7] = [
        b"not JSON",
        b"{\"flow\":{\"time\":\"2026-03-02T01:00:00Z\"",
        b"{\"flow\":{\"summary\":\"\xff\"}}",
        b"{\"flow\":{\"time\":\"yesterday\",\"verdict\":\"FORWARDED\",\"IP\":{\"source\":\"10.0.1.1\",\"destination\":\"10.0.2.1\"},\"l4\":{\"TCP\":{\"source_port\":1,\"destination_port\":1}}}}",
        b"{\"flow\":{\"time\":\"2026-03-02T01:00:00Z\",\"verdict\":\"FORWARDED\",\"IP\":{\"source\":\"10.0.1\",\"destination\":\"10.0.2.1\"},\"l4\":{\"TCP\":{\"source_port\":1,\"destination_port\":1}}}}",
        b"{\"flow\":{\"time\":\"2026-03-02T01:00:00Z\",\"verdict\":\"FORWARDED\",\"IP\":{\"source\":\"10.0.1.1\",\"destination\":\"10.0.2.1\"},\"l4\":{\"TCP\":{\"source_port\":1,\"destination_port\":65536}}}}",
        b"[]",
    ];
    for (good, bad) in good.iter().zip(bad) {
        log.extend_from_slice(good.as_bytes());
        log.push(b'\n');
        log.extend_from_slice(bad);
        log.push(b'\n');
    }
    let observed = observe(&log, &cluster(), Options::default());
    assert_eq!(observed.ledger.malformed, 7);
    assert_eq!(observed.ledger.used, 7);
    let shown: Vec<_> = observed.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "log:2: warning[malformed-flow]: line skipped: not JSON at byte 0",
            "log:4: warning[malformed-flow]: line skipped: the JSON ends too early",
            "log:6: warning[malformed-flow]: line skipped: not valid UTF-8",
            "log:8: warning[malformed-flow]: line skipped: time is \"yesterday\", which is not what it should be",
            "log:10: warning[malformed-flow]: line skipped: IP address is \"10.0.1\", which is not what it should be",
            "warning[malformed-flow]: 2 more lines skipped that could not be read",
        ]
    );
}

#[test]
fn garbage_at_the_beginning_does_not_hide_the_format() {
    let log = format!("level=info msg=starting\n{}", connections(3));
    let observed = observe(log.as_bytes(), &cluster(), Options::default());
    assert_eq!((observed.ledger.malformed, observed.ledger.used), (1, 3));
}

#[test]
fn a_huge_line_is_skipped_without_holding_it() {
    let before = connections(1);
    let huge = io::repeat(b'x').take(256 << 20);
    let after = format!("\n{}", connections(2));
    let input = before.as_bytes().chain(huge).chain(after.as_bytes());
    let table = cluster();
    let mut aggregator = Aggregator::new(&table, Options::default());
    let mut told = Vec::new();
    read_flows(input, "log", ReadOptions::default(), &mut aggregator, |bytes| told.push(bytes))
        .unwrap();
    let observed = aggregator.finish();
    assert_eq!((observed.ledger.oversized, observed.ledger.lines()), (1, 4));
    let diagnostic = observed.diagnostics[0].to_string();
    assert_eq!(diagnostic, "log:2: warning[oversized-flow]: line skipped: longer than the limit");
    assert!(told.is_sorted());
    assert_eq!(*told.last().unwrap(), (before.len() + (256 << 20) + after.len()) as u64);
}

#[test]
fn both_shapes_of_hubble_are_read() {
    let wrapped = hubble("1 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S request");
    let bare = serde_json::from_str::<serde_json::Value>(&wrapped).unwrap()["flow"].to_string();
    let lost = r#"{"lost_events":{"source":"PERF_EVENT_RING_BUFFER","num_events_lost":"17"},"node_name":"n1","time":"2026-03-02T01:00:00Z"}"#;
    let status = r#"{"node_status":{"state_change":"NODE_CONNECTED"},"node_name":"n1"}"#;
    let log = [lost, status, &wrapped, &bare, lost].join("\n");
    let observed = observe(log.as_bytes(), &cluster(), Options::default());
    assert_eq!(
        observed.edges.iter().map(show).collect::<Vec<_>>(),
        ["web -> api TCP/8080 1/0/0 1-1"]
    );
    let ledger = &observed.ledger;
    assert_eq!((ledger.loss_reports, ledger.lost_events), (2, 34));
    assert_eq!((ledger.used, ledger.repeated, ledger.skipped(Skip::OtherEvent)), (1, 1, 1));
    assert_eq!(ledger.lines(), 5);
    let codes: Vec<_> = observed.diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["lost-events"]);
}

#[test]
fn only_the_window_counts() {
    let second = |s: i64| Timestamp::from_secs(1_772_413_200 + s);
    let window = Span { from: second(2), until: second(4) };
    let options = Options { window, ..Options::default() };
    let observed = observe(connections(6).as_bytes(), &cluster(), options);
    assert_eq!(
        observed.edges.iter().map(show).collect::<Vec<_>>(),
        ["web -> api TCP/8080 2/0/0 2-3"]
    );
    assert_eq!((observed.ledger.outside_window, observed.ledger.used), (4, 2));
    let until = Timestamp::from_nanos(second(3).nanos() + 1);
    assert_eq!(observed.window, Some(Span { from: second(2), until }));
}

#[test]
fn endpoints_are_who_the_observer_says() {
    let line = |source: &str, destination: &str| {
        hubble("1 n1 10.0.9.1:40000 10.0.9.2:8080 TCP/S request")
            .replace(r#""source":{}"#, &format!(r#""source":{source}"#))
            .replace(r#""destination":{}"#, &format!(r#""destination":{destination}"#))
    };
    let gone = r#"{"identity":7,"namespace":"shop","labels":["k8s:app=gone"],"pod_name":"gone-1","workloads":[{"name":"gone","kind":"CronJob"}]}"#;
    let host = r#"{"identity":1,"labels":["reserved:host"]}"#;
    for (source, destination, expected) in [
        (gone, host, "shop/CronJob/gone -> Node/n1 TCP/8080 1/0/0 1-1"),
        (host, "null", "Node/n1 -> 10.0.9.2 TCP/8080 1/0/0 1-1"),
        (
            r#"{"identity":2,"labels":["reserved:world"]}"#,
            "{}",
            "10.0.9.1 -> 10.0.9.2 TCP/8080 1/0/0 1-1",
        ),
    ] {
        assert_eq!(edges(line(source, destination).as_bytes()), [expected]);
        // The better description wins, wherever it stands.
        let vague = line("{}", "{}");
        let both = [line(source, destination), vague.clone()].join("\n");
        assert_eq!(edges(both.as_bytes()), [expected]);
        let both = [vague, line(source, destination)].join("\n");
        assert_eq!(edges(both.as_bytes()), [expected]);
    }
    let bad = line(r#"{"namespace":"shop","pod_name":"../x"}"#, "{}");
    assert_eq!(observe(bad.as_bytes(), &cluster(), Options::default()).ledger.malformed, 1);
}

proptest! {
    /// Whatever is broken, every line is accounted for, and lines that were left alone still count.
    #[test]
    fn broken_bytes_break_their_line_only(
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        as_records: bool,
    ) {
        let text = if as_records {
            (0..30).map(|n| record(&format!("{n} n1 client 10.0.1.1 10.0.2.1:8080 TCP 1/0/0")) + "\n").collect()
        } else {
            connections(30)
        };
        let mut bytes = text.into_bytes();
        for (at, byte) in &hits {
            *at.get_mut(&mut bytes) = *byte;
        }
        let (observed, result) =
            try_observe(&bytes, &cluster(), Options::default(), ReadOptions::default());
        prop_assert!(result.is_ok(), "{:?}", result);
        let lines = bytes.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()).count();
        prop_assert_eq!(observed.ledger.lines(), lines as u64);
        let hit = hits.len() as u64;
        prop_assert!(observed.ledger.used + 2 * hit >= 30, "{:?}", observed.ledger);
    }

    #[test]
    fn no_input_makes_it_panic(
        pieces in prop::collection::vec(
            prop_oneof![
                Just(hubble("1 n1 10.0.1.1:40000 10.0.2.1:8080 TCP/S request").into_bytes()),
                Just(record("1 n1 client 10.0.1.1 10.0.2.1:8080 TCP 1/0/0").into_bytes()),
                prop::collection::vec(any::<u8>(), 0..40),
                Just(b"{\"flow\":".to_vec()),
                Just(b"\n".to_vec()),
            ],
            0..12,
        )
    ) {
        let (observed, _) =
            try_observe(&pieces.concat(), &cluster(), Options::default(), ReadOptions::default());
        prop_assert!(observed.ledger.lines() < 500);
    }
}

/// A connection that goes on stays in mind, and so does that its dialled view was seen, however small the table.
#[test]
fn a_connection_that_outlives_its_dialled_view_keeps_its_service() {
    let x = "10.0.1.1:40000 10.0.2.1:8080 TCP";
    let other = |port: u16| format!("3 n1 10.0.1.1:{port} 10.0.2.1:8080 TCP/S request");
    let lines = [
        format!("1 n1 {x}/S request"),
        "1 n1 10.0.1.1:40000 10.96.0.1:80 TCP/S FROM_ENDPOINT".to_owned(),
        other(40_001),
        format!("4 n1 {x}/PA request"),
        other(40_002),
        format!("5 n1 {x}/PA request"),
        other(40_003),
        format!("6 n1 {x}/PA request"),
    ];
    let log: Vec<_> = lines.iter().map(|line| hubble(line)).collect();
    let options = Options { connections: 4, ..Options::default() };
    let observed = observe(log.join("\n").as_bytes(), &cluster(), options);
    let edges: Vec<_> = observed.edges.iter().map(show).collect();
    assert_eq!(edges, ["web -> api TCP/8080 4/0/0 1-6 via shop/api:80"]);
    assert!(observed.ledger.evicted > 0);
    assert!(observed.diagnostics.iter().any(|d| d.code == "connections-forgotten"));
}
