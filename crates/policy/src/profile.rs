//! What the specification leaves to the network plugin.

/// The behaviour of a cluster's network plugin at the points that the `NetworkPolicy` specification leaves open.
///
/// The default is what most plugins do and, where they ask for it, what the upstream end-to-end cases ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile {
    /// Whether an ipBlock matches the addresses of pods.
    pub ip_block_pods: IpBlockPods,
    /// Whether an ipBlock matches the addresses of nodes.
    pub ip_block_nodes: IpBlockNodes,
    /// What host-network pods are to policies.
    pub host_network: HostNetwork,
    /// What happens to a pod's connections to itself.
    pub hairpin: Hairpin,
    /// Whether `endPort` is enforced.
    pub end_port: EndPort,
    /// Which view of a connection to a Service egress rules see.
    pub egress_view: EgressView,
}

impl Profile {
    /// Calico, Antrea, kube-router and OVN-Kubernetes as documented, and the upstream end-to-end cases.
    pub const COMMON: Self = Self {
        ip_block_pods: IpBlockPods::Match,
        ip_block_nodes: IpBlockNodes::Match,
        host_network: HostNetwork::NodeAddress,
        hairpin: Hairpin::Allowed,
        end_port: EndPort::Enforced,
        egress_view: EgressView::Reached,
    };

    /// Cilium with its default settings: CIDR rules speak of the world outside, not of pods and nodes.
    pub const CILIUM: Self = Self {
        ip_block_pods: IpBlockPods::NeverMatch,
        ip_block_nodes: IpBlockNodes::NeverMatch,
        ..Self::COMMON
    };

    /// The Amazon VPC plugin: egress is judged before Service translation.
    pub const AWS_VPC: Self = Self { egress_view: EgressView::Dialled, ..Self::COMMON };

    /// The built-in profiles with their names.
    pub const BUILT_IN: [(&'static str, Self); 3] =
        [("common", Self::COMMON), ("cilium", Self::CILIUM), ("aws-vpc", Self::AWS_VPC)];

    /// Whether ipBlocks match a pod, or one that is nothing but its node.
    pub(crate) const fn block_sees(self, is_node: bool) -> bool {
        if is_node {
            matches!(self.ip_block_nodes, IpBlockNodes::Match)
        } else {
            matches!(self.ip_block_pods, IpBlockPods::Match)
        }
    }

    /// A built-in profile by name.
    pub fn named(name: &str) -> Option<Self> {
        Self::BUILT_IN.iter().find(|(n, _)| *n == name).map(|(_, profile)| *profile)
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::COMMON
    }
}

/// Whether an ipBlock matches the addresses of pods: "these should be cluster-external IPs" says the API, and
/// plugins differ. The upstream end-to-end cases on ipBlock use pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpBlockPods {
    /// A pod matches when any of its addresses is in the block.
    Match,
    /// Only selectors match pods.
    NeverMatch,
}

/// Whether an ipBlock matches the addresses of nodes, and so host-network pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpBlockNodes {
    /// A node address matches like any other.
    Match,
    /// No ipBlock matches a node address, whoever has it; only a rule without peers does.
    NeverMatch,
}

/// What host-network pods are to policies; the documentation limits plugins to these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostNetwork {
    /// Selectors ignore them, no policy isolates them, their traffic is that of their node.
    NodeAddress,
    /// They are pods like all others.
    LikePods,
}

/// What happens to a connection of a pod to itself.
///
/// "A pod cannot block access to itself" holds for its own address; through a Service it is up to the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hairpin {
    /// Always allowed.
    Allowed,
    /// Judged like any other connection, as after a Service.
    Judged,
}

/// Whether `endPort` is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndPort {
    /// The whole range is allowed.
    Enforced,
    /// Only `port` is allowed, as the API says of plugins without support.
    FirstPortOnly,
}

/// Which view of a connection to a Service egress rules see.
///
/// The engine judges the connection it is given. Where egress sees the address dialled, callers judge
/// [`Direction::Egress`](ringfence_model::Direction) for a connection to the Service address and port, and
/// `Ingress` for the one reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EgressView {
    /// The endpoint, after translation.
    Reached,
    /// The Service address and port, before translation.
    Dialled,
}
