//! What must hold for every log: order, repetition and files do not matter, and the counts are the true ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod log;
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use log::{cluster, hubble, observe, record};
use proptest::prelude::*;
use ringfence_flows::{Aggregator, Bucket, Ledger, Observations, Options, ReadOptions, read_flows};

/// What happens between a client and a server.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Accepted { both_nodes: bool, replies: bool, fin: bool },
    Denied { seen_by_client: bool },
    Refused,
    Older,
    ViaService { first: bool },
    Unsaid,
}

#[derive(Clone, Debug)]
struct Conversation {
    kind: Kind,
    second: u32,
    server: u8,
    port: u16,
}

fn conversations() -> impl Strategy<Value = Vec<Conversation>> {
    let kind = prop_oneof![
        any::<(bool, bool, bool)>().prop_map(|(both_nodes, replies, fin)| Kind::Accepted {
            both_nodes,
            replies,
            fin
        }),
        any::<bool>().prop_map(|seen_by_client| Kind::Denied { seen_by_client }),
        Just(Kind::Refused),
        Just(Kind::Older),
        any::<bool>().prop_map(|first| Kind::ViaService { first }),
        Just(Kind::Unsaid),
    ];
    let one = (kind, 0..3000u32, 1..=2u8, 8080..8083u16)
        .prop_map(|(kind, second, server, port)| Conversation { kind, second, server, port });
    prop::collection::vec(one, 1..40)
}

/// The lines of a conversation and what it counts: port, forwarded, dropped, refused.
fn lines(n: usize, conversation: &Conversation) -> (Vec<String>, (u16, [u64; 3])) {
    let Conversation { kind, second, server, port } = conversation;
    let port = if matches!(kind, Kind::ViaService { .. }) { 8080 } else { *port };
    let (client, server) = (format!("10.0.1.1:{}", 40_000 + n), format!("10.0.2.{server}:{port}"));
    let line = |at: u32, node: &str, reply: bool, l4: &str, more: &str| {
        let (from, to) = if reply { (&server, &client) } else { (&client, &server) };
        hubble(&format!("{} {node} {from} {to} {l4} {more}", second + at))
    };
    let request = |l4, more: &str| line(0, "n1", false, l4, &format!("TO_OVERLAY {more}"));
    let mut out = Vec::new();
    let counts = match *kind {
        Kind::Accepted { both_nodes, replies, fin } => {
            out.push(request("TCP/S", "request"));
            if both_nodes {
                out.push(line(0, "n2", false, "TCP/S", "TO_ENDPOINT request"));
            }
            if replies {
                out.push(line(1, "n2", true, "TCP/SA", "TO_OVERLAY reply"));
                out.push(line(1, "n1", true, "TCP/SA", "TO_ENDPOINT reply"));
            }
            if fin {
                out.push(line(2, "n1", false, "TCP/FA", "TO_OVERLAY request"));
            }
            [1, 0, 0]
        }
        Kind::Denied { seen_by_client } => {
            if seen_by_client {
                out.push(request("TCP/S", "request"));
            }
            out.push(line(0, "n2", false, "TCP/S", "DROPPED policy"));
            out.push(line(0, "n2", false, "TCP/S", "DROPPED drop"));
            [0, 1, 0]
        }
        Kind::Refused => {
            out.push(request("TCP/S", "request"));
            out.push(line(0, "n1", true, "TCP/RA", "TO_ENDPOINT reply"));
            [1, 0, 1]
        }
        Kind::Older => {
            out.push(request("TCP/PA", "request"));
            out.push(line(5, "n2", false, "TCP/FA", "TO_ENDPOINT request"));
            [1, 0, 0]
        }
        Kind::ViaService { first } => {
            let before = format!("{second} n1 {client} 10.96.0.1:80 TCP/S FROM_ENDPOINT");
            out.push(request("TCP/S", "request"));
            out.insert(usize::from(!first), hubble(&before));
            [1, 0, 0]
        }
        Kind::Unsaid => {
            out.push(line(0, "n1", true, "TCP/PA", ""));
            out.push(line(1, "n1", false, "TCP/A", ""));
            [1, 0, 0]
        }
    };
    (out, (port, counts))
}

/// The lines of all conversations, and the counts by port that they should give.
fn log_of(conversations: &[Conversation]) -> (Vec<String>, BTreeMap<u16, [u64; 3]>) {
    let (mut all, mut truth) = (Vec::new(), BTreeMap::<u16, [u64; 3]>::new());
    for (n, conversation) in conversations.iter().enumerate() {
        let (lines, (port, counts)) = lines(n, conversation);
        all.extend(lines);
        let sum = truth.entry(port).or_default();
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    (all, truth)
}

fn counts(observed: &Observations) -> BTreeMap<u16, [u64; 3]> {
    let edges = observed.edges.iter().map(|edge| {
        let ringfence_model::L4::Port(_, port) = edge.key.l4 else { panic!("{edge:?}") };
        let e = &edge.evidence;
        (port.get(), [e.forwarded, e.dropped, e.refused])
    });
    edges.collect()
}

proptest! {
    #[test]
    fn order_and_repetition_do_not_matter(
        conversations in conversations(),
        moves in prop::collection::vec((0..60usize, any::<bool>()), 400),
    ) {
        let table = cluster();
        let (lines, truth) = log_of(&conversations);
        let straight = observe(lines.join("\n").as_bytes(), &table, Options::default());
        prop_assert_eq!(counts(&straight), truth);
        let mut shuffled: Vec<_> = lines
            .iter()
            .zip(moves.iter().cycle())
            .enumerate()
            .flat_map(|(at, (line, (shift, twice)))| {
                let again = twice.then_some((at + shift / 2, line));
                [(at + shift, line)].into_iter().chain(again)
            })
            .collect();
        shuffled.sort_by_key(|(at, _)| *at);
        let shuffled: Vec<_> = shuffled.into_iter().map(|(_, line)| line.as_str()).collect();
        let other = observe(shuffled.join("\n").as_bytes(), &table, Options::default());
        prop_assert_eq!(&other.edges, &straight.edges);
        prop_assert_eq!(other.window, straight.window);
        prop_assert_eq!(other.ledger.lines(), shuffled.len() as u64);
    }

    #[test]
    fn files_do_not_matter(conversations in conversations(), cuts in prop::collection::vec(0..99usize, 3)) {
        let table = cluster();
        let (lines, _) = log_of(&conversations);
        let whole = observe(lines.join("\n").as_bytes(), &table, Options::default());
        let mut files = vec![Vec::new(); 4];
        for (n, line) in lines.iter().enumerate() {
            files[cuts.iter().filter(|cut| n % 100 >= **cut).count()].push(line.as_str());
        }
        let mut aggregator = Aggregator::new(&table, Options::default());
        for (n, file) in files.iter().enumerate() {
            let text = file.join("\n");
            read_flows(text.as_bytes(), &n.to_string(), ReadOptions::default(), &mut aggregator, |_| {})
                .unwrap();
        }
        let parts = aggregator.finish();
        prop_assert_eq!(&parts.edges, &whole.edges);
        // Where the client is a guess, later packets may show that a reply was taken for a repetition.
        let known = |mut ledger: Ledger| {
            ledger.repeated += std::mem::take(&mut ledger.replies);
            ledger
        };
        prop_assert_eq!(known(parts.ledger), known(whole.ledger));
    }

    /// A table that is too small may count twice, never less, and the ledger says how many it forgot.
    #[test]
    fn a_small_table_counts_no_less(conversations in conversations(), room in 2..20usize) {
        let table = cluster();
        let (lines, truth) = log_of(&conversations);
        let options = Options { connections: room, ..Options::default() };
        let observed = observe(lines.join("\n").as_bytes(), &table, options);
        let counted: u64 = counts(&observed).values().map(|[f, d, _]| f + d).sum();
        let truth: u64 = truth.values().map(|[f, d, _]| f + d).sum();
        prop_assert!(counted >= truth, "{} < {}", counted, truth);
        prop_assert!(counted <= truth + observed.ledger.evicted, "{counted}: {:?}", observed.ledger);
    }

    #[test]
    fn order_and_repetition_of_records_do_not_matter(
        records in prop::collection::vec((0..30u32, any::<bool>(), 1..=2u8, 0..5u64, 0..3u64), 1..40)
            .prop_map(|mut records| {
                // An observer says one thing about an interval.
                records.sort_unstable();
                records.dedup_by_key(|r| (r.0, r.1, r.2));
                records
            })
            .prop_flat_map(|records| (Just(records.clone()), Just([records.clone(), records].concat()).prop_shuffle()))
    ) {
        let log = |records: &[(u32, bool, u8, u64, u64)]| {
            let lines: Vec<_> = records.iter().map(|(at, client, server, opened, denied)| {
                let (node, side) = if *client { ("n1", "client") } else { ("n2", "server") };
                let at = at * 10;
                record(&format!("{at} {node} {side} 10.0.1.1 10.0.2.{server}:8080 TCP {opened}/0/{denied}"))
            }).collect();
            lines.join("\n")
        };
        let table = cluster();
        let once = observe(log(&records.0).as_bytes(), &table, Options::default());
        let shuffled = observe(log(&records.1).as_bytes(), &table, Options::default());
        prop_assert_eq!(once.edges, shuffled.edges);
        prop_assert_eq!(shuffled.ledger.repeated, records.0.len() as u64);
    }

    #[test]
    fn buckets_of_a_log_add_up_to_the_whole(conversations in conversations(), seconds in 1..900u64) {
        let table = cluster();
        let (lines, truth) = log_of(&conversations);
        let log = lines.join("\n");
        let straight = observe(log.as_bytes(), &table, Options::default());
        let bucket = Some(Duration::from_secs(seconds));
        let options = Options { bucket, ..Options::default() };
        let added_up = observe(log.as_bytes(), &table, options);
        prop_assert_eq!(&added_up.edges, &straight.edges);

        let mut aggregator = Aggregator::new(&table, options);
        read_flows(log.as_bytes(), "log", ReadOptions::default(), &mut aggregator, |_| {}).unwrap();
        let buckets = aggregator.finish_in_buckets().buckets;
        prop_assert_eq!(sum(&buckets), truth);
        for bucket in buckets {
            for edge in bucket.edges {
                let into = edge.evidence.first_seen.nanos() - bucket.at.nanos();
                prop_assert!((0..1_000_000_000 * seconds.cast_signed()).contains(&into), "{:?}", edge);
            }
        }
    }

    /// The two sides report a connection in intervals that lie apart.
    #[test]
    fn buckets_of_records_add_up_to_the_whole(
        counts in prop::collection::vec((0..30u32, any::<bool>(), 1..=2u8, 0..9u64, 0..9u64, 0..3u64), 1..40),
    ) {
        let lines: Vec<_> = counts.iter().map(|(at, client, server, opened, refused, denied)| {
            let (node, side) = if *client { ("n1", "client") } else { ("n2", "server") };
            let refused = refused.min(opened);
            record(&format!("{at} {node} {side} 10.0.1.1 10.0.2.{server}:8080 TCP {opened}/{refused}/{denied}"))
        }).collect();
        let (table, log) = (cluster(), lines.join("\n"));
        let straight = observe(log.as_bytes(), &table, Options::default());
        let options = Options { bucket: Some(Duration::from_secs(7)), ..Options::default() };
        let added_up = observe(log.as_bytes(), &table, options);
        prop_assert_eq!(&added_up.edges, &straight.edges);
    }

    /// Settled every ten seconds while the log comes in by and by, every connection counts once, however long it
    /// lasts.
    #[test]
    fn settling_counts_nothing_twice(conversations in conversations()) {
        let table = cluster();
        let (timed, truth) = with_echoes(&conversations);
        let mut aggregator = Aggregator::new(
            &table,
            Options { bucket: Some(Duration::from_mins(1)), ..Options::default() },
        );
        let (mut told, mut settled) = (Vec::new(), 0);
        for (second, line) in &timed {
            while settled + 10 <= *second {
                told.extend(aggregator.settle());
                settled += 10;
            }
            read_flows(line.as_bytes(), "log", ReadOptions::default(), &mut aggregator, |_| {}).unwrap();
        }
        // All of it is settled two steps later, and nothing is left then.
        told.extend(aggregator.settle());
        told.extend(aggregator.settle());
        prop_assert_eq!(sum(&told), truth);
        prop_assert_eq!(sum(&aggregator.finish_in_buckets().buckets), BTreeMap::new());
    }

    /// Somebody settles and is gone. Who comes after reads again what was there at the settling before, and counts
    /// the rest.
    #[test]
    fn who_begins_in_the_middle_counts_the_rest(conversations in conversations(), end in 0u32..70) {
        let table = cluster();
        let (timed, truth) = with_echoes(&conversations);
        let options = || Options { bucket: Some(Duration::from_mins(1)), ..Options::default() };
        let take = |aggregator: &mut Aggregator<'_, _>, from: u32, until: u32| {
            for (_, line) in timed.iter().filter(|(second, _)| (from..until).contains(second)) {
                read_flows(line.as_bytes(), "log", ReadOptions::default(), aggregator, |_| {}).unwrap();
            }
        };
        let mut first = Aggregator::new(&table, options());
        take(&mut first, 0, end);
        let mut told = first.settle();
        take(&mut first, end, end + 10);
        told.extend(first.settle());
        let mut second = Aggregator::new(&table, options());
        take(&mut second, 0, end);
        second.acquaint();
        take(&mut second, end, u32::MAX);
        told.extend(second.finish_in_buckets().buckets);
        prop_assert_eq!(sum(&told), truth);
    }
}

/// Counts by port.
type Sums = BTreeMap<u16, [u64; 3]>;

/// The lines of conversations by the second in which they come, with more of each long after; and the counts by port.
fn with_echoes(conversations: &[Conversation]) -> (Vec<(u32, String)>, Sums) {
    let mut timed = Vec::new();
    let mut truth = Sums::new();
    for (n, conversation) in conversations.iter().enumerate() {
        let (lines, (port, counts)) = lines(n, conversation);
        let again = lines.last().cloned().into_iter().map(|line| (conversation.second + 40, line));
        timed.extend(lines.into_iter().map(|line| (conversation.second, line)));
        if !matches!(conversation.kind, Kind::ViaService { first: false }) {
            timed.extend(again);
        }
        let sum = truth.entry(port).or_default();
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    timed.sort_by_key(|(second, _)| *second);
    (timed, truth)
}

/// The counts of all buckets by port.
fn sum(buckets: &[Bucket]) -> Sums {
    let mut sums = Sums::new();
    for edge in buckets.iter().flat_map(|bucket| &bucket.edges) {
        let ringfence_model::L4::Port(_, port) = edge.key.l4 else { panic!("{edge:?}") };
        let e = &edge.evidence;
        let sum = sums.entry(port.get()).or_default();
        for (sum, count) in sum.iter_mut().zip([e.forwarded, e.dropped, e.refused]) {
            *sum += count;
        }
    }
    sums
}
