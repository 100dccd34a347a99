//! The namespaces, links and routes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, setns};
use ringfence_model::object::{Objects, Pod};
use ringfence_model::{Name, PodRef};

use crate::LabError;
use crate::command::{batch, run};
use crate::services;

/// Every pod's way out: an address that the node's end of each link has.
const GATEWAY: &str = "169.254.1.1";
const GATEWAY_V6: &str = "fe80::1";
const GATEWAY_MAC: &str = "ee:ee:ee:ee:ee:ee";
/// The world, on the wire that joins it and the nodes.
const WORLD: &str = "fe80::f";

/// Namespaces for the nodes of a cluster, its running pods, and the world around. They are gone with this, unless it
/// is [left](Self::leave).
///
/// Pods are linked to their node, and nodes to each other and the world by one wire, over which link-local addresses
/// are the next hops of everything.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    nodes: Vec<Node>,
    pods: BTreeMap<PodRef, Home>,
    leave: bool,
}

#[derive(Debug)]
struct Node {
    name: Option<Name>,
    addresses: Vec<IpAddr>,
}

/// Where a pod is.
#[derive(Debug)]
struct Home {
    place: usize,
    node: usize,
    ips: Vec<IpAddr>,
}

impl Lab {
    /// Builds the network: the nodes, on which pods on the host network are too, every running pod with its addresses,
    /// and outside of them the other addresses. The names of all namespaces begin with the prefix.
    pub fn up(prefix: &str, objects: &Objects, outside: &[IpAddr]) -> Result<Self, LabError> {
        let mut nodes: Vec<Node> = objects
            .nodes
            .iter()
            .map(|node| Node { name: Some(node.name.clone()), addresses: node.addresses.clone() })
            .collect();
        if nodes.is_empty() {
            nodes.push(Node { name: None, addresses: Vec::new() });
        }
        let own = objects.pods.iter().filter(|pod| has_network(pod));
        let pods = own
            .enumerate()
            .map(|(place, pod)| {
                // Those of nodes that are not known are on the first.
                let node = nodes.iter().position(|node| node.name == pod.node).unwrap_or(0);
                (pod.reference.clone(), Home { place, node, ips: pod.ips.clone() })
            })
            .collect();
        let lab = Self { prefix: prefix.to_owned(), nodes, pods, leave: false };
        lab.wire(outside)?;
        for pod in lab.pods.values() {
            lab.link(pod)?;
        }
        lab.load(&services::render(objects))?;
        Ok(lab)
    }

    /// The world and the nodes, the wire between them, and the ways to all pods of other nodes.
    fn wire(&self, outside: &[IpAddr]) -> Result<(), LabError> {
        let world = self.world();
        batch(&[], &format!("netns add {world}\n"))?;
        let mut links = format!(
            "link set lo up\nlink add wire type bridge mcast_snooping 0\nlink set wire up\n\
             address add {WORLD}/64 dev wire nodad\n"
        );
        for ip in outside {
            let _ = writeln!(links, "address add {ip} dev lo");
        }
        for place in 0..self.nodes.len() {
            let node = self.node(place);
            batch(&[], &format!("netns add {node}\n"))?;
            let _ = write!(
                links,
                "link add node{place} type veth peer name eth0 netns {node}\n\
                 link set node{place} master wire up\n"
            );
        }
        self.ways(None, &mut links);
        batch(&["-n", &world], &links)?;
        for (place, node) in self.nodes.iter().enumerate() {
            let name = self.node(place);
            forward(&name)?;
            let mut links = format!(
                "link set lo up\nlink set eth0 up\naddress add {}/64 dev eth0 nodad\n",
                hop(place)
            );
            for ip in &node.addresses {
                let _ = writeln!(links, "address add {ip} dev lo");
            }
            self.ways(Some(place), &mut links);
            let source = node.source(true);
            let _ = write!(
                links,
                "route add 0.0.0.0/0 via inet6 {WORLD} dev eth0{source}\n\
                 route add ::/0 via {WORLD} dev eth0{}\n",
                node.source(false)
            );
            batch(&["-n", &name], &links)?;
        }
        Ok(())
    }

    /// The routes from a node, or from the world, to the other nodes and their pods.
    fn ways(&self, from: Option<usize>, links: &mut String) {
        let device = if from.is_some() { "eth0" } else { "wire" };
        let own = from.and_then(|place| self.nodes.get(place));
        let mut way = |ip: &IpAddr, to: usize| {
            if from != Some(to) {
                let family = if ip.is_ipv4() { "inet6 " } else { "" };
                let source = own.map(|node| node.source(ip.is_ipv4())).unwrap_or_default();
                let _ =
                    writeln!(links, "route add {ip} via {family}{} dev {device}{source}", hop(to));
            }
        };
        for (place, node) in self.nodes.iter().enumerate() {
            node.addresses.iter().for_each(|ip| way(ip, place));
        }
        for pod in self.pods.values() {
            pod.ips.iter().for_each(|ip| way(ip, pod.node));
        }
    }

    /// A pod's namespace, and its link to the node.
    fn link(&self, pod: &Home) -> Result<(), LabError> {
        let Home { place, node, ips } = pod;
        let name = self.pod(*place);
        batch(&[], &format!("netns add {name}\n"))?;
        let mut links = format!(
            "link add pod{place} type veth peer name eth0 netns {name}\n\
             link set pod{place} address {GATEWAY_MAC}\n\
             link set pod{place} up\n\
             address add {GATEWAY}/32 dev pod{place} scope link\n\
             address add {GATEWAY_V6}/64 dev pod{place} nodad\n"
        );
        for ip in ips {
            let source = self.nodes.get(*node).map(|node| node.source(ip.is_ipv4()));
            let _ = writeln!(links, "route add {ip} dev pod{place}{}", source.unwrap_or_default());
        }
        batch(&["-n", &self.node(*node)], &links)?;
        batch(&["-n", &name], &pod_side(ips))
    }

    /// Removes what an earlier lab of this prefix left.
    pub fn down(prefix: &str) -> Result<(), LabError> {
        let output = run(Command::new("ip").args(["netns", "list"]), None)?;
        let names = output.lines().filter_map(|line| line.split_whitespace().next());
        let number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let ours = names.filter(|name| {
            let rest = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
            rest.is_some_and(|rest| {
                rest == "world" || number(rest.strip_prefix("node").unwrap_or(rest))
            })
        });
        let commands: String = ours.flat_map(|name| ["netns delete ", name, "\n"]).collect();
        batch(&[], &commands)
    }

    /// Lets the namespaces stay.
    pub fn leave(&mut self) {
        self.leave = true;
    }

    /// Takes a pod out, with its namespace. What runs in it has to be gone.
    pub fn remove(&self, pod: &PodRef) -> Result<(), LabError> {
        batch(&[], &format!("netns delete {}\n", self.pod(self.home(pod)?.place)))
    }

    /// Brings a pod back that was [taken out](Self::remove), in a new namespace.
    pub fn restore(&self, pod: &PodRef) -> Result<(), LabError> {
        self.link(self.home(pod)?)
    }

    fn world(&self) -> String {
        format!("{}-world", self.prefix)
    }

    fn node(&self, place: usize) -> String {
        format!("{}-node{place}", self.prefix)
    }

    fn pod(&self, place: usize) -> String {
        format!("{}-{place}", self.prefix)
    }

    fn home(&self, pod: &PodRef) -> Result<&Home, LabError> {
        self.pods.get(pod).ok_or_else(|| LabError::NoPod(pod.clone()))
    }

    /// The pods that have a network of their own.
    pub fn pods(&self) -> impl Iterator<Item = &PodRef> {
        self.pods.keys()
    }

    /// The nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Name> {
        self.nodes.iter().filter_map(|node| node.name.as_ref())
    }

    /// Loads rules of nftables on all nodes.
    pub fn load(&self, rules: &str) -> Result<(), LabError> {
        for place in 0..self.nodes.len() {
            // Threads are in a namespace one by one, and processes begin in that of their thread.
            let load = || Ok(run(Command::new("nft").args(["-f", "-"]), Some(rules)));
            inside(&self.node(place), load)??;
        }
        Ok(())
    }

    /// Does something in the namespace of a pod.
    pub fn in_pod<T: Send>(
        &self,
        pod: &PodRef,
        act: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T, LabError> {
        inside(&self.pod(self.home(pod)?.place), act)
    }

    /// Does something in the namespace of a node.
    pub fn in_node<T: Send>(
        &self,
        node: &Name,
        act: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T, LabError> {
        let place = self.nodes.iter().position(|known| known.name.as_ref() == Some(node));
        inside(&self.node(place.ok_or_else(|| LabError::NoNode(node.clone()))?), act)
    }

    /// Does something outside of the cluster.
    pub fn in_world<T: Send>(
        &self,
        act: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T, LabError> {
        inside(&self.world(), act)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.leave {
            // Nobody is left to tell; `down` names what remains.
            let _ = Self::down(&self.prefix);
        }
    }
}

impl Node {
    /// What packets of the node itself have as their source, as the end of a route.
    fn source(&self, v4: bool) -> String {
        let own = self.addresses.iter().find(|ip| ip.is_ipv4() == v4);
        own.map(|ip| format!(" src {ip}")).unwrap_or_default()
    }
}

/// Whether a pod has a namespace here.
pub(crate) fn has_network(pod: &Pod) -> bool {
    !pod.spec.host_network && !pod.phase.is_terminated() && !pod.ips.is_empty()
}

/// A node's address on the wire.
fn hop(place: usize) -> String {
    format!("fe80::{:x}", place + 0x10)
}

fn forward(namespace: &str) -> Result<(), LabError> {
    inside(namespace, || {
        for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{setting}"), "1")?;
        }
        Ok(())
    })
}

/// Does something in a namespace, in a thread that is not used again.
fn inside<T: Send>(name: &str, act: impl FnOnce() -> io::Result<T> + Send) -> Result<T, LabError> {
    let file = File::open(format!("/run/netns/{name}"));
    let outcome = file.and_then(|file| {
        thread::scope(|scope| {
            let entered = scope.spawn(|| {
                setns(&file, CloneFlags::CLONE_NEWNET)?;
                act()
            });
            entered.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
        })
    });
    outcome.map_err(|source| LabError::Namespace { name: name.to_owned(), source })
}

/// The commands for a pod's end of its link.
fn pod_side(ips: &[IpAddr]) -> String {
    let mut text = "link set lo up\nlink set eth0 up\n".to_owned();
    for ip in ips {
        let _ = match ip {
            IpAddr::V4(ip) => write!(
                text,
                "address add {ip}/32 dev eth0\n\
                 route add {GATEWAY} dev eth0\n\
                 route add default via {GATEWAY} dev eth0\n\
                 neighbour add {GATEWAY} lladdr {GATEWAY_MAC} dev eth0 nud permanent\n"
            ),
            IpAddr::V6(ip) => write!(
                text,
                "address add {ip}/128 dev eth0 nodad\n\
                 route add default via {GATEWAY_V6} dev eth0\n\
                 neighbour add {GATEWAY_V6} lladdr {GATEWAY_MAC} dev eth0 nud permanent\n"
            ),
        };
    }
    text
}
