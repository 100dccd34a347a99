//! What policies mention: the distinctions that they can make.

use std::sync::Arc;

use foldhash::HashMap;
use ringfence_model::{
    Cidr, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPort, ClusterPorts, Direction, IpBlock,
    NamespaceScope, NetworkPolicy, PeerMatch, Peers, PortTarget, Ports, Selector,
};

use crate::atom::{Block, Sees};
use crate::cluster::Cluster;
use crate::index::index;
use crate::vocabulary::Vocabulary;

/// Labels, port names and address blocks, numbered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    pub(crate) pods: Vocabulary,
    pub(crate) namespaces: Vocabulary,
    pub(crate) port_names: HashMap<Arc<str>, u32>,
    pub(crate) blocks: Vec<Block>,
    block_ids: HashMap<Block, u32>,
}

impl Words {
    pub(crate) fn of(
        cluster: &Cluster,
        policies: &[NetworkPolicy],
        cluster_policies: &[ClusterPolicy],
    ) -> Self {
        let mut words = Self::default();
        for policy in policies {
            words.pods.learn(&policy.pod_selector);
            for rule in Direction::BOTH.into_iter().filter_map(|d| policy.rules(d)).flatten() {
                if let Peers::Only(peers) = &rule.peers {
                    for peer in peers {
                        words.learn_peer(peer);
                    }
                }
                if let Ports::Only(ports) = &rule.ports {
                    for port in ports {
                        if let PortTarget::Named(name) = &port.target {
                            words.learn_port_name(name);
                        }
                    }
                }
            }
        }
        for policy in cluster_policies {
            words.learn_pods(&policy.subject);
            for rule in Direction::BOTH.into_iter().flat_map(|d| policy.rules(d)) {
                for peer in &rule.peers {
                    words.learn_cluster_peer(cluster, peer);
                }
                if let ClusterPorts::Only(ports) = &rule.ports {
                    for port in ports {
                        if let ClusterPort::Named(name, _) = port {
                            words.learn_port_name(name);
                        }
                    }
                }
            }
        }
        words
    }

    /// The number of a block.
    pub(crate) fn block_id(&self, block: &Block) -> Option<u32> {
        self.block_ids.get(block).copied()
    }

    fn learn_peer(&mut self, peer: &PeerMatch) {
        match peer {
            PeerMatch::Pods { namespaces, pods } => {
                self.pods.learn(pods);
                if let NamespaceScope::Matching(selector) = namespaces {
                    self.namespaces.learn(selector);
                }
            }
            PeerMatch::IpBlock(block) => {
                self.learn_block(Block { block: block.clone(), sees: Sees::ByProfile });
            }
        }
    }

    fn learn_cluster_peer(&mut self, cluster: &Cluster, peer: &ClusterPeer) {
        match peer {
            ClusterPeer::Pods(pods) => self.learn_pods(pods),
            ClusterPeer::Nodes(nodes) => {
                node_blocks(cluster, nodes).for_each(|block| self.learn_block(block));
            }
            ClusterPeer::Networks(cidrs) => {
                cidrs.iter().map(network_block).for_each(|block| self.learn_block(block));
            }
            ClusterPeer::DomainNames(_) | ClusterPeer::Unknown => {}
        }
    }

    fn learn_pods(&mut self, pods: &ClusterPods) {
        self.namespaces.learn(&pods.namespaces);
        self.pods.learn(&pods.pods);
    }

    fn learn_block(&mut self, block: Block) {
        let id = index(self.blocks.len());
        self.block_ids.entry(block).or_insert_with_key(|block| {
            self.blocks.push(block.clone());
            id
        });
    }

    fn learn_port_name(&mut self, name: &Arc<str>) {
        let id = index(self.port_names.len());
        self.port_names.entry(Arc::clone(name)).or_insert(id);
    }
}

/// The addresses that a `nodes` peer stands for ("matching on the IPs present in the node.Status.Addresses").
pub(crate) fn node_blocks(cluster: &Cluster, nodes: &Selector) -> impl Iterator<Item = Block> {
    let chosen = cluster.nodes.values().filter(|node| nodes.matches(&node.labels));
    chosen.flat_map(|node| &node.addresses).map(|ip| network_block(&Cidr::host(*ip)))
}

/// A `networks` entry: "cluster-internal traffic will be checked against the rule as well".
pub(crate) fn network_block(cidr: &Cidr) -> Block {
    Block { block: IpBlock::whole(*cidr), sees: Sees::Everyone }
}
