//! The rows of buckets, in and out.

use rusqlite::{Connection, Row, Statement};

use super::text::{count, moment, stored};
use crate::granularity::Granularity;
use ringfence_model::{Counts, Observers, Tally};

/// What was counted of an edge in a bucket.
#[derive(Clone, Debug)]
pub(super) struct BucketRow {
    pub(super) id: BucketId,
    pub(super) counts: Counts,
}

/// Where a row of a bucket lies, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BucketId {
    pub(super) cluster: i64,
    pub(super) bucket: i64,
    pub(super) pair: i64,
    pub(super) edge: i64,
}

/// The table of buckets of a length.
pub(super) const fn table(granularity: Granularity) -> &'static str {
    match granularity {
        Granularity::Minute => "edges_by_minute",
        Granularity::Hour => "edges_by_hour",
        Granularity::Day => "edges_by_day",
    }
}

/// The columns that [`counts`] reads, in its order.
pub(super) const COUNTS: &str = "first_seen, last_seen,
    alone_opened, alone_refused, alone_denied, alone_sent, alone_received,
    client_opened, client_refused, client_denied, client_sent, client_received,
    server_opened, server_refused, server_denied, server_sent, server_received, observers";

const SIDES: [&str; 3] = ["alone", "client", "server"];
const NUMBERS: [&str; 5] = ["opened", "refused", "denied", "sent", "received"];

/// Adds up rows of the same edge and bucket, and sorts them as the table is.
pub(super) fn add_up(rows: &mut Vec<BucketRow>) {
    rows.sort_unstable_by_key(|row| row.id);
    rows.dedup_by(|later, kept| {
        let is_same = later.id == kept.id;
        if is_same {
            kept.counts.add(&later.counts);
        }
        is_same
    });
}

/// Adds rows to what the buckets hold.
pub(super) fn write<'r>(
    db: &Connection,
    granularity: Granularity,
    rows: impl Iterator<Item = &'r BucketRow>,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&upsert(granularity))?;
    for BucketRow { id, counts } in rows {
        let BucketId { cluster, bucket, pair, edge } = *id;
        let Counts { first_seen, last_seen, alone, client, server, observers } = counts;
        let mut values = [0; 22];
        values[21] = i64::from(observers.bits());
        values[..6].copy_from_slice(&[
            cluster,
            bucket,
            pair,
            edge,
            first_seen.nanos(),
            last_seen.nanos(),
        ]);
        for (tally, values) in [alone, client, server].iter().zip(values[6..21].chunks_exact_mut(5))
        {
            let Tally { opened, refused, denied, sent, received } = **tally;
            values.copy_from_slice(&[opened, refused, denied, sent, received].map(stored));
        }
        statement.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

/// A sum beyond 2^63-1 would become a floating point number, which is greater than every integer.
fn upsert(granularity: Granularity) -> String {
    let numbers = SIDES.iter().flat_map(|side| NUMBERS.map(|number| format!("{side}_{number}")));
    let sums = numbers.map(|n| format!("{n} = min({n} + excluded.{n}, 9223372036854775807)"));
    let places: Vec<String> = (1..=22).map(|n| format!("?{n}")).collect();
    format!(
        "INSERT INTO {} (cluster, bucket, pair, edge, {COUNTS}) VALUES ({})
         ON CONFLICT DO UPDATE SET
             first_seen = min(first_seen, excluded.first_seen),
             last_seen = max(last_seen, excluded.last_seen),
             observers = observers | excluded.observers,
             {}",
        table(granularity),
        places.join(", "),
        sums.collect::<Vec<_>>().join(", ")
    )
}

/// Reads [`COUNTS`] from a column on.
pub(super) fn counts(row: &Row<'_>, column: usize) -> rusqlite::Result<Counts> {
    let tally = |column| {
        Ok::<_, rusqlite::Error>(Tally {
            opened: count(row, column)?,
            refused: count(row, column + 1)?,
            denied: count(row, column + 2)?,
            sent: count(row, column + 3)?,
            received: count(row, column + 4)?,
        })
    };
    Ok(Counts {
        first_seen: moment(row, column)?,
        last_seen: moment(row, column + 1)?,
        alone: tally(column + 2)?,
        client: tally(column + 7)?,
        server: tally(column + 12)?,
        observers: observers(row, column + 17)?,
    })
}

fn observers(row: &Row<'_>, column: usize) -> rusqlite::Result<Observers> {
    let bits: u16 = row.get(column)?;
    Observers::from_bits(bits).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, bits.into()))
}

/// Finds the buckets of a cluster that hold anything, one after the other.
pub(super) struct Buckets<'c> {
    next: Statement<'c>,
    cluster: i64,
}

impl<'c> Buckets<'c> {
    pub(super) fn new(
        db: &'c Connection,
        granularity: Granularity,
        cluster: i64,
    ) -> rusqlite::Result<Self> {
        let sql = format!(
            "SELECT min(bucket) FROM {} WHERE cluster = ?1 AND bucket >= ?2",
            table(granularity)
        );
        Ok(Self { next: db.prepare(&sql)?, cluster })
    }

    /// The first bucket from a number on.
    pub(super) fn first_from(&mut self, bucket: i64) -> rusqlite::Result<Option<i64>> {
        self.next.query_row([self.cluster, bucket], |row| row.get(0))
    }
}

/// The day that a bucket lies in.
pub(super) const fn day(minute: i64) -> i64 {
    minute.div_euclid(Granularity::Day.minutes())
}
