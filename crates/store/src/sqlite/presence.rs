//! When sources observed, and what they missed, in and out.

use ringfence_model::{Name, ObserverKind, Span, Timestamp};
use rusqlite::{Connection, Row, params};

use super::source::{key, number};
use super::text::{count, malformed, moment, stored};
use crate::presence::{Loss, LossReason, Presence};

/// Two stretches with no more than this between them are one: the time between two reports is never lost.
const NANOS_BETWEEN: i64 = 2_000_000_000;

const fn observer_text(observer: ObserverKind) -> &'static str {
    match observer {
        ObserverKind::AgentEbpf => "ebpf",
        ObserverKind::AgentConntrack => "conntrack",
        ObserverKind::Hubble => "hubble",
        ObserverKind::FlowLog => "log",
    }
}

const fn reason_text(reason: LossReason) -> &'static str {
    match reason {
        LossReason::MapFull => "map_full",
        LossReason::EventsLost => "events_lost",
        LossReason::Unattributed => "unattributed",
        LossReason::SpoolFull => "spool_full",
        LossReason::ProbeRefused => "probe_refused",
        LossReason::Other => "other",
    }
}

/// Adds to the stretch before, if it goes on like that.
pub(super) fn add(db: &Connection, presence: &Presence) -> rusqlite::Result<()> {
    let Presence { source, span: Span { from, until }, observer, blind } = presence;
    let source = number(db, source)?;
    let (from, until) = (from.nanos(), until.nanos());
    let blind = blind.iter().map(|line| line.replace('\n', " ")).collect::<Vec<_>>().join("\n");
    let observer = observer_text(*observer);
    let sql = "UPDATE presence SET until = max(until, ?3) WHERE source = ?1 AND since = (
                   SELECT max(since) FROM presence WHERE source = ?1 AND since <= ?2
               ) AND observer = ?4 AND blind = ?5 AND until >= ?6";
    let earliest = from.saturating_sub(NANOS_BETWEEN);
    if db.execute(sql, params![source, from, until, observer, blind, earliest])? == 0 {
        let sql = "INSERT INTO presence (source, since, until, observer, blind)
                   VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
                       until = excluded.until, observer = excluded.observer, blind = excluded.blind";
        db.execute(sql, params![source, from, until, observer, blind])?;
    }
    Ok(())
}

/// Adds to what was lost in that hour.
pub(super) fn add_loss(db: &Connection, loss: &Loss) -> rusqlite::Result<()> {
    const HOUR: i64 = 3_600_000_000_000;
    let Loss { source, span: Span { from, until }, reason, count } = loss;
    let source = number(db, source)?;
    let sql = "INSERT INTO loss (source, hour, reason, since, until, count)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET
                   since = min(since, excluded.since), until = max(until, excluded.until),
                   count = min(count + excluded.count, 9223372036854775807)";
    let hour = from.nanos().div_euclid(HOUR);
    let reason = reason_text(*reason);
    db.execute(sql, params![source, hour, reason, from.nanos(), until.nanos(), stored(*count)])?;
    Ok(())
}

/// When the sources of a cluster observed, as far as it touches a window, by source and time.
pub(super) fn presences(
    db: &Connection,
    cluster: &Name,
    window: Span,
) -> rusqlite::Result<Vec<Presence>> {
    read(db, "presence", "observer, blind", cluster, window, |row| {
        let text = row.get_ref(5)?.as_str()?;
        let mut kinds = ObserverKind::ALL.into_iter();
        let observer = kinds.find(|kind| observer_text(*kind) == text);
        let blind = row.get_ref(6)?.as_str()?;
        Ok(Presence {
            source: key(row, 0)?,
            span: span(row)?,
            observer: observer.ok_or_else(|| malformed(5, text))?,
            blind: blind.lines().map(str::to_owned).collect(),
        })
    })
}

/// What the sources of a cluster lost, as far as it touches a window, by source and time.
pub(super) fn losses(db: &Connection, cluster: &Name, window: Span) -> rusqlite::Result<Vec<Loss>> {
    read(db, "loss", "reason, count", cluster, window, |row| {
        let text = row.get_ref(5)?.as_str()?;
        let reason = LossReason::ALL.into_iter().find(|reason| reason_text(*reason) == text);
        Ok(Loss {
            source: key(row, 0)?,
            span: span(row)?,
            reason: reason.ok_or_else(|| malformed(5, text))?,
            count: count(row, 6)?,
        })
    })
}

fn read<T>(
    db: &Connection,
    table: &str,
    columns: &str,
    cluster: &Name,
    window: Span,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let sql = format!(
        "SELECT cluster.name, kind, source.name, since, until, {columns} FROM {table}
         JOIN source ON source.id = {table}.source JOIN cluster ON cluster.id = source.cluster
         WHERE importing = 0 AND cluster.name = ?1 AND since < ?3 AND until > ?2
         ORDER BY kind, source.name, since, {columns}"
    );
    let mut statement = db.prepare(&sql)?;
    let window = params![cluster.as_str(), window.from.nanos(), window.until.nanos()];
    statement.query_map(window, read)?.collect()
}

fn span(row: &Row<'_>) -> rusqlite::Result<Span> {
    Ok(Span { from: moment(row, 3)?, until: moment(row, 4)? })
}

/// Removes what ended before a moment.
pub(super) fn remove(db: &Connection, cluster: i64, before: Timestamp) -> rusqlite::Result<()> {
    for table in ["presence", "loss"] {
        let sql = format!(
            "DELETE FROM {table} WHERE until < ?2
             AND source IN (SELECT id FROM source WHERE cluster = ?1)"
        );
        db.execute(&sql, [cluster, before.nanos()])?;
    }
    Ok(())
}
