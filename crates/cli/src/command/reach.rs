//! `ringfence reach`.

use std::io::{BufWriter, Write};

use anyhow::Context;
use ringfence_advise::{Connectivity, Focus, FocusSide, Group, Scope, Who};
use ringfence_inventory::Inventory;

use crate::Outcome;
use crate::args::{ReachArgs, ReachFormat};
use crate::input::{Policies, cluster, in_scope, policies, refuse_second_stdin, refuse_unknown};
use crate::reach::{csv, dot, exposure, json, table};

/// Shows who can reach whom.
pub(crate) fn run(args: &ReachArgs) -> anyhow::Result<Outcome> {
    refuse_second_stdin(args.cluster.cluster.iter().chain(&args.cluster.policies))?;
    let inventory = cluster(&args.cluster.cluster)?;
    let Policies { network, cluster_wide } = policies(&inventory, &args.cluster.policies)?;
    let (profile_name, profile) = &args.cluster.profile.profile;
    let scope = scope(&inventory, args)?;
    let connectivity = Connectivity::new(&inventory, &network, &cluster_wide, profile);
    let focus = focus(&connectivity, scope.as_ref(), args);
    let mut out = BufWriter::with_capacity(BUFFER, std::io::stdout().lock());
    match (args.output, args.exposure) {
        (ReachFormat::Dot, true) => {
            anyhow::bail!("--exposure has no graph: use table, json or csv")
        }
        (format, true) => exposure(&connectivity, &focus, profile_name, format, &mut out),
        (ReachFormat::Table, false) => out.write_all(table(&connectivity, &focus).as_bytes()),
        (ReachFormat::Json, false) => json(&connectivity, &focus, profile_name, &mut out),
        (ReachFormat::Csv, false) => csv(&connectivity, &focus, &mut out),
        (ReachFormat::Dot, false) => dot(&connectivity, &focus, &mut out),
    }
    .and_then(|()| out.flush())
    .context("cannot write to stdout")?;
    Ok(Outcome::Fine)
}

/// Large enough that writing costs few system calls.
const BUFFER: usize = 1 << 18;

/// The workloads asked for; `None` for all, those of Kubernetes itself included.
fn scope(inventory: &Inventory, args: &ReachArgs) -> anyhow::Result<Option<Scope>> {
    if args.namespace.is_none() && args.workload.is_none() {
        return Ok(None);
    }
    refuse_unknown(inventory, args.namespace.as_ref())?;
    in_scope(inventory, args.namespace.as_ref(), args.workload.as_ref()).map(Some)
}

fn focus(connectivity: &Connectivity<'_>, scope: Option<&Scope>, args: &ReachArgs) -> Focus {
    let side = match (args.from, args.to) {
        (true, _) => FocusSide::From,
        (_, true) => FocusSide::To,
        _ => FocusSide::Either,
    };
    connectivity.focus(side, |group: &Group<'_>| match (&group.who, scope) {
        (_, None) => true,
        (Who::Pods { workload, .. }, Some(scope)) => scope.contains(&workload.reference),
        (Who::Addresses { .. }, Some(_)) => false,
    })
}
