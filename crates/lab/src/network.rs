//! The namespaces, links and routes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns};
use ringfence_model::PodRef;
use ringfence_model::object::Objects;
use thiserror::Error;

use crate::services;

/// Every pod's way out: an address that the node's end of each link has.
const GATEWAY: &str = "169.254.1.1";
const GATEWAY_V6: &str = "fe80::1";
const GATEWAY_MAC: &str = "ee:ee:ee:ee:ee:ee";

/// Why there is no lab.
#[derive(Debug, Error)]
pub enum LabError {
    /// A command that is not there or fails.
    #[error("{command} failed: {message}")]
    Command {
        /// The command with its arguments.
        command: String,
        /// What it said.
        message: String,
    },
    /// A namespace that cannot be entered or set up.
    #[error("network namespace {name}")]
    Namespace {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A pod that has no namespace of its own here.
    #[error("pod {0} is not in the lab")]
    NoPod(PodRef),
}

/// Namespaces for the running pods of a cluster, and one for its nodes. They are gone with this, unless it is
/// [left](Self::leave).
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    pods: BTreeMap<PodRef, String>,
    leave: bool,
}

impl Lab {
    /// Builds the network: every running pod with its addresses, those of the nodes in one namespace in which pods on the
    /// host network are too. The names of all namespaces begin with the prefix.
    pub fn up(prefix: &str, objects: &Objects) -> Result<Self, LabError> {
        let own = objects.pods.iter().filter(|pod| {
            !pod.spec.host_network && !pod.phase.is_terminated() && !pod.ips.is_empty()
        });
        let own: Vec<_> = own.collect();
        let pods = own
            .iter()
            .enumerate()
            .map(|(place, pod)| (pod.reference.clone(), format!("{prefix}-{place}")))
            .collect();
        let lab = Self { prefix: prefix.to_owned(), pods, leave: false };
        let node = lab.node();
        batch(&[], &format!("netns add {node}\n"))?;
        let mut links = "link set lo up\n".to_owned();
        for ip in objects.nodes.iter().flat_map(|node| &node.addresses) {
            let _ = writeln!(links, "address add {ip} dev lo");
        }
        for (place, pod) in own.iter().enumerate() {
            let name = &lab.pods[&pod.reference];
            batch(&[], &format!("netns add {name}\n"))?;
            let _ = write!(
                links,
                "link add pod{place} type veth peer name eth0 netns {name}\n\
                 link set pod{place} address {GATEWAY_MAC}\n\
                 link set pod{place} up\n\
                 address add {GATEWAY}/32 dev pod{place}\n\
                 address add {GATEWAY_V6}/64 dev pod{place} nodad\n"
            );
            for ip in &pod.ips {
                let _ = writeln!(links, "route add {ip} dev pod{place}");
            }
        }
        inside(&node, || {
            for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                std::fs::write(format!("/proc/sys/net/{setting}"), "1")?;
            }
            Ok(())
        })?;
        batch(&["-n", &node], &links)?;
        for pod in &own {
            batch(&["-n", &lab.pods[&pod.reference]], &pod_side(&pod.ips))?;
        }
        lab.load(&services::render(objects))?;
        Ok(lab)
    }

    /// Removes what an earlier lab of this prefix left.
    pub fn down(prefix: &str) -> Result<(), LabError> {
        let output = run(Command::new("ip").args(["netns", "list"]), None)?;
        let names = output.lines().filter_map(|line| line.split_whitespace().next());
        let ours = names.filter(|name| {
            name.strip_prefix(prefix).is_some_and(|rest| {
                rest.strip_prefix('-')
                    .is_some_and(|rest| rest == "node" || rest.chars().all(|c| c.is_ascii_digit()))
            })
        });
        let commands: String = ours.flat_map(|name| ["netns delete ", name, "\n"]).collect();
        batch(&[], &commands)
    }

    /// Lets the namespaces stay.
    pub fn leave(mut self) {
        self.leave = true;
    }

    /// The name of the namespace in which all packets are routed.
    pub fn node(&self) -> String {
        format!("{}-node", self.prefix)
    }

    /// The pods, with the names of their namespaces.
    pub const fn pods(&self) -> &BTreeMap<PodRef, String> {
        &self.pods
    }

    /// Loads rules of nftables where all packets are routed.
    pub fn load(&self, rules: &str) -> Result<(), LabError> {
        let node = self.node();
        // Threads are in a namespace one by one, and processes begin in that of their thread.
        inside(&node, || Ok(run(Command::new("nft").args(["-f", "-"]), Some(rules))))?.map(drop)
    }

    /// Does something in the namespace of a pod.
    pub fn in_pod<T: Send>(
        &self,
        pod: &PodRef,
        act: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T, LabError> {
        let name = self.pods.get(pod).ok_or_else(|| LabError::NoPod(pod.clone()))?;
        inside(name, act)
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

/// Commands of `ip`, one a line.
fn batch(options: &[&str], commands: &str) -> Result<(), LabError> {
    if commands.is_empty() {
        return Ok(());
    }
    run(Command::new("ip").args(options).args(["-batch", "-"]), Some(commands)).map(drop)
}

fn run(command: &mut Command, input: Option<&str>) -> Result<String, LabError> {
    let fault = |message: String, command: &Command| LabError::Command {
        command: format!("{command:?}"),
        message,
    };
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let outcome = command.spawn().and_then(|mut child| {
        if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
            pipe.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    });
    let output = outcome.map_err(|error| fault(error.to_string(), command))?;
    if !output.status.success() {
        return Err(fault(String::from_utf8_lossy(&output.stderr).trim().to_owned(), command));
    }
    String::from_utf8(output.stdout).map_err(|error| fault(error.to_string(), command))
}
