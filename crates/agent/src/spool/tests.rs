use super::*;

const BOUNDS: Bounds = Bounds { bytes: 10_000, age: Duration::from_hours(1) };

fn batch(records: u32, bytes: usize) -> Encoded {
    Encoded { records, body: vec![0; bytes] }
}

fn numbers(spool: &Spool) -> Vec<u64> {
    spool.batches.keys().copied().collect()
}

#[test]
fn batches_stay_until_they_are_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(directory.path(), BOUNDS).unwrap();
    let incarnation = spool.incarnation();
    spool.keep((1, 1), vec![batch(1, 10), batch(2, 20)]).unwrap();
    spool.keep((1, 2), vec![batch(3, 30)]).unwrap();
    drop(spool);
    let mut spool = Spool::open(directory.path(), BOUNDS).unwrap();
    assert_eq!((spool.incarnation(), numbers(&spool)), (incarnation, vec![1, 2, 3]));
    let second = spool.after(1).unwrap().unwrap();
    assert_eq!((second.sequence, second.records, second.body.len()), (2, 2, 20));
    spool.acknowledged(2).unwrap();
    assert_eq!(numbers(&spool), [3]);
    spool.acknowledged(3).unwrap();
    assert_eq!((spool.after(0).unwrap(), spool.waiting()), (None, 0));
    // The numbers go on.
    drop(spool);
    let mut spool = Spool::open(directory.path(), BOUNDS).unwrap();
    spool.keep((1, 3), vec![batch(1, 10)]).unwrap();
    assert_eq!(numbers(&spool), [4]);
}

#[test]
fn a_report_counts_once_and_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(directory.path(), BOUNDS).unwrap();
    spool.keep((1, 1), vec![batch(1, 10)]).unwrap();
    // The agent died between the batches and the state: they do not count.
    fs::copy(spool.path(1), spool.path(2)).unwrap();
    drop(spool);
    let mut spool = Spool::open(directory.path(), BOUNDS).unwrap();
    assert_eq!(numbers(&spool), [1]);
    // It died after the state, before the kernel's tables were emptied: the report comes again.
    spool.keep((1, 1), vec![batch(1, 10)]).unwrap();
    assert_eq!(numbers(&spool), [1]);
    // A new boot counts anew.
    spool.keep((2, 1), vec![batch(1, 10)]).unwrap();
    assert_eq!(numbers(&spool), [1, 2]);
}

#[test]
fn the_oldest_are_given_up_and_that_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(directory.path(), BOUNDS).unwrap();
    spool.keep((1, 1), vec![batch(7, 4000), batch(8, 4000)]).unwrap();
    spool.keep((1, 2), vec![batch(9, 4000)]).unwrap();
    assert_eq!(numbers(&spool), [2, 3, 4]);
    let told = Body::decode(&*spool.after(3).unwrap().unwrap().body).unwrap();
    assert_eq!((told.losses[0].reason(), told.losses[0].count), (LossReason::SpoolFull, 7));
    // Told once.
    spool.keep((1, 3), vec![]).unwrap();
    assert_eq!(numbers(&spool), [2, 3, 4]);
    // What the server will never take is told like that too.
    spool.give_up(3).unwrap();
    spool.keep((1, 4), vec![]).unwrap();
    let told = Body::decode(&*spool.after(4).unwrap().unwrap().body).unwrap();
    assert_eq!(told.losses[0].count, 9);
}

#[test]
fn what_is_too_old_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let bounds = Bounds { age: Duration::ZERO, ..BOUNDS };
    let mut spool = Spool::open(directory.path(), bounds).unwrap();
    spool.keep((1, 1), vec![batch(7, 10)]).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    spool.keep((1, 2), vec![]).unwrap();
    assert_eq!(numbers(&spool), [2]);
}
