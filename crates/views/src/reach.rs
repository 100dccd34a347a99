//! Who can reach whom.

use ringfence_advise::{Connectivity, Focus, Group, Who};
use ringfence_model::Direction;
use serde::Serialize;

use crate::ports;

/// All pairs between which something passes. Without a link nothing does; two ends of addresses have none, since
/// policies do not apply.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = Reach))]
pub struct Reach {
    /// The profile of the network plugin.
    pub profile: String,
    /// Who there is.
    pub ends: Vec<End>,
    /// What passes.
    pub links: Vec<Link>,
}

/// Pods of a workload that policies treat alike, or addresses that they treat alike.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = ReachEnd))]
pub struct End {
    /// How links name it; different for each.
    pub id: String,
    /// Who they are.
    #[serde(flatten)]
    pub who: Members,
}

/// The members of an [`End`].
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = ReachMembers))]
pub enum Members {
    /// Pods of one workload.
    #[serde(rename_all = "camelCase")]
    Pods {
        /// Its namespace.
        namespace: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Empty for a workload that has no pods now: it stands for the next one.
        pods: Vec<String>,
        /// False when other pods of the workload behave otherwise, and are another end.
        whole: bool,
        /// Policies do not apply to pods that share the network of their node.
        host_network: bool,
        /// Whether some policy selects the pods.
        isolated: Isolated,
    },
    /// Addresses.
    #[serde(rename_all = "camelCase")]
    Addresses {
        /// The fewest prefixes that hold them.
        cidrs: Vec<String>,
        /// No policy speaks of these addresses.
        elsewhere: bool,
    },
}

/// Whether some policy selects the pods, by direction.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = ReachIsolated))]
pub struct Isolated {
    /// For what comes in.
    pub ingress: bool,
    /// For what goes out.
    pub egress: bool,
}

/// What passes between two ends.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = ReachLink))]
pub struct Link {
    /// Who opens the connections, by id.
    pub source: String,
    /// Who is reached.
    pub destination: String,
    /// `TCP/80`, `TCP/8000-8080`, `UDP/all`, or a single `all`.
    pub ports: Vec<String>,
}

/// An end of a [`Reach`].
pub fn end<'a>(connectivity: &Connectivity<'a>, group: &Group<'a>) -> End {
    let who = match &group.who {
        Who::Pods { workload, whole, .. } => Members::Pods {
            namespace: workload.reference.namespace.to_string(),
            kind: workload.reference.kind.to_string(),
            name: workload.reference.name.to_string(),
            pods: connectivity.pod_names(group).map(str::to_owned).collect(),
            whole: *whole,
            host_network: connectivity.is_node(group),
            isolated: Isolated {
                ingress: group.is_isolated(Direction::Ingress),
                egress: group.is_isolated(Direction::Egress),
            },
        },
        Who::Addresses { cidrs, elsewhere } => Members::Addresses {
            cidrs: cidrs.iter().map(ToString::to_string).collect(),
            elsewhere: *elsewhere,
        },
    };
    End { id: connectivity.name(group), who }
}

/// The links in focus, with all ends.
pub fn reach(profile: &str, connectivity: &Connectivity<'_>, focus: &Focus) -> Reach {
    let groups = connectivity.groups();
    let ends: Vec<End> = groups.iter().map(|group| end(connectivity, group)).collect();
    let mut links = Vec::new();
    connectivity.walk(focus, |link| {
        links.push(Link {
            source: ends[link.source].id.clone(),
            destination: ends[link.destination].id.clone(),
            ports: ports(link.connections),
        });
    });
    Reach { profile: profile.to_owned(), ends, links }
}
