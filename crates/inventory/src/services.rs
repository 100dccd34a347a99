//! Services by address, and what backs them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ringfence_model::object::{
    ContainerPort, EndpointPort, Endpoints, Pod, Service, ServicePort, ServiceType, TargetPort,
};
use ringfence_model::resolve::ServiceTarget;
use ringfence_model::{
    Diagnostic, Peer, PodRef, Port, Protocol, Selector, ServicePortRef, ServiceRef, WorkloadRef,
};

use crate::address_space::AddressSpace;
use crate::label_index::LabelIndex;
use crate::node::NodeBook;
use crate::owners::Owners;
use crate::residents::Residents;
use crate::workload::Workload;

/// What stands behind one port of a Service: who, and at which port. Sorted.
pub type Backends = Arc<[(Peer, Port)]>;

/// All Services by address and port.
#[derive(Debug)]
pub(crate) struct ServiceTable {
    by_port: HashMap<(IpAddr, Protocol, Port), ServiceTarget>,
    by_address: HashMap<IpAddr, ServiceRef>,
    /// By Service, then by port, in the order of the object.
    backends: Vec<Vec<Backends>>,
}

impl ServiceTable {
    pub(crate) fn target(
        &self,
        ip: IpAddr,
        protocol: Protocol,
        port: Port,
    ) -> Option<&ServiceTarget> {
        self.by_port.get(&(ip.to_canonical(), protocol, port))
    }

    pub(crate) fn at(&self, ip: IpAddr) -> Option<&ServiceRef> {
        self.by_address.get(&ip.to_canonical())
    }

    pub(crate) fn backends(&self, service: usize) -> &[Backends] {
        self.backends.get(service).map_or(&[], Vec::as_slice)
    }
}

/// What backends are found among.
pub(crate) struct Candidates<'a> {
    pub(crate) pods: &'a [Pod],
    pub(crate) workload_of: &'a [usize],
    pub(crate) workloads: &'a mut [Workload],
    pub(crate) owners: &'a Owners,
    pub(crate) residents: &'a Residents,
    pub(crate) nodes: &'a NodeBook,
    pub(crate) space: &'a AddressSpace,
}

/// Finds the backends of every Service port, and tells the workloads which Services they back.
pub(crate) fn connect(
    services: &[Service],
    endpoints: &[Endpoints],
    candidates: &mut Candidates<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> ServiceTable {
    let mut slices: BTreeMap<&ServiceRef, Vec<&Endpoints>> = BTreeMap::new();
    for slice in endpoints {
        slices.entry(&slice.service).or_default().push(slice);
    }
    let index: HashMap<WorkloadRef, usize> =
        candidates.workloads.iter().enumerate().map(|(n, w)| (w.reference.clone(), n)).collect();
    let mut table = ServiceTable {
        by_port: HashMap::new(),
        by_address: HashMap::new(),
        backends: Vec::with_capacity(services.len()),
    };
    let mut backing: Vec<BTreeSet<usize>> = Vec::with_capacity(services.len());
    {
        let c = &*candidates;
        let pods = LabelIndex::new(c.pods.iter().map(|p| (&p.reference.namespace, &p.labels)));
        let templates = LabelIndex::new(
            c.workloads.iter().map(|w| (&w.reference.namespace, &w.template_labels)),
        );
        for service in services {
            let slices = slices.get(&service.reference).map_or(&[][..], Vec::as_slice);
            let selected = Selected::new(service, &pods, &templates);
            if selected.is_nothing() && slices.iter().all(|slice| slice.addresses.is_empty()) {
                diagnostics.extend(selects_nothing(service));
            }
            let by_port: Vec<Backends> = service
                .ports
                .iter()
                .map(|port| {
                    let mut found = of_slices(port, slices, c);
                    if found.is_empty() {
                        found = selected.backends(port, c);
                    }
                    found.into_iter().collect()
                })
                .collect();
            table.add(service, &by_port);
            table.backends.push(by_port);

            let named = slices.iter().flat_map(|slice| &slice.addresses);
            let residents = named.filter_map(|(_, pod)| c.residents.named(pod.as_ref()?));
            let mut workloads: BTreeSet<usize> =
                residents.filter_map(|r| index.get(&r.workload).copied()).collect();
            workloads.extend(selected.pods.iter().map(|&pod| c.workload_of[pod]));
            workloads.extend(&selected.templates);
            backing.push(workloads);
        }
    }
    for (service, workloads) in backing.into_iter().enumerate() {
        for workload in workloads {
            candidates.workloads[workload].services.push(service);
        }
    }
    table
}

impl ServiceTable {
    fn add(&mut self, service: &Service, backends: &[Backends]) {
        let ips = service.cluster_ips.iter().chain(&service.external_ips);
        for ip in ips.map(IpAddr::to_canonical) {
            self.by_address.entry(ip).or_insert_with(|| service.reference.clone());
            for (port, backends) in service.ports.iter().zip(backends) {
                self.by_port.entry((ip, port.protocol, port.port)).or_insert_with(|| {
                    ServiceTarget {
                        service: ServicePortRef {
                            service: service.reference.clone(),
                            port: port.port,
                        },
                        backends: Arc::clone(backends),
                    }
                });
            }
        }
    }
}

/// What the selector of a Service matches: live pods, and workloads by their templates (they may have no pod now).
struct Selected {
    pods: Vec<usize>,
    templates: Vec<usize>,
}

impl Selected {
    fn new(service: &Service, pods: &LabelIndex<'_>, templates: &LabelIndex<'_>) -> Self {
        let namespace = &service.reference.namespace;
        match selector(service) {
            Some(selector) => Self {
                pods: pods.matching(namespace, selector),
                templates: templates.matching(namespace, selector),
            },
            None => Self { pods: Vec::new(), templates: Vec::new() },
        }
    }

    fn is_nothing(&self) -> bool {
        self.pods.is_empty() && self.templates.is_empty()
    }

    /// Backends by selector, with named ports looked up on each pod. A pod without the port is no backend.
    fn backends(&self, port: &ServicePort, c: &Candidates<'_>) -> BTreeSet<(Peer, Port)> {
        let of_pods: BTreeSet<_> = self
            .pods
            .iter()
            .filter_map(|&n| {
                let pod = &c.pods[n];
                let resident = c.residents.named(&pod.reference)?;
                Some((resident.peer.clone(), target(port, &pod.spec.ports)?))
            })
            .collect();
        if !of_pods.is_empty() {
            return of_pods;
        }
        let workloads = self.templates.iter().map(|&n| &c.workloads[n]);
        workloads
            .filter_map(|w| {
                Some((Peer::Workload(w.reference.clone()), target(port, &w.spec.ports)?))
            })
            .collect()
    }
}

fn target(port: &ServicePort, declared: &[ContainerPort]) -> Option<Port> {
    match &port.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Named(name) => declared
            .iter()
            .find(|c| c.protocol == port.protocol && c.name.as_ref() == Some(name))
            .map(|c| c.port),
    }
}

fn of_slices(
    port: &ServicePort,
    slices: &[&Endpoints],
    c: &Candidates<'_>,
) -> BTreeSet<(Peer, Port)> {
    let mut found = BTreeSet::new();
    for slice in slices {
        let same = |p: &&_| same_port(port, p);
        for at in slice.ports.iter().filter(same) {
            for (ip, pod) in &slice.addresses {
                found.insert((endpoint(*ip, pod.as_ref(), c), at.port));
            }
        }
    }
    found
}

fn same_port(port: &ServicePort, other: &EndpointPort) -> bool {
    port.protocol == other.protocol && port.name == other.name
}

fn endpoint(ip: IpAddr, pod: Option<&PodRef>, c: &Candidates<'_>) -> Peer {
    if let Some(pod) = pod {
        return match c.residents.named(pod) {
            Some(resident) => resident.peer.clone(),
            None => Peer::Workload(c.owners.top_of_gone_pod(pod, None, None)),
        };
    }
    if let Some(node) = c.nodes.at(ip) {
        return Peer::Node(node.clone());
    }
    match c.residents.now(ip) {
        Some(resident) => resident.peer.clone(),
        None => Peer::Address(ip.to_canonical(), c.space.classify(ip)),
    }
}

/// What the Service selects by. "If empty or not present, the service is assumed to have an external process
/// managing its endpoints"; ignored for `ExternalName` (`ServiceSpec.selector`).
fn selector(service: &Service) -> Option<&Selector> {
    let used = service.kind != ServiceType::ExternalName;
    service.selector.as_ref().filter(|selector| used && !selector.is_everything())
}

fn selects_nothing(service: &Service) -> Option<Diagnostic> {
    selector(service).map(|selector| {
        Diagnostic::warning(
            "service-selects-nothing",
            format!("its selector {selector} matches no pod and no pod template"),
        )
        .at(service.origin.clone())
        .about(format!("Service {}", service.reference))
        .value("service", &service.reference)
        .value("selector", selector)
        .hint("compare it with the labels of the pods it is meant for, in the same namespace")
    })
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
