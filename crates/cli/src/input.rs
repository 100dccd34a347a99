//! Reading what a command works on.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ringfence_advise::{Scope, alias};
use ringfence_flows::{Aggregator, Ledger, Options, ReadError, ReadOptions, Skip};
use ringfence_inventory::Inventory;
use ringfence_kube::read::{Input, Reader};
use ringfence_model::review::{ClusterCidrs, Review};
use ringfence_model::{
    ClusterPolicy, ClusterPolicyKind, Diagnostic, Edge, Name, NetworkPolicy, Span, Timestamp,
};
use ringfence_views::explain::some_of;

use crate::args::{TrafficArgs, WorkloadPattern};
use crate::output::{refuse_errors, report, say};
use crate::progress;

/// A cluster, the traffic in it, and what people decided about it.
pub(crate) struct Traffic {
    pub(crate) inventory: Inventory,
    pub(crate) review: Review,
    /// With aliases applied, sorted.
    pub(crate) edges: Vec<Edge>,
    /// First and last observation.
    pub(crate) observed: Option<(Timestamp, Timestamp)>,
    /// What to tell about the input, none of it an error.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads everything. Errors in it are printed, and end the command: a result from half of the input could not be
/// trusted.
pub(crate) fn traffic(args: &TrafficArgs) -> anyhow::Result<Traffic> {
    refuse_second_stdin(args.cluster.iter().chain(&args.flows).chain(&args.review))?;
    let window = Span {
        from: args.since.unwrap_or(Timestamp::MIN),
        until: args.until.unwrap_or(Timestamp::MAX),
    };
    anyhow::ensure!(
        window.from < window.until,
        "no time lies between --since {} and --until {}",
        window.from,
        window.until
    );
    let review = match &args.review {
        Some(path) => ringfence_kube::review::path(path).map_err(|faults| {
            report(&faults);
            anyhow::anyhow!(
                "the review {} has faults, listed above; nothing was written",
                path.display()
            )
        })?,
        None => Review::default(),
    };
    let (inventory, mut diagnostics) = objects(&args.cluster, &review.cluster)?;
    report(&diagnostics);
    refuse_errors(&diagnostics)?;
    refuse_unknown(&inventory, args.namespace.as_ref())?;
    let mut aggregator = Aggregator::new(&inventory, Options { window, ..Options::default() });
    flows(&args.flows, &mut aggregator)?;
    let observations = aggregator.finish();
    report(&observations.diagnostics);
    diagnostics.extend(observations.diagnostics);
    say(ledger_line(&observations.ledger));
    refuse_errors(&diagnostics)?;
    Ok(Traffic {
        edges: alias::apply(observations.edges, &review.aliases),
        observed: observations.window.map(|span| (span.from, span.until)),
        inventory,
        review,
        diagnostics,
    })
}

/// Reads the cluster alone.
pub(crate) fn cluster(paths: &[PathBuf]) -> anyhow::Result<Inventory> {
    let (inventory, mut diagnostics) = objects(paths, &ClusterCidrs::default())?;
    // Without traffic there are no addresses to tell apart by the cluster's ranges.
    diagnostics.retain(|diagnostic| diagnostic.code != "cluster-subnet-incomplete");
    report(&diagnostics);
    refuse_errors(&diagnostics)?;
    Ok(inventory)
}

fn objects(
    paths: &[PathBuf],
    cidrs: &ClusterCidrs,
) -> anyhow::Result<(Inventory, Vec<Diagnostic>)> {
    let Input { objects, ignored, mut diagnostics } = read_paths(paths);
    // What is missing because half of the input could not be read needs no complaint of its own.
    refuse_errors(&diagnostics).inspect_err(|_| report(&diagnostics))?;
    if !ignored.is_empty() {
        let kinds = ignored
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect::<Vec<_>>()
            .join(", ");
        diagnostics
            .push(Diagnostic::note("kinds-ignored", format!("not needed and left out: {kinds}")));
    }
    let (inventory, found) = Inventory::build(objects, cidrs);
    diagnostics.extend(found);
    Ok((inventory, diagnostics))
}

/// Standard input can be read once.
pub(crate) fn refuse_second_stdin<'a>(
    paths: impl IntoIterator<Item = &'a PathBuf>,
) -> anyhow::Result<()> {
    let times = paths.into_iter().filter(|path| **path == Path::new("-")).count();
    anyhow::ensure!(
        times < 2,
        "standard input (-) is named {times} times, and can be read once only\n  \
         hint: name files for the others"
    );
    Ok(())
}

fn read_paths(paths: &[PathBuf]) -> Input {
    let mut reader = Reader::new();
    for path in paths {
        reader.path(path);
    }
    reader.finish()
}

/// The policies that a command judges.
pub(crate) struct Policies {
    pub(crate) network: Vec<NetworkPolicy>,
    pub(crate) cluster_wide: Vec<ClusterPolicy>,
}

/// Candidate policies, put in place of those of the cluster with the same kind and name.
pub(crate) fn policies(inventory: &Inventory, candidates: &[PathBuf]) -> anyhow::Result<Policies> {
    let mut network = inventory.policies().to_vec();
    let mut cluster_wide = inventory.cluster_policies().to_vec();
    if !candidates.is_empty() {
        let Input { objects, diagnostics, .. } = read_paths(candidates);
        report(&diagnostics);
        refuse_errors(&diagnostics)?;
        anyhow::ensure!(
            !objects.policies.is_empty() || !objects.cluster_policies.is_empty(),
            "there is no NetworkPolicy and no cluster-wide policy in the candidate policies"
        );
        network.retain(|p| {
            !objects.policies.iter().any(|c| c.namespace == p.namespace && c.name == p.name)
        });
        network.extend(objects.policies);
        cluster_wide.retain(|p| {
            !objects.cluster_policies.iter().any(|c| c.kind == p.kind && c.name == p.name)
        });
        cluster_wide.extend(objects.cluster_policies);
    }
    Ok(Policies { network, cluster_wide })
}

/// Two policy sets over one cluster. Policies of the cluster that neither names are in both.
pub(crate) fn policy_sets(
    inventory: &Inventory,
    sets: [&Path; 2],
) -> anyhow::Result<[Policies; 2]> {
    let read = |path: &Path| -> anyhow::Result<Policies> {
        let Input { objects, diagnostics, .. } = read_paths(&[path.to_owned()]);
        report(&diagnostics);
        refuse_errors(&diagnostics)?;
        Ok(Policies { network: objects.policies, cluster_wide: objects.cluster_policies })
    };
    let [mut before, mut after] = [read(sets[0])?, read(sets[1])?];
    let named: HashSet<(Name, Name)> = [&before, &after]
        .into_iter()
        .flat_map(|set| &set.network)
        .map(|p| (p.namespace.clone(), p.name.clone()))
        .collect();
    let others = inventory.policies().iter();
    let others = others.filter(|p| !named.contains(&(p.namespace.clone(), p.name.clone())));
    let cluster_wide: HashSet<(ClusterPolicyKind, Name)> = [&before, &after]
        .into_iter()
        .flat_map(|set| &set.cluster_wide)
        .map(|p| (p.kind, p.name.clone()))
        .collect();
    let cluster_wide_others = inventory.cluster_policies().iter();
    let cluster_wide_others =
        cluster_wide_others.filter(|p| !cluster_wide.contains(&(p.kind, p.name.clone())));
    for set in [&mut before, &mut after] {
        set.network.extend(others.clone().cloned());
        set.cluster_wide.extend(cluster_wide_others.clone().cloned());
    }
    Ok([before, after])
}

fn flows(files: &[PathBuf], aggregator: &mut Aggregator<'_, Inventory>) -> anyhow::Result<()> {
    let bar = progress::bar(files);
    let mut done = 0;
    for file in files {
        let mut read = 0;
        let progress = |bytes: u64| {
            read = bytes;
            bar.set_position(done + bytes);
        };
        let result = if file == Path::new("-") {
            ringfence_flows::read_flows(
                std::io::stdin().lock(),
                "<stdin>",
                ReadOptions::default(),
                aggregator,
                progress,
            )
        } else {
            ringfence_flows::read_file(file, ReadOptions::default(), aggregator, progress)
        };
        result.map_err(|error| hinted(&error))?;
        done += read;
    }
    bar.finish_and_clear();
    Ok(())
}

fn hinted(error: &ReadError) -> anyhow::Error {
    let hint = match error {
        ReadError::Open { .. } => "give the path of a flow log, or - for stdin",
        ReadError::Truncated { .. } => {
            "copy or compress the log again, or cut it after the last whole line"
        }
        ReadError::Read { .. } => "check the file with gzip -t or zstd -t",
        ReadError::Format { .. } => {
            "record flows with hubble observe -o jsonpb, or write the format of \
             docs/schemas/flow.v1.json"
        }
    };
    anyhow::anyhow!("{error}\n  hint: {hint}")
}

fn ledger_line(ledger: &Ledger) -> String {
    let skipped: u64 = Skip::ALL.into_iter().map(|reason| ledger.skipped(reason)).sum();
    format!(
        "flows: {} lines: {} used, {} repeated, {} replies, {} service translations, {} no connections, {} outside the \
         time window, {} loss reports ({} events lost), {} malformed, {} too long",
        ledger.lines(),
        ledger.used,
        ledger.repeated,
        ledger.replies,
        ledger.translations,
        skipped,
        ledger.outside_window,
        ledger.loss_reports,
        ledger.lost_events,
        ledger.malformed,
        ledger.oversized,
    )
}

/// The workloads that the options mean; fails when they mean none.
pub(crate) fn scope(
    inventory: &Inventory,
    args: &TrafficArgs,
    workload: Option<&WorkloadPattern>,
) -> anyhow::Result<Scope> {
    in_scope(inventory, args.namespace.as_ref(), workload)
}

/// Fails when the namespace is not in the cluster input.
pub(crate) fn refuse_unknown(
    inventory: &Inventory,
    namespace: Option<&Name>,
) -> anyhow::Result<()> {
    if let Some(namespace) = namespace
        && inventory.namespace(namespace.as_str()).is_none()
    {
        let known = some_of(inventory.namespaces().iter().map(|n| &n.name));
        anyhow::bail!("there is no namespace {namespace} in the cluster input, which has: {known}");
    }
    Ok(())
}

/// The workloads of a namespace, or those that a pattern means; fails when there are none.
pub(crate) fn in_scope(
    inventory: &Inventory,
    namespace: Option<&Name>,
    workload: Option<&WorkloadPattern>,
) -> anyhow::Result<Scope> {
    let scope = Scope {
        namespace: namespace.cloned(),
        kind: workload.map(WorkloadPattern::workload_kind),
        name: workload.map(|pattern| pattern.name.clone()),
        behind: None,
    };
    inhabited(inventory, scope)
}

/// The scope, when it means any workload.
pub(crate) fn inhabited(inventory: &Inventory, scope: Scope) -> anyhow::Result<Scope> {
    if scope.workloads(inventory).next().is_none() {
        let everywhere = Scope { namespace: scope.namespace.clone(), ..Scope::default() };
        let known = some_of(everywhere.workloads(inventory).map(|w| &w.reference));
        anyhow::bail!(
            "there is no workload in scope ({scope})\n  hint: the workloads are: {known}"
        );
    }
    Ok(scope)
}
