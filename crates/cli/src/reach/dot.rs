//! Reachability for Graphviz.

use std::collections::BTreeSet;
use std::io::{self, Write};

use ringfence_advise::{Connectivity, Focus};
use ringfence_model::Direction;

/// A graph of the pairs between which a policy decides. Ends that are open on one side are dashed: between two of them
/// everything passes, and no edge is drawn.
pub(crate) fn dot(
    connectivity: &Connectivity<'_>,
    focus: &Focus,
    out: &mut impl Write,
) -> io::Result<()> {
    let groups = connectivity.groups();
    let name = |end: usize| quoted(&connectivity.name(&groups[end]));
    let mut drawn: BTreeSet<usize> = (0..groups.len()).filter(|end| focus.contains(*end)).collect();
    let mut edges = Vec::new();
    connectivity.walk(focus, |link| {
        let decided = groups[link.source].is_isolated(Direction::Egress)
            || groups[link.destination].is_isolated(Direction::Ingress);
        if decided {
            drawn.extend([link.source, link.destination]);
            edges.push((link.source, link.destination, link.connections.to_string()));
        }
    });
    writeln!(out, "digraph reach {{")?;
    writeln!(out, "  rankdir=LR; node [shape=box]; edge [fontsize=10];")?;
    for end in drawn {
        let group = &groups[end];
        let style = match group.namespace() {
            None => " [shape=ellipse]",
            Some(_) if connectivity.is_node(group) => " [shape=box3d]",
            Some(_) => match Direction::BOTH.map(|direction| group.is_isolated(direction)) {
                [true, true] => "",
                [false, true] => " [style=dashed, xlabel=\"not isolated for ingress\"]",
                [true, false] => " [style=dashed, xlabel=\"not isolated for egress\"]",
                [false, false] => " [style=dashed, xlabel=\"not isolated\"]",
            },
        };
        writeln!(out, "  {}{style};", name(end))?;
    }
    for (source, destination, connections) in edges {
        let (source, destination) = (name(source), name(destination));
        writeln!(out, "  {source} -> {destination} [label={}];", quoted(&connections))?;
    }
    writeln!(out, "}}")
}

/// A DOT string. Names hold neither quotes nor backslashes, since Kubernetes allows none, but custom kinds might.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
