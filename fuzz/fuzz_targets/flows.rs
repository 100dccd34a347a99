//! The readers of flow logs and the aggregator take any bytes, and account for every line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_flows::{Aggregator, Options, ReadOptions, read_flows};
use ringfence_inventory::Inventory;
use ringfence_model::object::Objects;
use ringfence_model::review::ClusterCidrs;

fuzz_target!(|bytes: &[u8]| {
    let (inventory, _) = Inventory::build(Objects::default(), &ClusterCidrs::default());
    let mut aggregator = Aggregator::new(&inventory, Options::default());
    let _ = read_flows(bytes, "fuzz.jsonl", ReadOptions { max_line: 4096 }, &mut aggregator, |_| ());
    let _ = aggregator.finish();
});
