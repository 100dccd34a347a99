//! What is open to more than the pods of today.

use std::fmt::Write as _;
use std::io::{self, Write};

use ringfence_advise::{Connectivity, Exposed, Exposure, Focus};
use ringfence_model::Direction;
use ringfence_views::exposure::{Exposures, Opening, OpeningDirection, found, opening};

use crate::args::ReachFormat;
use crate::output::table;
use crate::reach::Crowd;
use crate::reach::pairs::field;

/// Writes the openings of the ends in focus.
pub(crate) fn exposure(
    connectivity: &Connectivity<'_>,
    focus: &Focus,
    profile: &str,
    format: ReachFormat,
    out: &mut impl Write,
) -> io::Result<()> {
    let crowd = Crowd::of(connectivity);
    let found = found(connectivity, focus);
    if format == ReachFormat::Table {
        return out.write_all(text(&crowd, &found).as_bytes());
    }
    let lines: Vec<Opening> =
        found.iter().map(|exposure| opening(crowd.name(exposure.group), exposure)).collect();
    if format == ReachFormat::Json {
        let answer = Exposures { profile: profile.to_owned(), exposure: lines };
        serde_json::to_writer_pretty(&mut *out, &answer)?;
        return writeln!(out);
    }
    writeln!(out, "end,direction,kind,to,ports")?;
    for Opening { end, direction, kind, to, ports, .. } in lines {
        let (direction, kind) = (direction.as_str(), kind.as_str());
        let ports = ports.join(" ");
        writeln!(out, "{},{direction},{kind},{},{ports}", field(&end), field(&to))?;
    }
    Ok(())
}

fn text(crowd: &Crowd<'_>, found: &[Exposure]) -> String {
    let ruled = found.iter().filter(|exposure| exposure.to != Exposed::Unrestricted);
    let rows: Vec<[String; 5]> = ruled
        .map(|exposure| {
            let line = opening(crowd.name(exposure.group), exposure);
            let because = line.because.first().cloned().unwrap_or_default();
            let more = match line.because.len() {
                0 | 1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            [
                line.end,
                line.direction.as_str().to_owned(),
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
            let word = OpeningDirection::from(direction).as_str();
            let _ = writeln!(text, "not isolated for {word}, so open to everybody: {told}");
        }
    }
    text
}
