//! Whatever cluster and policies can be read, the three ways to judge a connection agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_inventory::Inventory;
use ringfence_kube::read::Reader;
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{Port, Protocol};
use ringfence_policy::{Connection, End, PodIx, PolicySet, Profile};

/// More pods than this would only repeat the others.
const PODS: u32 = 12;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new();
    reader.bytes("fuzz.yaml", bytes);
    let (inventory, _) = Inventory::build(reader.finish().objects, &ClusterCidrs::default());
    let (set, _) = PolicySet::compile(
        inventory.namespaces(),
        inventory.nodes(),
        inventory.pods(),
        inventory.policies(),
        &Profile::default(),
    );
    let pods = u32::try_from(inventory.pods().len()).unwrap_or(u32::MAX).min(PODS);
    let mut ends: Vec<End> = (0..pods).map(|n| End::Pod(PodIx::new(n))).collect();
    ends.extend(["10.0.0.1", "2001:db8::1"].iter().filter_map(|ip| ip.parse().ok()).map(End::Address));
    for &source in &ends {
        for &destination in ends.iter().filter(|end| **end != source) {
            let open = set.allowed(set.party(source), set.party(destination));
            for protocol in Protocol::ALL {
                for port in [1, 53, 80, 8080, 65535].into_iter().filter_map(Port::new) {
                    let connection = Connection { source, destination, protocol, port };
                    let decision = set.decide(&connection);
                    assert_eq!(set.allows(&connection), decision.allowed(), "{connection:?}");
                    // All pairs speak of policies only, not of what a node may always do.
                    assert!(!open.contains(protocol, port) || decision.allowed(), "{connection:?}");
                }
            }
        }
    }
});
