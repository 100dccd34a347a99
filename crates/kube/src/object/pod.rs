//! Pods, and what their specification says about the network.

use ringfence_model::object::{ContainerPort, Phase, Pod, PodSpec};
use ringfence_model::{Diagnostic, PodRef, Port, Protocol, Timestamp};
use serde::Deserialize;

use super::Context;
use super::meta::{Meta, timestamp};
use super::node::ip;
use crate::de::{Lined, from_node};
use crate::fault::Fault;
use crate::node::Node as Tree;
use crate::port::{IntOrString, port, protocol};

#[derive(Deserialize)]
struct Wire<'n> {
    #[serde(borrow, default)]
    spec: SpecWire<'n>,
    #[serde(borrow, default)]
    status: Status<'n>,
}

/// `PodSpec`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SpecWire<'n> {
    #[serde(borrow)]
    node_name: Option<Lined<&'n str>>,
    host_network: Option<bool>,
    #[serde(borrow)]
    init_containers: Vec<Container<'n>>,
    #[serde(borrow)]
    containers: Vec<Container<'n>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container<'n> {
    #[serde(borrow, default)]
    name: &'n str,
    #[serde(borrow, default)]
    command: Vec<&'n str>,
    #[serde(borrow, default)]
    args: Vec<&'n str>,
    #[serde(borrow, default)]
    ports: Vec<ContainerPortWire<'n>>,
    #[serde(borrow, default)]
    liveness_probe: Option<Probe<'n>>,
    #[serde(borrow, default)]
    readiness_probe: Option<Probe<'n>>,
    #[serde(borrow, default)]
    startup_probe: Option<Probe<'n>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPortWire<'n> {
    #[serde(borrow, default)]
    name: Option<&'n str>,
    #[serde(borrow, default)]
    protocol: Option<Lined<&'n str>>,
    container_port: Lined<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe<'n> {
    #[serde(borrow, default)]
    http_get: Option<ProbePort<'n>>,
    #[serde(borrow, default)]
    tcp_socket: Option<ProbePort<'n>>,
    #[serde(borrow, default)]
    grpc: Option<ProbePort<'n>>,
}

#[derive(Deserialize)]
struct ProbePort<'n> {
    #[serde(borrow)]
    port: Lined<IntOrString<'n>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status<'n> {
    #[serde(borrow)]
    phase: Option<Lined<&'n str>>,
    #[serde(borrow, rename = "podIP")]
    pod_ip: Option<Lined<&'n str>>,
    #[serde(borrow, rename = "podIPs")]
    pod_ips: Vec<PodIp<'n>>,
    #[serde(borrow)]
    start_time: Option<Lined<&'n str>>,
    #[serde(borrow)]
    container_statuses: Vec<ContainerStatus<'n>>,
}

#[derive(Deserialize)]
struct PodIp<'n> {
    #[serde(borrow)]
    ip: Lined<&'n str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerStatus<'n> {
    #[serde(borrow)]
    state: State<'n>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State<'n> {
    #[serde(borrow)]
    terminated: Option<Terminated<'n>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated<'n> {
    #[serde(borrow, default)]
    finished_at: Option<Lined<&'n str>>,
}

pub(super) fn read(tree: &Tree<'_>, meta: Meta, cx: &mut Context<'_>) -> Result<Pod, Fault> {
    let Wire { spec, status } = from_node(tree)?;
    let Status { phase, pod_ip, pod_ips, start_time, container_statuses } = status;
    let mut ips: Vec<_> = pod_ips.into_iter().map(|p| p.ip).collect();
    if ips.is_empty() {
        ips.extend(pod_ip.filter(|ip| !ip.value.is_empty()));
    }
    let phase = phase.map_or(Ok(Phase::Unknown), |text| {
        self::phase(text).map_err(|f| f.inside("status.phase", text.line))
    })?;
    let started = start_time
        .map(|t| timestamp(t).map_err(|f| f.inside("status.startTime", t.line)))
        .transpose()?
        .or(meta.created);
    let ended = if phase.is_terminated() { ended(&container_statuses)? } else { None };
    let node = match spec.node_name.filter(|n| !n.value.is_empty()) {
        Some(n) => Some(cx.name(n.value).map_err(|f| f.inside("spec.nodeName", n.line))?),
        None => None,
    };
    Ok(Pod {
        reference: PodRef { namespace: meta.namespace, name: meta.name },
        labels: meta.labels,
        owner: meta.owner,
        ips: ips
            .iter()
            .map(|text| ip(text).map_err(|f| f.inside("status.podIPs", text.line)))
            .collect::<Result<_, _>>()?,
        node,
        phase,
        started,
        ended,
        spec: spec.read(cx).map_err(|f| f.inside("spec", tree.line))?,
        origin: cx.origin.clone(),
    })
}

fn phase(text: Lined<&str>) -> Result<Phase, Fault> {
    Ok(match text.value {
        "Pending" => Phase::Pending,
        "Running" => Phase::Running,
        "Succeeded" => Phase::Succeeded,
        "Failed" => Phase::Failed,
        "Unknown" | "" => Phase::Unknown,
        other => return Err(Fault::new(text.line, format!("{other:?} is not a pod phase"))),
    })
}

/// When the last container ended.
fn ended(statuses: &[ContainerStatus<'_>]) -> Result<Option<Timestamp>, Fault> {
    let mut last = None;
    for finished in statuses.iter().filter_map(|s| s.state.terminated.as_ref()?.finished_at) {
        let finished = timestamp(finished)
            .map_err(|f| f.inside("status.containerStatuses.state.terminated.finishedAt", 0))?;
        last = last.max(Some(finished));
    }
    Ok(last)
}

impl SpecWire<'_> {
    pub(super) fn read(self, cx: &mut Context<'_>) -> Result<PodSpec, Fault> {
        let Self { node_name: _, host_network, init_containers, containers } = self;
        let mut spec = PodSpec { host_network: host_network == Some(true), ..PodSpec::default() };
        let named = [("initContainers", init_containers), ("containers", containers)];
        for (field, containers) in named {
            for (n, container) in containers.into_iter().enumerate() {
                container.read(&mut spec, cx).map_err(|f| f.inside(&format!("{field}[{n}]"), 0))?;
            }
        }
        spec.probe_ports.sort_unstable();
        spec.probe_ports.dedup();
        Ok(spec)
    }
}

impl Container<'_> {
    fn read(self, spec: &mut PodSpec, cx: &mut Context<'_>) -> Result<(), Fault> {
        let Self { name, command, args, ports, liveness_probe, readiness_probe, startup_probe } =
            self;
        let first = spec.ports.len();
        for (n, wire) in ports.into_iter().enumerate() {
            let port = wire.read(cx).map_err(|f| f.inside(&format!("ports[{n}]"), 0))?;
            spec.ports.push(port);
        }
        let probes = [
            ("livenessProbe", liveness_probe),
            ("readinessProbe", readiness_probe),
            ("startupProbe", startup_probe),
        ];
        for (field, probe) in probes {
            let Some(Probe { http_get, tcp_socket, grpc }) = probe else { continue };
            for ProbePort { port: wanted } in [http_get, tcp_socket, grpc].into_iter().flatten() {
                match probe_port(&wanted, &spec.ports[first..]) {
                    Ok(Some(port)) => spec.probe_ports.push(port),
                    Ok(None) => {
                        let message = format!(
                            "{field} of container {name:?} names a port that the container does not declare"
                        );
                        let hint = "the probe cannot work; declare the port or use its number";
                        let origin = cx.origin.at(wanted.line);
                        let finding = Diagnostic::warning("unknown-probe-port", message);
                        cx.findings.push(finding.at(origin).hint(hint));
                    }
                    Err(fault) => return Err(fault.inside(&format!("{field}.port"), wanted.line)),
                }
            }
        }
        if !command.is_empty() || !args.is_empty() {
            let words = command.iter().chain(&args).map(|word| cx.strings.share(word));
            spec.commands.push(words.collect());
        }
        Ok(())
    }
}

impl ContainerPortWire<'_> {
    fn read(self, cx: &mut Context<'_>) -> Result<ContainerPort, Fault> {
        let Self { name, protocol: wire, container_port } = self;
        Ok(ContainerPort {
            name: name.filter(|n| !n.is_empty()).map(|n| cx.strings.share(n)),
            protocol: protocol(wire)?,
            port: port(container_port)
                .map_err(|f| f.inside("containerPort", container_port.line))?,
        })
    }
}

/// The number of a probe's port; a name is looked up among the container's own ports.
fn probe_port(
    wanted: &Lined<IntOrString<'_>>,
    ports: &[ContainerPort],
) -> Result<Option<Port>, Fault> {
    match wanted.value {
        IntOrString::Int(value) => port(Lined { line: wanted.line, value }).map(Some),
        IntOrString::Text(name) => Ok(ports
            .iter()
            .find(|p| p.name.as_deref() == Some(name) && p.protocol == Protocol::Tcp)
            .map(|p| p.port)),
    }
}
