//! All pairs for machines, written as they are found.

use std::io::{self, Write};

use ringfence_advise::{Connectivity, Focus, Group, Link, Who};
use ringfence_model::Direction;
use ringfence_policy::ConnectionSet;
use serde::Serialize;

use crate::reach::ports;

/// One of `ends`: pods of a workload that policies treat alike, or addresses that they treat alike.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct End<'a> {
    /// How links name it; different for each.
    id: String,
    #[serde(flatten)]
    who: Members<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Members<'a> {
    /// Pods of one workload.
    #[serde(rename_all = "camelCase")]
    Pods {
        namespace: &'a str,
        kind: &'a str,
        name: &'a str,
        /// Empty for a workload that has no pods now: it stands for the next one.
        pods: Vec<&'a str>,
        /// False when other pods of the workload behave otherwise, and are another end.
        whole: bool,
        /// Policies do not apply to pods that share the network of their node.
        host_network: bool,
        isolated: Isolated,
    },
    /// Addresses.
    #[serde(rename_all = "camelCase")]
    Addresses {
        cidrs: Vec<String>,
        /// No policy speaks of these addresses.
        elsewhere: bool,
    },
}

/// Whether some policy selects the pods, by direction.
#[derive(Serialize)]
struct Isolated {
    ingress: bool,
    egress: bool,
}

fn end<'a>(connectivity: &Connectivity<'a>, group: &Group<'a>) -> End<'a> {
    let who = match &group.who {
        Who::Pods { workload, whole, .. } => Members::Pods {
            namespace: workload.reference.namespace.as_str(),
            kind: workload.reference.kind.as_str(),
            name: workload.reference.name.as_str(),
            pods: connectivity.pod_names(group).collect(),
            whole: *whole,
            host_network: connectivity.is_node(group),
            isolated: Isolated {
                ingress: group.is_isolated(Direction::Ingress),
                egress: group.is_isolated(Direction::Egress),
            },
        },
        Who::Addresses { cidrs, elsewhere } => Members::Addresses {
            cidrs: cidrs.iter().map(ToString::to_string).collect(),
            elsewhere: *elsewhere,
        },
    };
    End { id: connectivity.name(group), who }
}

/// `{"profile": NAME, "ends": [...], "links": [{"source": ID, "destination": ID, "ports": [...]}, ...]}`, one end and
/// one link a line. Without a link nothing passes; two ends of addresses have none, since policies do not apply.
pub(crate) fn json(
    connectivity: &Connectivity<'_>,
    focus: &Focus,
    profile: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    write!(out, "{{\n\"profile\": {},\n\"ends\": [", text(profile)?)?;
    let mut separator = "\n";
    for group in connectivity.groups() {
        write!(out, "{separator}{}", text(&end(connectivity, group))?)?;
        separator = ",\n";
    }
    write!(out, "\n],\n\"links\": [")?;
    let ids = connectivity.groups().iter().map(|group| text(&connectivity.name(group)));
    let ids = ids.collect::<io::Result<Vec<String>>>()?;
    let mut pieces = Pieces {
        sources: ids.iter().map(|id| format!("{{\"source\":{id},\"destination\":")).collect(),
        destinations: ids.iter().map(|id| format!("{id},\"ports\":")).collect(),
        sets: Vec::new(),
        set: |connections: &ConnectionSet| Ok(format!("{}}}", text(&ports(connections))?)),
        between: ",\n",
    };
    out.write_all(b"\n")?;
    pieces.write(connectivity, focus, out)?;
    out.write_all(b"\n]\n}\n")
}

/// `source,destination,ports`, one pair a line. Ports, and the prefixes of addresses, are separated by spaces;
/// `elsewhere` are the addresses that no policy speaks of.
pub(crate) fn csv(
    connectivity: &Connectivity<'_>,
    focus: &Focus,
    out: &mut impl Write,
) -> io::Result<()> {
    let names = connectivity.groups().iter().map(|group| match &group.who {
        Who::Pods { .. } | Who::Addresses { elsewhere: true, .. } => {
            field(&connectivity.name(group))
        }
        Who::Addresses { cidrs, .. } => {
            cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }
    });
    let names: Vec<String> = names.map(|name| name + ",").collect();
    let mut pieces = Pieces {
        sources: names.clone(),
        destinations: names,
        sets: Vec::new(),
        set: |connections: &ConnectionSet| Ok(ports(connections).join(" ") + "\n"),
        between: "",
    };
    out.write_all(b"source,destination,ports\n")?;
    pieces.write(connectivity, focus, out)
}

/// A field with its quotes, where it needs them (RFC 4180).
pub(crate) fn field(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn text<T: Serialize + ?Sized>(data: &T) -> io::Result<String> {
    Ok(serde_json::to_string(data)?)
}

/// What links are put together from. There may be millions of links, but only as many pieces as ends and sets.
struct Pieces<F> {
    sources: Vec<String>,
    destinations: Vec<String>,
    /// Each set as text, once it is known.
    sets: Vec<Option<String>>,
    set: F,
    between: &'static str,
}

impl<F: Fn(&ConnectionSet) -> io::Result<String>> Pieces<F> {
    fn write(
        &mut self,
        connectivity: &Connectivity<'_>,
        focus: &Focus,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut separator = "";
        let mut result = Ok(());
        connectivity.walk(focus, |link| {
            if result.is_ok() {
                result = self.link(link, separator, out);
                separator = self.between;
            }
        });
        result
    }

    fn link(&mut self, link: Link<'_>, separator: &str, out: &mut impl Write) -> io::Result<()> {
        if self.sets.len() <= link.set {
            self.sets.resize(link.set + 1, None);
        }
        let set = match &mut self.sets[link.set] {
            Some(set) => set,
            slot => slot.insert((self.set)(link.connections)?),
        };
        out.write_all(separator.as_bytes())?;
        out.write_all(self.sources[link.source].as_bytes())?;
        out.write_all(self.destinations[link.destination].as_bytes())?;
        out.write_all(set.as_bytes())
    }
}
