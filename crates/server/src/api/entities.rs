//! `GET /clusters/{cluster}/entities`.

use std::collections::BTreeMap;

use ringfence_inventory::{Inventory, Workload};
use ringfence_model::Name;
use ringfence_model::object::{ContainerPort, Service, TargetPort};
use ringfence_views::explain::kind_name;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Answer;
use crate::api::scope::check_namespace;
use crate::api::state::{InCluster, name};
use crate::api::words::{List, Protocol, labels};
use crate::auth::Viewer;
use crate::problem::{Details, Json, MEDIA_TYPE, Query};

/// A workload or a Service.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entity {
    /// `Deployment`, `DaemonSet`, `StatefulSet`, `CronJob`, `Job`, `ReplicaSet`, `Pod`, `Service`, or the kind of
    /// another controller.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How many pods it has now; of a Service, those behind it.
    pub pods: usize,
    /// The labels of its pods; none for a Service.
    pub labels: BTreeMap<String, String>,
    /// The ports that its pods declare; of a Service its own.
    pub ports: Vec<EntityPort>,
    /// The Services that it backs, by name; none for a Service.
    pub services: Vec<String>,
    /// Of a Service, the workloads behind it, as `Kind/name`.
    pub workloads: Vec<String>,
    /// Whether its pods share their nodes' network, so that policies do not select them.
    pub host_network: bool,
    /// Of a `CronJob`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub schedule: Option<String>,
}

/// A port that listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntityPort {
    /// Its name, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
    /// Of a Service, where it goes on the pods: a number or the name of a container port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub target: Option<String>,
}

/// Which entities.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EntityQuery {
    /// Only of this namespace.
    #[param(nullable = false)]
    pub namespace: Option<String>,
    /// Only of this kind.
    #[param(nullable = false)]
    pub kind: Option<String>,
}

/// The ports that a pod template declares, sorted.
pub(super) fn declared(ports: &[ContainerPort]) -> Vec<EntityPort> {
    let mut ports: Vec<&ContainerPort> = ports.iter().collect();
    ports.sort_by(|a, b| (a.port, a.protocol, &a.name).cmp(&(b.port, b.protocol, &b.name)));
    ports.dedup();
    ports
        .into_iter()
        .map(|port| EntityPort {
            name: port.name.as_ref().map(ToString::to_string),
            protocol: port.protocol.into(),
            port: port.port.get(),
            target: None,
        })
        .collect()
}

/// The Services that a workload backs, by name.
pub(super) fn services(inventory: &Inventory, workload: &Workload) -> Vec<String> {
    let all = inventory.services();
    workload.services.iter().filter_map(|&n| Some(all.get(n)?.reference.name.to_string())).collect()
}

fn of_workload(inventory: &Inventory, workload: &Workload) -> Entity {
    Entity {
        kind: workload.reference.kind.to_string(),
        namespace: workload.reference.namespace.to_string(),
        name: workload.reference.name.to_string(),
        pods: workload.pods.len(),
        labels: labels(&workload.template_labels),
        ports: declared(&workload.spec.ports),
        services: services(inventory, workload),
        workloads: Vec::new(),
        host_network: workload.host_network,
        schedule: workload.schedule.as_ref().map(ToString::to_string),
    }
}

fn of_service(inventory: &Inventory, at: usize, service: &Service) -> Entity {
    let behind = || inventory.workloads().iter().filter(|w| w.services.contains(&at));
    let ports = service.ports.iter().map(|port| EntityPort {
        name: port.name.as_ref().map(ToString::to_string),
        protocol: port.protocol.into(),
        port: port.port.get(),
        target: Some(match &port.target {
            TargetPort::Number(number) => number.to_string(),
            TargetPort::Named(name) => name.to_string(),
        }),
    });
    let workload = |w: &Workload| format!("{}/{}", w.reference.kind, w.reference.name);
    Entity {
        kind: "Service".to_owned(),
        namespace: service.reference.namespace.to_string(),
        name: service.reference.name.to_string(),
        pods: behind().map(|w| w.pods.len()).sum(),
        labels: BTreeMap::new(),
        ports: ports.collect(),
        services: Vec::new(),
        workloads: behind().map(workload).collect(),
        host_network: false,
        schedule: None,
    }
}

/// The workloads and Services of a cluster, sorted by namespace, kind and name.
#[utoipa::path(get, path = "/clusters/{cluster}/entities", operation_id = "listEntities", tag = "clusters",
    params(("cluster" = String, Path), EntityQuery), responses(
    (status = 200, body = List<Entity>),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn list(
    _: Viewer,
    InCluster(cluster): InCluster,
    Query(query): Query<EntityQuery>,
) -> Answer<List<Entity>> {
    let EntityQuery { namespace, kind } = query;
    let namespace = namespace.map(|text| name("namespace", &text)).transpose()?;
    let kind = kind.map(|kind| kind_name(&kind));
    let view = cluster.view();
    let inventory = &view.inventory;
    if let Some(namespace) = &namespace {
        check_namespace(inventory, namespace)?;
    }
    let of_kind = |own: &str| kind.as_deref().is_none_or(|kind| kind == own);
    let here = |own: &Name| namespace.as_ref().is_none_or(|namespace| namespace == own);
    let workloads = inventory.workloads().iter();
    let workloads =
        workloads.filter(|w| here(&w.reference.namespace) && of_kind(w.reference.kind.as_str()));
    let mut entities: Vec<Entity> = workloads.map(|w| of_workload(inventory, w)).collect();
    if of_kind("Service") {
        let services = inventory.services().iter().enumerate();
        let services = services.filter(|(_, service)| here(&service.reference.namespace));
        entities.extend(services.map(|(at, service)| of_service(inventory, at, service)));
    }
    entities
        .sort_by(|a, b| (&a.namespace, &a.kind, &a.name).cmp(&(&b.namespace, &b.kind, &b.name)));
    Ok(Json(entities.into()))
}
