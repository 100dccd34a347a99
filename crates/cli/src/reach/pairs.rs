//! All pairs for machines, written as they are found.

use std::io::{self, Write};

use ringfence_advise::{Connectivity, Focus, Link, Who};
use ringfence_policy::ConnectionSet;
use ringfence_views::ports;
use ringfence_views::reach::end;
use serde::Serialize;

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
