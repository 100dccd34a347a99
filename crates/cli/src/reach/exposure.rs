//! What is open to more than the pods of today.

use std::fmt::Write as _;
use std::io::{self, Write};

use ringfence_advise::{Connectivity, Exposed, Exposure, Focus, FocusSide};
use ringfence_model::Direction;
use serde::Serialize;

use crate::args::ReachFormat;
use crate::output::table;
use crate::reach::pairs::field;
use crate::reach::{Crowd, ports};

#[derive(Serialize)]
struct Answer<'a> {
    profile: &'a str,
    exposure: Vec<Line<'a>>,
}

/// One opening of one end.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    /// As the links of `reach` name it.
    end: &'a str,
    /// `ingress` or `egress`.
    direction: &'static str,
    /// `unrestricted` (no policy isolates it), `everybody` (a rule names no peer), `everyPod`, `everyNamespace` (pods
    /// with some labels of every namespace), `pods` or `addresses`.
    kind: &'static str,
    /// To whom it is open, in words.
    to: String,
    /// `TCP/80`, `TCP/8000-8080`, `UDP/all`, `all`, and for egress names whose number the destination tells: `TCP/http`.
    ports: Vec<String>,
    /// The rules that open it; none when no policy isolates it.
    because: Vec<String>,
}

/// Writes the openings of the ends in focus.
pub(crate) fn exposure(
    connectivity: &Connectivity<'_>,
    focus: &Focus,
    profile: &str,
    format: ReachFormat,
    out: &mut impl Write,
) -> io::Result<()> {
    let crowd = Crowd::of(connectivity);
    let found: Vec<Exposure> = (0..connectivity.groups().len())
        .filter(|end| focus.contains(*end))
        .flat_map(|end| directions(focus.side()).iter().map(move |direction| (end, *direction)))
        .flat_map(|(end, direction)| connectivity.exposure(end, direction))
        .collect();
    if format == ReachFormat::Table {
        return out.write_all(text(&crowd, &found).as_bytes());
    }
    let lines: Vec<Line<'_>> = found.iter().map(|exposure| line(&crowd, exposure)).collect();
    if format == ReachFormat::Json {
        serde_json::to_writer_pretty(&mut *out, &Answer { profile, exposure: lines })?;
        return writeln!(out);
    }
    writeln!(out, "end,direction,kind,to,ports")?;
    for Line { end, direction, kind, to, ports, .. } in lines {
        let ports = ports.join(" ");
        writeln!(out, "{},{direction},{kind},{},{ports}", field(end), field(&to))?;
    }
    Ok(())
}

const fn directions(side: FocusSide) -> &'static [Direction] {
    match side {
        FocusSide::Either => &Direction::BOTH,
        FocusSide::From => &[Direction::Egress],
        FocusSide::To => &[Direction::Ingress],
    }
}

fn line<'a>(crowd: &'a Crowd<'_>, exposure: &Exposure) -> Line<'a> {
    let mut ports =
        if exposure.connections.is_empty() { Vec::new() } else { ports(&exposure.connections) };
    ports.extend(exposure.names.iter().map(|(protocol, name)| format!("{protocol}/{name}")));
    Line {
        end: crowd.name(exposure.group),
        direction: word(exposure.direction),
        kind: match exposure.to {
            Exposed::Unrestricted => "unrestricted",
            Exposed::Everybody => "everybody",
            Exposed::EveryPod => "everyPod",
            Exposed::EveryNamespace(_) => "everyNamespace",
            Exposed::Pods { .. } => "pods",
            Exposed::Addresses(_) => "addresses",
        },
        to: exposure.to.to_string(),
        ports,
        because: exposure.because.clone(),
    }
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

fn text(crowd: &Crowd<'_>, found: &[Exposure]) -> String {
    let ruled = found.iter().filter(|exposure| exposure.to != Exposed::Unrestricted);
    let rows: Vec<[String; 5]> = ruled
        .map(|exposure| {
            let line = line(crowd, exposure);
            let because = line.because.first().cloned().unwrap_or_default();
            let more = match line.because.len() {
                0 | 1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            [
                line.end.to_owned(),
                line.direction.to_owned(),
                line.to,
                line.ports.join(" "),
                because + &more,
            ]
        })
        .collect();
    let mut text = if rows.is_empty() {
        "no rule opens anything\n".to_owned()
    } else {
        table(["WORKLOAD", "DIRECTION", "OPEN TO", "PORTS", "BECAUSE"], rows)
    };
    for direction in Direction::BOTH {
        let open: Vec<usize> = found
            .iter()
            .filter(|e| e.to == Exposed::Unrestricted && e.direction == direction)
            .map(|e| e.group)
            .collect();
        if !open.is_empty() {
            let told = crowd.tell(&open, None).join(", ");
            let word = word(direction);
            let _ = writeln!(text, "not isolated for {word}, so open to everybody: {told}");
        }
    }
    text
}
