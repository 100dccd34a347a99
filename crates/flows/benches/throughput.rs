//! Lines read, resolved and aggregated per second on one core: `cargo bench -p ringfence-flows`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark may fail")]

#[path = "generator/mod.rs"]
mod generator;
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Read;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use generator::{Format, Generator, Shape};
use ringfence_flows::{Aggregator, Options, ReadOptions, read_flows};

const LINES: u64 = 500_000;

fn main() {
    println!("{:?}, {LINES} lines", Shape::LARGE);
    divan::main();
}

#[divan::bench(args = [Format::Hubble, Format::Record], sample_count = 8, sample_size = 1)]
fn read_resolve_aggregate(bencher: Bencher<'_, '_>, format: Format) {
    let mut generator = Generator::new(Shape::LARGE, format, LINES);
    let resolver = generator.resolver();
    let mut log = Vec::new();
    generator.read_to_end(&mut log).unwrap();
    bencher.counter(ItemsCount::new(LINES)).counter(BytesCount::new(log.len())).bench_local(|| {
        let mut aggregator = Aggregator::new(&resolver, Options::default());
        read_flows(&log[..], "log", ReadOptions::default(), &mut aggregator, |_| {}).unwrap();
        let observations = aggregator.finish();
        assert_eq!(observations.ledger.lines(), LINES);
        assert_eq!(observations.ledger.malformed, 0);
        observations
    });
}
