//! What is too old goes, a little at a time.

use std::time::Duration;

use ringfence_model::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::bucket::table;
use super::dimension::Dimensions;
use super::presence;
use super::text::moment;
use super::window::Kept;
use crate::granularity::{Granularity, minute};
use crate::retention::{Maintenance, Retention, before};

/// How many rows a call removes at most, so that the writer waits for tenths of a second only.
const ROWS: u64 = 20_000;

/// How many free pages a call gives back at most.
const PAGES: u32 = 2_000;

/// How far the clock may be ahead of the newest observation.
const AHEAD: Duration = Duration::from_hours(7 * 24);

/// Removes some of what is too old or too much.
pub(super) fn maintain(
    db: &Connection,
    known: &mut Dimensions,
    now: Timestamp,
    retention: &Retention,
) -> rusqlite::Result<Maintenance> {
    let newest: Option<i64> =
        db.query_row("SELECT max(last_seen) FROM cluster", [], |row| row.get(0))?;
    let newest = newest.map_or(now, Timestamp::from_nanos);
    let now = now.min(Timestamp::from_nanos(
        newest.nanos().saturating_add(i64::try_from(AHEAD.as_nanos()).unwrap_or(i64::MAX)),
    ));
    raise(db, kept(now, retention))?;
    let mut removed = 0;
    for (cluster, kept) in clusters(db)? {
        for granularity in Granularity::ALL {
            let until = kept.from(granularity) / granularity.minutes();
            removed += remove_buckets(db, granularity, cluster, until, ROWS - removed)?;
        }
        removed += remove_versions(db, cluster, kept_from(kept), ROWS - removed)?;
        presence::remove(db, cluster, kept_from(kept))?;
        if removed < ROWS {
            removed += remove_edges(db, known, cluster, kept, ROWS - removed)?;
        }
    }
    let before = Space::of(db)?;
    let is_too_large = retention.size.is_some_and(|size| before.used() > size);
    let shrinks = removed == 0 && is_too_large && shrink(db)?;
    if before.is_worth_vacuum(retention.size) {
        // Each step gives back one page.
        let mut vacuum = db.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let mut steps = vacuum.query([])?;
        while steps.next()?.is_some() {}
    }
    let after = Space::of(db)?;
    let is_done = removed == 0 && !shrinks && after.pages == before.pages;
    Ok(Maintenance { removed, size: after.total(), is_done })
}

/// Before this moment nothing of a cluster is kept.
pub(super) fn kept_from(kept: Kept) -> Timestamp {
    Granularity::Minute.start(kept.days)
}

fn kept(now: Timestamp, retention: &Retention) -> Kept {
    let floor = |time: Duration, granularity: Granularity| {
        let length = granularity.minutes();
        minute(before(now, time)).div_euclid(length) * length
    };
    let days = floor(retention.age, Granularity::Day);
    let hours = floor(retention.hours_for, Granularity::Day).max(days);
    let minutes = floor(retention.minutes_for, Granularity::Hour).max(hours);
    Kept { minutes, hours, days }
}

/// Keeps less of every cluster. Nobody sees any longer what is then removed bit by bit.
fn raise(db: &Connection, Kept { minutes, hours, days }: Kept) -> rusqlite::Result<()> {
    let sql = "UPDATE cluster SET minutes_from = max(minutes_from, ?1),
                   hours_from = max(hours_from, ?2), days_from = max(days_from, ?3)
               WHERE minutes_from < ?1 OR hours_from < ?2 OR days_from < ?3";
    db.execute(sql, [minutes, hours, days])?;
    let sql = "UPDATE cluster SET first_seen = (
                   SELECT min(first_seen) FROM edges_by_day
                   WHERE cluster = cluster.id AND bucket = (
                       SELECT min(bucket) FROM edges_by_day
                       WHERE cluster = cluster.id AND bucket >= days_from / ?2
                   )
               ) WHERE first_seen < ?1";
    let before = Granularity::Minute.start(days).nanos();
    db.execute(sql, [before, Granularity::Day.minutes()])?;
    db.execute("UPDATE cluster SET last_seen = NULL WHERE first_seen IS NULL", [])?;
    Ok(())
}

fn clusters(db: &Connection) -> rusqlite::Result<Vec<(i64, Kept)>> {
    let sql = "SELECT id, minutes_from, hours_from, days_from FROM cluster WHERE importing = 0";
    let mut statement = db.prepare(sql)?;
    let read = statement.query_map([], |row| {
        Ok((row.get(0)?, Kept { minutes: row.get(1)?, hours: row.get(2)?, days: row.get(3)? }))
    })?;
    read.collect()
}

/// Removes at most so many rows of the buckets before one, and says how many.
pub(super) fn remove_buckets(
    db: &Connection,
    granularity: Granularity,
    cluster: i64,
    until: i64,
    most: u64,
) -> rusqlite::Result<u64> {
    let table = table(granularity);
    let before = "cluster = ?1 AND bucket < ?2";
    let sql = format!(
        "SELECT bucket, pair, edge FROM {table} WHERE {before}
         ORDER BY bucket, pair, edge LIMIT 1 OFFSET {most}"
    );
    let end = db.query_row(&sql, [cluster, until], |row| {
        Ok::<[i64; 3], _>([row.get(0)?, row.get(1)?, row.get(2)?])
    });
    let removed = match end.optional()? {
        None => db.execute(&format!("DELETE FROM {table} WHERE {before}"), [cluster, until])?,
        Some([bucket, pair, edge]) => {
            let sql = format!(
                "DELETE FROM {table} WHERE cluster = ?1 AND (bucket, pair, edge) < (?2, ?3, ?4)"
            );
            db.execute(&sql, [cluster, bucket, pair, edge])?
        }
    };
    Ok(removed as u64)
}

/// Removes at most so many versions of objects that ended before a moment, and says how many.
pub(super) fn remove_versions(
    db: &Connection,
    cluster: i64,
    before: Timestamp,
    most: u64,
) -> rusqlite::Result<u64> {
    let sql = format!(
        "DELETE FROM object_version WHERE id IN (
             SELECT id FROM object_version WHERE cluster = ?1 AND until <= ?2 LIMIT {most}
         ) RETURNING object"
    );
    let objects: Vec<i64> = db
        .prepare(&sql)?
        .query_map([cluster, before.nanos()], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut orphan = db.prepare(
        "DELETE FROM object WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM object_version WHERE object = ?1)",
    )?;
    for object in &objects {
        orphan.execute([object])?;
    }
    Ok(objects.len() as u64)
}

/// Removes at most so many edges that no bucket has any longer, and what stood at their ends only.
fn remove_edges(
    db: &Connection,
    known: &mut Dimensions,
    cluster: i64,
    kept: Kept,
    most: u64,
) -> rusqlite::Result<u64> {
    let sql = format!(
        "DELETE FROM edge WHERE id IN (
             SELECT id FROM edge
             WHERE last_day < ?2 AND +pair IN (SELECT id FROM pair WHERE cluster = ?1) LIMIT {most}
         ) RETURNING source, destination, route, pair"
    );
    let day = kept.days / Granularity::Day.minutes();
    let edges: Vec<[i64; 4]> = db
        .prepare(&sql)?
        .query_map([cluster, day], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?
        .collect::<rusqlite::Result<_>>()?;
    if edges.is_empty() {
        return Ok(0);
    }
    known.forget();
    let mut peer = db.prepare(
        "DELETE FROM peer WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM edge WHERE source = ?1)
             AND NOT EXISTS (SELECT 1 FROM edge WHERE destination = ?1)",
    )?;
    let unused = |table, column| {
        db.prepare(&format!(
            "DELETE FROM {table} WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM edge WHERE {column} = ?1)"
        ))
    };
    let (mut route, mut pair) = (unused("route", "route")?, unused("pair", "pair")?);
    for [source, destination, by, between] in &edges {
        peer.execute([source])?;
        peer.execute([destination])?;
        route.execute([by])?;
        pair.execute([between])?;
    }
    Ok(edges.len() as u64)
}

/// Keeps a little less than now, and says whether that was possible. The newest hour and day stay.
fn shrink(db: &Connection) -> rusqlite::Result<bool> {
    let newest: Option<Timestamp> = db.query_row(
        "SELECT coalesce(max(last_seen), 0), max(last_seen) IS NOT NULL FROM cluster",
        [],
        |row| Ok(if row.get(1)? { Some(moment(row, 0)?) } else { None }),
    )?;
    let Some(newest) = newest.map(minute) else {
        return Ok(false);
    };
    for (granularity, coarser) in [
        (Granularity::Minute, Granularity::Hour),
        (Granularity::Hour, Granularity::Day),
        (Granularity::Day, Granularity::Day),
    ] {
        let sql = format!(
            "SELECT min((SELECT min(bucket) FROM {} WHERE cluster = cluster.id)) FROM cluster
             WHERE importing = 0",
            table(granularity)
        );
        let oldest: Option<i64> = db.query_row(&sql, [], |row| row.get(0))?;
        let length = coarser.minutes();
        let after = oldest
            .map(|oldest| (oldest * granularity.minutes()).div_euclid(length) * length + length);
        if let Some(from) = after.filter(|&from| from <= newest) {
            // What is not kept by the day is not kept by the hour either, and so on.
            let up_to = |finest| if granularity >= finest { from } else { Kept::ALL.days };
            raise(
                db,
                Kept {
                    minutes: from,
                    hours: up_to(Granularity::Hour),
                    days: up_to(Granularity::Day),
                },
            )?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// How the file is used.
struct Space {
    page: u64,
    pages: u64,
    free: u64,
}

impl Space {
    fn of(db: &Connection) -> rusqlite::Result<Self> {
        let number =
            |name| db.pragma_query_value(None, name, |row| row.get::<_, u32>(0)).map(u64::from);
        Ok(Self {
            page: number("page_size")?,
            pages: number("page_count")?,
            free: number("freelist_count")?,
        })
    }

    fn total(&self) -> u64 {
        self.pages * self.page
    }

    fn used(&self) -> u64 {
        (self.pages - self.free) * self.page
    }

    /// Some free pages are kept for what comes next, unless the file is too large.
    fn is_worth_vacuum(&self, size: Option<u64>) -> bool {
        let is_too_large = size.is_some_and(|size| self.total() > size);
        self.free > self.pages / 10 || is_too_large && self.free > 0
    }
}
