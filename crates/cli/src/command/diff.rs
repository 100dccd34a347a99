//! `ringfence diff`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use anyhow::Context;
use ringfence_advise::{
    ChangedEnd, ChangedPair, ChangedWho, Changes, Connectivity, Presence, changes,
};
use ringfence_inventory::Inventory;
use ringfence_policy::Profile;
use ringfence_views::diff::{ChangeCounts, end, kind, name, pair_ports, used_ends};

use crate::Outcome;
use crate::args::{DiffArgs, DiffFormat};
use crate::input::{cluster, policy_sets};
use crate::output::{count, table};
use crate::reach::{Crowd, Kind, Member};

/// Shows what passes otherwise than before.
pub(crate) fn run(args: &DiffArgs) -> anyhow::Result<Outcome> {
    let (name, profile) = &args.profile.profile;
    let changed = if args.cluster.is_empty() {
        let before = cluster(std::slice::from_ref(&args.before))?;
        let after = cluster(std::slice::from_ref(&args.after))?;
        let before = of_dump(&before, *profile);
        let after = of_dump(&after, *profile);
        print(name, &changes(&before, &after), args.output)?
    } else {
        let inventory = cluster(&args.cluster)?;
        let [before, after] = policy_sets(&inventory, [&args.before, &args.after])?;
        let before = Connectivity::new(&inventory, &before.network, &before.cluster_wide, profile);
        let after = Connectivity::new(&inventory, &after.network, &after.cluster_wide, profile);
        print(name, &changes(&before, &after), args.output)?
    };
    Ok(if changed && args.exit_code { Outcome::Finding } else { Outcome::Fine })
}

fn of_dump(inventory: &Inventory, profile: Profile) -> Connectivity<'_> {
    Connectivity::new(inventory, inventory.policies(), inventory.cluster_policies(), &profile)
}

/// Prints the changes, and tells whether there are any.
fn print(profile: &str, changes: &Changes<'_>, format: DiffFormat) -> anyhow::Result<bool> {
    let mut out = BufWriter::with_capacity(1 << 18, std::io::stdout().lock());
    match format {
        DiffFormat::Table => out.write_all(text(changes).as_bytes()),
        DiffFormat::Json => json(profile, changes, &mut out),
    }
    .and_then(|()| out.flush())
    .context("cannot write to stdout")?;
    Ok(!changes.pairs.is_empty())
}

/// `{"profile": NAME, "counts": {...}, "ends": [...], "pairs": [...]}`, one end and one pair a line. A pair has `source`,
/// `destination`, `change` (`added`, `removed` or `changed`), `before` and `after` (all ports that passed and pass), and
/// `opened` and `closed` (the ports that only one of these has). Only ends of pairs are listed.
fn json(profile: &str, changes: &Changes<'_>, out: &mut impl Write) -> io::Result<()> {
    let text = |data: &str| serde_json::to_string(data);
    let (profile, counts) = (text(profile)?, serde_json::to_string(&ChangeCounts::of(changes))?);
    write!(out, "{{\n\"profile\": {profile},\n\"counts\": {counts},\n\"ends\": [")?;
    let mut separator = "\n";
    for changed in used_ends(changes) {
        write!(out, "{separator}{}", serde_json::to_string(&end(changed))?)?;
        separator = ",\n";
    }
    write!(out, "\n],\n\"pairs\": [")?;
    let ids = changes.ends.iter().map(|end| text(&name(&end.who)));
    let ids = ids.collect::<Result<Vec<String>, _>>()?;
    let mut sets: BTreeMap<(usize, usize), String> = BTreeMap::new();
    separator = "\n";
    for pair in &changes.pairs {
        let rest = match sets.get(&(pair.before, pair.after)) {
            Some(rest) => rest,
            None => sets.entry((pair.before, pair.after)).or_insert(rest(changes, pair)?),
        };
        let (source, destination) = (&ids[pair.source], &ids[pair.destination]);
        write!(out, "{separator}{{\"source\":{source},\"destination\":{destination},{rest}}}")?;
        separator = ",\n";
    }
    writeln!(out, "\n]\n}}")
}

/// What follows the ends of a pair.
fn rest(changes: &Changes<'_>, pair: &ChangedPair) -> io::Result<String> {
    let ports = serde_json::to_string(&pair_ports(changes, pair))?;
    Ok(ports.trim_start_matches('{').trim_end_matches('}').to_owned())
}

fn text(changes: &Changes<'_>) -> String {
    if changes.pairs.is_empty() {
        return "no difference\n".to_owned();
    }
    let crowd = Crowd::new(changes.ends.iter().map(member).collect());
    let mut rows: BTreeMap<(usize, usize, usize), Vec<usize>> = BTreeMap::new();
    for pair in &changes.pairs {
        rows.entry((pair.source, pair.before, pair.after)).or_default().push(pair.destination);
    }
    // Sources with the same changes are told together.
    let mut together: BTreeMap<(Vec<usize>, usize, usize), Vec<usize>> = BTreeMap::new();
    for ((source, before, after), destinations) in rows {
        together.entry((destinations, before, after)).or_default().push(source);
    }
    let mut rows: Vec<(&Vec<usize>, [String; 5])> = Vec::new();
    for ((destinations, before, after), sources) in &together {
        let pair = ChangedPair { source: 0, destination: 0, before: *before, after: *after };
        let own = |list: &[usize]| if let [one] = list { Some(*one) } else { None };
        for source in crowd.tell(sources, own(destinations)) {
            for destination in crowd.tell(destinations, own(sources)) {
                rows.push((
                    sources,
                    [
                        kind(changes, &pair).as_str().to_owned(),
                        source.clone(),
                        destination,
                        changes.sets[*before].to_string(),
                        changes.sets[*after].to_string(),
                    ],
                ));
            }
        }
    }
    rows.sort();
    let mut text =
        table(["CHANGE", "FROM", "TO", "BEFORE", "AFTER"], rows.into_iter().map(|(_, row)| row));
    for (presence, word) in [(Presence::After, "new"), (Presence::Before, "gone")] {
        let ends: Vec<String> = changes
            .ends
            .iter()
            .filter(|end| end.presence == presence && matches!(end.who, ChangedWho::Workload(_)))
            .map(|end| name(&end.who))
            .collect();
        if !ends.is_empty() {
            let _ = writeln!(text, "{word}: {}", ends.join(", "));
        }
    }
    let ChangeCounts { added, removed, changed } = ChangeCounts::of(changes);
    let added = count(added, "pair", "pairs");
    let _ = writeln!(text, "{added} added, {removed} removed, {changed} changed");
    text
}

fn member<'c>(end: &'c ChangedEnd<'_>) -> Member<'c> {
    Member {
        name: name(&end.who),
        kind: match end.who.workload() {
            Some(workload) => Kind::Namespace(workload.namespace.as_str()),
            None => Kind::Addresses,
        },
        has_inner: end.has_inner,
        counts: !matches!(end.who, ChangedWho::Part(..)),
        cidrs: match &end.who {
            ChangedWho::Addresses(cidrs) => cidrs,
            _ => &[],
        },
    }
}
