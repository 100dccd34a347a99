//! Peak memory at any number of lines, streamed from a generator, so that the log itself takes no memory:
//! `cargo run --release -p ringfence-flows --example memory -- [hubble|record] [lines] [seed]`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "an example may fail")]

#[path = "../benches/generator/mod.rs"]
mod generator;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use generator::{Format, Generator, Shape};
use ringfence_flows::{Aggregator, Options, ReadOptions, read_flows};

fn main() {
    let mut args = std::env::args().skip(1);
    let format = match args.next().as_deref() {
        Some("record") => Format::Record,
        _ => Format::Hubble,
    };
    let lines = args.next().map_or(10_000_000, |n| n.parse().unwrap());
    let seed = args.next().map_or(Shape::LARGE.seed, |n| n.parse().unwrap());
    let shape = Shape { seed, ..Shape::LARGE };
    println!("{format:?}, {lines} lines, {shape:?}");
    let mut generator = Generator::new(shape, format, lines);
    let resolver = generator.resolver();
    println!("peak before reading: {}", peak());
    let mut aggregator = Aggregator::new(&resolver, Options::default());
    let start = Instant::now();
    read_flows(&mut generator, "generator", ReadOptions::default(), &mut aggregator, |_| {})
        .unwrap();
    let observations = aggregator.finish();
    println!("{} bytes in {:?}, generator included", generator.bytes, start.elapsed());
    println!("{} edges, {:#?}", observations.edges.len(), observations.ledger);
    println!("peak: {}", peak());
}

/// The high-water mark of resident memory, as Linux counts it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "not known here".into(), |line| line.trim().to_owned())
}
