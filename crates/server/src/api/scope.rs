//! Which entities of which namespace a request is about, and over what time.

use std::collections::BTreeSet;

use ringfence_advise::{Behind, Scope};
use ringfence_inventory::Inventory;
use ringfence_model::{Name, ServiceRef, Span, Timestamp, WorkloadKind, WorkloadRef};
use ringfence_views::explain::kind_name;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::state::{list, moment, name};
use crate::problem::Problem;

/// Which entities of which namespace, and over what time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ScopeQuery {
    /// The namespace.
    pub namespace: String,
    /// Only entities of this kind, `Service` among them.
    #[param(nullable = false)]
    pub kind: Option<String>,
    /// Only the entity of this name.
    #[param(nullable = false)]
    pub name: Option<String>,
    /// Only what was observed from this time on (RFC 3339).
    #[param(nullable = false, format = DateTime)]
    pub from: Option<String>,
    /// Only what was observed before this time (RFC 3339).
    #[param(nullable = false, format = DateTime)]
    pub until: Option<String>,
}

/// What a [`ScopeQuery`] asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub(super) namespace: Name,
    pub(super) kind: Option<String>,
    pub(super) name: Option<Name>,
    pub(super) window: Span,
}

impl TryFrom<&ScopeQuery> for Asked {
    type Error = Problem;

    fn try_from(query: &ScopeQuery) -> Result<Self, Problem> {
        let ScopeQuery { namespace, kind, name: entity, from, until } = query;
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let entity = given(entity).map(|text| name("name", &text)).transpose()?;
        Ok(Self {
            namespace: name("namespace", namespace)?,
            kind: given(kind).map(|kind| kind_name(&kind)),
            name: entity,
            window: window(from.as_deref(), until.as_deref())?,
        })
    }
}

/// The time between two moments, each of which may be left out.
pub(super) fn window(from: Option<&str>, until: Option<&str>) -> Result<Span, Problem> {
    let at = |field, text: Option<&str>, open| match text.filter(|text| !text.is_empty()) {
        Some(text) => moment(field, text),
        None => Ok(open),
    };
    let span = Span {
        from: at("from", from, Timestamp::MIN)?,
        until: at("until", until, Timestamp::MAX)?,
    };
    if span.from < span.until {
        Ok(span)
    } else {
        Err(Problem::bad_field(
            "until",
            format!("no time lies between {} and {}", span.from, span.until),
        )
        .with_hint("give a time after from"))
    }
}

/// Whose rows are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entities {
    /// Those of the workloads in scope.
    Workloads,
    /// Those of the workloads behind Services: behind this one, or behind any.
    Services(Option<ServiceRef>),
}

impl Asked {
    /// Fails when the namespace is not in the cluster.
    pub(super) fn check(&self, inventory: &Inventory) -> Result<(), Problem> {
        check_namespace(inventory, &self.namespace)?;
        if let (Entities::Services(Some(service)), None) =
            (self.entities(), self.service(inventory))
        {
            let here = inventory.services().iter().map(|s| &s.reference);
            let known: Vec<String> = here
                .filter(|s| s.namespace == self.namespace)
                .map(|s| s.name.to_string())
                .collect();
            return Err(Problem::not_found(format!("there is no Service {service}"))
                .with_hint(format!("the Services are: {}", list(&known))));
        }
        Ok(())
    }

    pub(super) fn entities(&self) -> Entities {
        if self.kind.as_deref() != Some("Service") {
            return Entities::Workloads;
        }
        let of = |name: &Name| ServiceRef { namespace: self.namespace.clone(), name: name.clone() };
        Entities::Services(self.name.as_ref().map(of))
    }

    fn service(&self, inventory: &Inventory) -> Option<usize> {
        let name = self.name.clone()?;
        inventory.service_index(&ServiceRef { namespace: self.namespace.clone(), name })
    }

    /// The workloads that rows are made of: for Services all of the namespace, as their rows are chosen afterwards.
    pub(super) fn scope(&self) -> Scope {
        match self.entities() {
            Entities::Services(_) => {
                Scope { namespace: Some(self.namespace.clone()), ..Scope::default() }
            }
            Entities::Workloads => Scope {
                namespace: Some(self.namespace.clone()),
                kind: self.kind.as_deref().map(WorkloadKind::from),
                name: self.name.clone(),
                behind: None,
            },
        }
    }

    /// The workloads that policies are written for: of a Service those behind it.
    pub(super) fn policy_scope(&self, inventory: &Inventory) -> Result<Scope, Problem> {
        let Entities::Services(Some(service)) = self.entities() else { return Ok(self.scope()) };
        let mut workloads = self.behind(inventory).unwrap_or_default();
        if workloads.len() > 1 {
            let behind = Some(Behind { service: service.name, workloads });
            return Ok(Scope { behind, ..self.scope() });
        }
        // One workload is named as everywhere else.
        let one = |WorkloadRef { namespace, kind, name }| Scope {
            namespace: Some(namespace),
            kind: Some(kind),
            name: Some(name),
            behind: None,
        };
        workloads.pop_first().map(one).ok_or_else(|| {
            Problem::not_found(format!(
                "no workload stands behind Service {service}, so there is nothing to write a policy for"
            ))
            .with_hint("choose a workload")
        })
    }

    /// The workloads behind the Service asked for; `None` when none is asked for by name.
    pub(super) fn behind(&self, inventory: &Inventory) -> Option<BTreeSet<WorkloadRef>> {
        let Entities::Services(Some(_)) = self.entities() else { return None };
        let Some(service) = self.service(inventory) else { return Some(BTreeSet::new()) };
        let backing = inventory.workloads().iter().filter(|w| w.services.contains(&service));
        Some(backing.map(|w| w.reference.clone()).collect())
    }
}

/// Fails when the namespace is not in the cluster.
pub(super) fn check_namespace(inventory: &Inventory, namespace: &Name) -> Result<(), Problem> {
    if inventory.namespace(namespace.as_str()).is_some() {
        return Ok(());
    }
    let known: Vec<String> = inventory.namespaces().iter().map(|n| n.name.to_string()).collect();
    Err(Problem::not_found(format!("there is no namespace {namespace} in the cluster"))
        .with_hint(format!("the namespaces are: {}", list(&known))))
}

#[cfg(test)]
#[path = "scope_tests.rs"]
mod tests;
