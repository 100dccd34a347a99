//! The clusters of the benchmarks: larger than random ones can be, so that every representation of sets occurs.

#[path = "../../benches/engine/generator.rs"]
mod generator;

use generator::{Cluster, Random, Shape};
use ringfence_model::{Direction, Protocol};
use ringfence_policy::{Connection, End, PodIx, PolicySet, Profile};

use crate::cluster::number;
use crate::oracle::Oracle;

#[test]
fn generated_clusters_agree_with_the_specification() {
    let Cluster { namespaces, nodes, pods, policies } = Cluster::new(Shape::of(2_000, 10));
    let count = u32::try_from(pods.len()).unwrap();
    let profile = Profile::default();
    let (set, diagnostics) = PolicySet::compile(&namespaces, &nodes, &pods, &policies, &profile);
    assert_eq!(diagnostics, []);
    let (cluster_policies, pod_ranges) = (Vec::new(), Vec::new());
    let oracle =
        Oracle { namespaces, nodes, pods, policies, cluster_policies, pod_ranges, profile };
    let mut random = Random::new(3);
    let mut allowed = 0;
    for n in 0..4_000 {
        let mut pod = || End::Pod(PodIx::new(random.below(count)));
        let (source, mut destination) = (pod(), pod());
        if n % 4 == 0 {
            // One of the generated blocks, or its exception.
            let address = 0x6400_0000 + (random.below(20) << 20) + (random.below(16) << 16) + 1;
            destination = End::Address(std::net::Ipv4Addr::from_bits(address).into());
        }
        let port = number([80, 443, 8080, 5432, 5500, 9090][random.below(6) as usize]);
        let c = Connection { source, destination, protocol: Protocol::Tcp, port };
        let expected = Direction::BOTH.map(|direction| oracle.judge(direction, &c));
        let decision = set.decide(&c);
        assert_eq!([&decision.ingress, &decision.egress], [&expected[0], &expected[1]], "{c:?}");
        assert_eq!(set.allows(&c), decision.allowed(), "{c:?}");
        let over = set.allowed(set.party(source), set.party(destination));
        if source != destination {
            assert_eq!(over.contains(c.protocol, c.port), decision.allowed(), "{c:?}");
        }
        allowed += usize::from(decision.allowed());
    }
    assert!((400..3_600).contains(&allowed), "the cluster tests little: {allowed} of 4000 allowed");
}
