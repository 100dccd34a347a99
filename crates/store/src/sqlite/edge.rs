//! Arrivals in, edges of a window out.

use std::collections::{HashMap, HashSet};

use ringfence_model::{Name, Span, Timestamp};
use rusqlite::{Connection, Statement};

use super::bucket::{self, BucketId, BucketRow, Buckets, COUNTS, day};
use super::dimension::{
    Cluster, Dimensions, EdgeNumbers, EdgeReader, cluster_or_new, find_cluster,
};
use super::window::{Kept, Run, cover};
use super::{presence, source};
use crate::edges::{Arrivals, Counted, EdgeQuery, StoredEdge};
use crate::error::StoreError;
use crate::granularity::{Granularity, minute};
use ringfence_model::Counts;

/// Stores a group of arrivals.
pub(super) fn record(
    db: &Connection,
    known: &mut Dimensions,
    arrivals: &Arrivals,
) -> Result<(), StoreError> {
    for advance in &arrivals.advances {
        source::advance(db, advance)?;
    }
    add(db, known, &arrivals.edges, Granularity::Minute)?;
    for presence in &arrivals.presences {
        presence::add(db, presence)?;
    }
    for loss in &arrivals.losses {
        presence::add_loss(db, loss)?;
    }
    Ok(())
}

/// Adds what was counted to its buckets of a length and all longer ones, as far as they are kept.
pub(super) fn add(
    db: &Connection,
    known: &mut Dimensions,
    edges: &[Counted],
    finest: Granularity,
) -> rusqlite::Result<()> {
    let mut numbers = EdgeNumbers::new(db, known)?;
    let mut clusters: HashMap<&Name, Cluster> = HashMap::new();
    let mut rows = Vec::with_capacity(edges.len());
    for Counted { cluster: name, at, key, counts, services } in edges {
        let cluster = match clusters.get_mut(name) {
            Some(cluster) => cluster,
            None => clusters.entry(name).or_insert(cluster_or_new(db, name)?),
        };
        let minute = minute(*at);
        if minute < cluster.kept.days {
            continue;
        }
        let (pair, edge) = numbers.find(cluster.id, key, services, day(minute))?;
        let Counts { first_seen, last_seen, .. } = *counts;
        let (first, last) = cluster.seen.unwrap_or((first_seen, last_seen));
        cluster.seen = Some((first.min(first_seen), last.max(last_seen)));
        let id = BucketId { cluster: cluster.id, bucket: minute, pair, edge };
        rows.push(BucketRow { id, counts: *counts });
    }
    let kept: HashMap<i64, _> =
        clusters.values().map(|cluster| (cluster.id, cluster.kept)).collect();
    let mut before = Granularity::Minute;
    for granularity in Granularity::ALL.into_iter().filter(|&granularity| granularity >= finest) {
        let shorter = granularity.minutes() / before.minutes();
        for row in &mut rows {
            row.id.bucket = row.id.bucket.div_euclid(shorter);
        }
        before = granularity;
        bucket::add_up(&mut rows);
        // What is no longer kept so finely is gone from all buckets of that length, and must not come back in some.
        let is_kept = |row: &&BucketRow| {
            let from = kept.get(&row.id.cluster).map_or(i64::MIN, |kept| kept.from(granularity));
            row.id.bucket * granularity.minutes() >= from
        };
        bucket::write(db, granularity, rows.iter().filter(is_kept))?;
    }
    for cluster in clusters.values() {
        if let Some((first, last)) = cluster.seen {
            db.execute(
                "UPDATE cluster SET first_seen = ?2, last_seen = ?3 WHERE id = ?1",
                [cluster.id, first.nanos(), last.nanos()],
            )?;
        }
    }
    Ok(())
}

/// From when on edges are kept.
pub(super) fn kept_from(db: &Connection, cluster: &Name) -> rusqlite::Result<Timestamp> {
    let kept = find_cluster(db, cluster)?.map_or(Kept::ALL, |cluster| cluster.kept);
    Ok(Granularity::Minute.start(kept.days))
}

/// The edges of a window, sorted by key.
pub(super) fn edges(db: &Connection, query: &EdgeQuery) -> rusqlite::Result<Vec<StoredEdge>> {
    let EdgeQuery { cluster, window, namespace } = query;
    let Some(Cluster { id: cluster, kept, .. }) = find_cluster(db, cluster)? else {
        return Ok(Vec::new());
    };
    let pairs = match namespace {
        Some(namespace) => Pairs::of(db, cluster, namespace)?,
        None => Pairs::All,
    };
    let mut sums = HashMap::new();
    for run in cover(*window, kept) {
        sum(db, cluster, &pairs, &run, &mut sums)?;
    }
    let mut reader = EdgeReader::new(db)?;
    let mut edges = Vec::with_capacity(sums.len());
    for (id, counts) in sums {
        let (key, services) = reader.read(id)?;
        edges.push(StoredEdge { key, counts, services });
    }
    Ok(join_routes(edges))
}

/// Makes one of the edges that differ only in the Service ports dialled, and sorts them.
pub(super) fn join_routes(mut edges: Vec<StoredEdge>) -> Vec<StoredEdge> {
    edges.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    edges.dedup_by(|later, kept| {
        let is_same = later.key == kept.key;
        if is_same {
            kept.counts.add(&later.counts);
            kept.services.append(&mut later.services);
        }
        is_same
    });
    for edge in &mut edges {
        edge.services.sort_unstable();
        edge.services.dedup();
    }
    edges
}

/// Which pairs of namespaces are wanted.
enum Pairs {
    /// All.
    All,
    /// So many of all that it is faster to pass over the others.
    Most(HashSet<i64>),
    /// Few.
    Few(Vec<i64>),
}

impl Pairs {
    /// Those with an end in a namespace.
    fn of(db: &Connection, cluster: i64, namespace: &Name) -> rusqlite::Result<Self> {
        let sql = "SELECT id FROM pair WHERE cluster = ?1 AND (source = ?2 OR destination = ?2)
                   ORDER BY id";
        let mut statement = db.prepare(sql)?;
        let pairs = statement
            .query_map((cluster, namespace.as_str()), |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        let sql = "SELECT count(*) FROM pair WHERE cluster = ?1";
        let all: u32 = db.query_row(sql, [cluster], |row| row.get(0))?;
        let is_most = pairs.len() * 4 > all as usize;
        Ok(if is_most { Self::Most(pairs.into_iter().collect()) } else { Self::Few(pairs) })
    }
}

/// Adds up what the buckets of a run hold, by edge.
fn sum(
    db: &Connection,
    cluster: i64,
    pairs: &Pairs,
    run: &Run,
    sums: &mut HashMap<i64, Counts>,
) -> rusqlite::Result<()> {
    let Run { granularity, buckets } = run;
    let table = bucket::table(*granularity);
    match pairs {
        Pairs::All | Pairs::Most(_) => {
            let sql = format!(
                "SELECT pair, edge, {COUNTS} FROM {table}
                 WHERE cluster = ?1 AND bucket >= ?2 AND bucket < ?3"
            );
            let mut statement = db.prepare(&sql)?;
            let wanted = |pair| match pairs {
                Pairs::Most(pairs) => pairs.contains(&pair),
                Pairs::All | Pairs::Few(_) => true,
            };
            sum_rows(&mut statement, [cluster, buckets.start, buckets.end], wanted, sums)
        }
        Pairs::Few(pairs) => {
            let sql = format!(
                "SELECT pair, edge, {COUNTS} FROM {table}
                 WHERE cluster = ?1 AND bucket = ?2 AND pair = ?3"
            );
            let mut statement = db.prepare(&sql)?;
            let mut found = Buckets::new(db, *granularity, cluster)?;
            let mut from = buckets.start;
            while let Some(bucket) = found.first_from(from)?.filter(|&b| b < buckets.end) {
                for &pair in pairs {
                    sum_rows(&mut statement, [cluster, bucket, pair], |_| true, sums)?;
                }
                from = bucket + 1;
            }
            Ok(())
        }
    }
}

fn sum_rows(
    statement: &mut Statement<'_>,
    key: [i64; 3],
    wanted: impl Fn(i64) -> bool,
    sums: &mut HashMap<i64, Counts>,
) -> rusqlite::Result<()> {
    let mut rows = statement.query(key)?;
    while let Some(row) = rows.next()? {
        if wanted(row.get(0)?) {
            let counts = bucket::counts(row, 2)?;
            sums.entry(row.get(1)?).and_modify(|sum| sum.add(&counts)).or_insert(counts);
        }
    }
    Ok(())
}

/// From the first to just after the last observation.
pub(super) fn observed(db: &Connection, cluster: &Name) -> rusqlite::Result<Option<Span>> {
    let seen = find_cluster(db, cluster)?.and_then(|cluster| cluster.seen);
    Ok(seen.map(|(from, last)| Span {
        from,
        until: Timestamp::from_nanos(last.nanos().saturating_add(1)),
    }))
}
