//! Controllers of pods.

use ringfence_model::object::Controller;
use ringfence_model::{Labels, WorkloadKind};
use serde::Deserialize;

use super::meta::{Meta, Pairs};
use super::pod::SpecWire;
use super::selector::SelectorWire;
use super::{Context, Object};
use crate::de::{Lined, from_node};
use crate::fault::Fault;
use crate::node::Node as Tree;

/// How a controller finds its pods.
pub(super) enum Kind {
    /// By `spec.selector`.
    Selecting(WorkloadKind),
    /// By a selector that the API server sets.
    Job,
    /// Through its Jobs.
    CronJob,
}

#[derive(Deserialize)]
struct Wire<'n> {
    #[serde(borrow)]
    spec: Spec<'n>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'n> {
    #[serde(borrow, default)]
    selector: Option<Lined<SelectorWire<'n>>>,
    #[serde(default)]
    replicas: Option<Lined<i64>>,
    #[serde(borrow, default)]
    schedule: Option<&'n str>,
    #[serde(borrow, default)]
    template: Option<Template<'n>>,
    #[serde(borrow, default)]
    job_template: Option<JobTemplate<'n>>,
}

#[derive(Deserialize)]
struct JobTemplate<'n> {
    #[serde(borrow)]
    spec: JobSpec<'n>,
}

#[derive(Deserialize)]
struct JobSpec<'n> {
    #[serde(borrow)]
    template: Template<'n>,
}

#[derive(Deserialize)]
struct Template<'n> {
    #[serde(borrow, default)]
    metadata: TemplateMeta<'n>,
    #[serde(borrow, default)]
    spec: SpecWire<'n>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TemplateMeta<'n> {
    #[serde(borrow)]
    labels: Pairs<'n>,
}

pub(super) fn read(
    kind: Kind,
    tree: &Tree<'_>,
    meta: Meta,
    cx: &mut Context<'_>,
) -> Result<Object, Vec<Fault>> {
    controller(kind, tree, meta, cx).map(Object::Controller).map_err(|fault| vec![fault])
}

fn controller(
    kind: Kind,
    tree: &Tree<'_>,
    meta: Meta,
    cx: &mut Context<'_>,
) -> Result<Controller, Fault> {
    let Wire { spec: Spec { selector, replicas, schedule, template, job_template } } =
        from_node(tree)?;
    let missing = |field: &str| Fault::new(tree.line, format!("{field} is missing"));
    let (field, template) = match kind {
        Kind::CronJob => (
            "spec.jobTemplate.spec.template",
            job_template.ok_or_else(|| missing("spec.jobTemplate"))?.spec.template,
        ),
        Kind::Selecting(_) | Kind::Job => {
            ("spec.template", template.ok_or_else(|| missing("spec.template"))?)
        }
    };
    let Template { metadata, spec } = template;
    let template_labels = metadata.labels.labels(cx);
    let selector = match selector {
        Some(Lined { line, value }) => {
            let selector = value.read(cx).map_err(|f| f.inside("spec.selector", line))?;
            check_selects(&selector, &template_labels, line)?;
            Some(selector)
        }
        None if matches!(kind, Kind::Selecting(_)) => return Err(missing("spec.selector")),
        None => None,
    };
    let template = spec.read(cx).map_err(|f| f.inside(&format!("{field}.spec"), tree.line))?;
    let replicas = replicas
        .map(|Lined { line, value }| {
            u32::try_from(value).map_err(|_| {
                Fault::new(line, format!("{value} is not a number of pods"))
                    .inside("spec.replicas", line)
            })
        })
        .transpose()?;
    let (kind, replicas) = match kind {
        Kind::Selecting(WorkloadKind::DaemonSet) => (WorkloadKind::DaemonSet, None),
        Kind::Selecting(kind) => (kind, Some(replicas.unwrap_or(1))),
        Kind::Job => (WorkloadKind::Job, None),
        Kind::CronJob => (WorkloadKind::CronJob, None),
    };
    Ok(Controller {
        namespace: meta.namespace,
        kind,
        name: meta.name,
        owner: meta.owner,
        selector,
        template_labels,
        template,
        replicas,
        schedule: schedule.map(|s| cx.strings.share(s)),
        origin: cx.origin.clone(),
    })
}

/// The API server refuses a controller that would not select the pods it makes.
fn check_selects(
    selector: &ringfence_model::Selector,
    labels: &Labels,
    line: u32,
) -> Result<(), Fault> {
    if selector.matches(labels) {
        return Ok(());
    }
    let message =
        format!("spec.selector {selector} does not select the pod template's labels {labels}");
    Err(Fault::new(line, message).hint("make the template carry the labels of the selector"))
}
