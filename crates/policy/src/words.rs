//! What policies mention: the distinctions that they can make.

use std::ops::Range;
use std::sync::Arc;

use foldhash::HashMap;
use ringfence_model::{
    Cidr, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPort, ClusterPorts, Direction, IpBlock,
    NamespaceScope, NetworkPolicy, PeerMatch, Peers, PortTarget, Ports, Selector,
};

use crate::atom::{Block, Sees};
use crate::cluster::Cluster;
use crate::index::index;
use crate::vocabulary::{FreshLabels, Vocabulary};

/// Labels, port names and address blocks, numbered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    pub(crate) pods: Vocabulary,
    pub(crate) namespaces: Vocabulary,
    pub(crate) port_names: HashMap<Arc<str>, u32>,
    pub(crate) blocks: Vec<Block>,
    block_ids: HashMap<Block, u32>,
    /// Whether a cluster-wide policy speaks of addresses, which every profile has match pods.
    pub(crate) names_places: bool,
    fresh_port_names: Vec<Arc<str>>,
    named_places: bool,
    /// How many blocks are not fresh.
    old_blocks: usize,
}

/// What was learnt lately: distinctions that nobody has made yet.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) labels: FreshLabels,
    pub(crate) port_names: Vec<Arc<str>>,
    pub(crate) blocks: Range<usize>,
    /// Whether the first cluster-wide rules on addresses came.
    pub(crate) places: bool,
}

impl Words {
    pub(crate) fn of(
        cluster: &Cluster,
        policies: &[NetworkPolicy],
        cluster_policies: &[ClusterPolicy],
    ) -> Self {
        let mut words = Self::default();
        for policy in policies {
            words.learn_policy(policy);
        }
        for policy in cluster_policies {
            words.learn_cluster_policy(cluster, policy);
        }
        words.take_fresh();
        words
    }

    pub(crate) fn learn_policy(&mut self, policy: &NetworkPolicy) {
        self.pods.learn(&policy.pod_selector);
        for rule in Direction::BOTH.into_iter().filter_map(|d| policy.rules(d)).flatten() {
            if let Peers::Only(peers) = &rule.peers {
                for peer in peers {
                    self.learn_peer(peer);
                }
            }
            if let Ports::Only(ports) = &rule.ports {
                for port in ports {
                    if let PortTarget::Named(name) = &port.target {
                        self.learn_port_name(name);
                    }
                }
            }
        }
    }

    pub(crate) fn learn_cluster_policy(&mut self, cluster: &Cluster, policy: &ClusterPolicy) {
        self.learn_pods(&policy.subject);
        for rule in Direction::BOTH.into_iter().flat_map(|d| policy.rules(d)) {
            for peer in &rule.peers {
                self.learn_cluster_peer(cluster, peer);
            }
            if let ClusterPorts::Only(ports) = &rule.ports {
                for port in ports {
                    if let ClusterPort::Named(name, _) = port {
                        self.learn_port_name(name);
                    }
                }
            }
        }
    }

    /// What was learnt since the last time.
    pub(crate) fn take_fresh(&mut self) -> Fresh {
        self.namespaces.take_fresh();
        let blocks = self.old_blocks..self.blocks.len();
        self.old_blocks = self.blocks.len();
        let places = self.names_places && !self.named_places;
        self.named_places = self.names_places;
        Fresh {
            labels: self.pods.take_fresh(),
            port_names: std::mem::take(&mut self.fresh_port_names),
            places,
            blocks,
        }
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
                self.names_places = true;
                node_blocks(cluster, nodes).for_each(|block| self.learn_block(block));
            }
            ClusterPeer::Networks(cidrs) => {
                self.names_places = true;
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
        self.port_names.entry(Arc::clone(name)).or_insert_with_key(|name| {
            self.fresh_port_names.push(Arc::clone(name));
            id
        });
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
