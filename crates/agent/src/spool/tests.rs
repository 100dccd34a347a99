use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::*;

const BOUNDS: Bounds = Bounds { bytes: 10_000, age: Duration::from_hours(1) };

fn batch(records: u32, bytes: usize) -> Encoded {
    Encoded { records, body: vec![0; bytes] }
}

fn numbers(spool: &Spool) -> Vec<u64> {
    spool.batches.keys().copied().collect()
}

/// Opens a spool that is not damaged.
fn open(directory: &Path) -> Spool {
    let (spool, damage) = Spool::open(directory, BOUNDS).unwrap();
    assert_eq!(damage, None);
    spool
}

fn keep(spool: &mut Spool, number: (u64, u64), batches: &[Encoded]) {
    spool.keep(number, batches, Instant::now()).unwrap();
}

fn file(spool: &Spool, sequence: u64) -> PathBuf {
    spool.path(sequence, spool.batches[&sequence].records)
}

/// Every record that waits, and every one that is told to be given up, by why.
fn sums(spool: &mut Spool) -> (u64, BTreeMap<LossReason, u64>) {
    let (mut sequence, mut records, mut losses) = (0, 0, BTreeMap::new());
    while let Some(batch) = spool.after(sequence).unwrap() {
        sequence = batch.sequence;
        records += u64::from(batch.records);
        if batch.records == 0 {
            for told in Body::decode(&*batch.body).unwrap().losses {
                *losses.entry(told.reason()).or_default() += told.count;
            }
        }
    }
    (records, losses)
}

#[test]
fn batches_stay_until_they_are_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(directory.path());
    let incarnation = spool.incarnation();
    keep(&mut spool, (1, 1), &[batch(1, 10), batch(2, 20)]);
    keep(&mut spool, (1, 2), &[batch(3, 30)]);
    drop(spool);
    let mut spool = open(directory.path());
    assert_eq!((spool.incarnation(), numbers(&spool)), (incarnation, vec![1, 2, 3]));
    let second = spool.after(1).unwrap().unwrap();
    assert_eq!((second.sequence, second.records, second.body.len()), (2, 2, 20));
    spool.acknowledged(2).unwrap();
    assert_eq!(numbers(&spool), [3]);
    spool.acknowledged(3).unwrap();
    assert_eq!((spool.after(0).unwrap(), spool.waiting()), (None, 0));
    // The numbers go on.
    drop(spool);
    let mut spool = open(directory.path());
    keep(&mut spool, (1, 3), &[batch(1, 10)]);
    assert_eq!(numbers(&spool), [4]);
}

#[test]
fn a_report_counts_once_and_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(directory.path());
    keep(&mut spool, (1, 1), &[batch(1, 10)]);
    // The agent died between the batches and the state: they do not count.
    fs::copy(spool.path(1, 1), spool.path(2, 1)).unwrap();
    drop(spool);
    let mut spool = open(directory.path());
    assert_eq!(numbers(&spool), [1]);
    // It died after the state, before the kernel's tables were emptied: the report comes again.
    keep(&mut spool, (1, 1), &[batch(1, 10)]);
    assert_eq!(numbers(&spool), [1]);
    // A new boot counts anew.
    keep(&mut spool, (2, 1), &[batch(1, 10)]);
    assert_eq!(numbers(&spool), [1, 2]);
}

#[test]
fn the_oldest_are_given_up_and_that_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(directory.path());
    keep(&mut spool, (1, 1), &[batch(7, 4000), batch(8, 4000)]);
    keep(&mut spool, (1, 2), &[batch(9, 4000)]);
    assert_eq!(numbers(&spool), [2, 3, 4]);
    assert_eq!(sums(&mut spool), (17, BTreeMap::from([(LossReason::SpoolFull, 7)])));
    // Told once.
    keep(&mut spool, (1, 3), &[]);
    assert_eq!(numbers(&spool), [2, 3, 4]);
    // What the server will never take is told like that too.
    spool.give_up(3).unwrap();
    keep(&mut spool, (1, 4), &[]);
    assert_eq!(sums(&mut spool), (8, BTreeMap::from([(LossReason::SpoolFull, 16)])));
}

#[test]
fn the_stream_survives_a_server_that_is_away_for_an_hour_and_longer() {
    let directory = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let (mut spool, _) =
        Spool::open(directory.path(), Bounds { bytes: 1 << 20, ..BOUNDS }).unwrap();
    // A report every minute, and nobody takes them.
    let mut away = |minutes: std::ops::Range<u64>| {
        for minute in minutes {
            let now = begun + Duration::from_mins(minute);
            spool.keep((1, minute), &[batch(3, 50)], now).unwrap();
        }
        sums(&mut spool)
    };
    assert_eq!(away(0..60), (180, BTreeMap::new()), "nothing is lost");
    let (waiting, told) = away(60..90);
    let lost = told[&LossReason::SpoolFull];
    assert_eq!(waiting + lost, 90 * 3, "what waits and what is told to be lost are all");
    assert_eq!(waiting, 61 * 3, "an hour of reports");
}

#[test]
fn the_stream_survives_a_clock_that_jumps() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(directory.path());
    keep(&mut spool, (1, 1), &[batch(7, 10)]);
    // The clock jumps a day ahead, so that the file looks a day older than it is; and then a day back.
    for times in
        [SystemTime::now() - Duration::from_hours(24), SystemTime::now() + Duration::from_hours(24)]
    {
        fs::File::options().write(true).open(file(&spool, 1)).unwrap().set_modified(times).unwrap();
        keep(&mut spool, (times.elapsed().is_ok().into(), 2), &[]);
        assert_eq!(numbers(&spool), [1], "its age is told by a clock that does not jump");
    }
    // From before the agent's start only the file knows: one of the future is new.
    drop(spool);
    let mut spool = open(directory.path());
    keep(&mut spool, (2, 1), &[]);
    assert_eq!(numbers(&spool), [1]);
    spool.keep((2, 2), &[], Instant::now() + Duration::from_mins(61)).unwrap();
    assert_eq!(sums(&mut spool), (0, BTreeMap::from([(LossReason::SpoolFull, 7)])));
}

#[test]
fn the_stream_survives_damaged_batches() {
    for damage in [
        |file: &Path| fs::write(file, "junk").unwrap(),
        |file: &Path| fs::write(file, "").unwrap(),
        |file: &Path| fs::remove_file(file).unwrap(),
        |file: &Path| {
            let mut bytes = fs::read(file).unwrap();
            bytes[40] ^= 1;
            fs::write(file, bytes).unwrap();
        },
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = open(directory.path());
        keep(&mut spool, (1, 1), &[batch(7, 100), batch(8, 100), batch(9, 100)]);
        damage(&file(&spool, 2));
        assert_eq!(spool.after(0).unwrap().unwrap().sequence, 1);
        let told = spool.after(1).unwrap_err().to_string();
        assert!(told.ends_with("2.8.batch is damaged: 8 records are given up"), "{told}");
        assert_eq!(spool.after(1).unwrap().unwrap().sequence, 3, "it goes on behind");
        drop(spool);
        let mut spool = open(directory.path());
        keep(&mut spool, (1, 2), &[]);
        assert_eq!(sums(&mut spool), (16, BTreeMap::from([(LossReason::SpoolDamaged, 8)])));
    }
}

#[test]
fn a_batch_in_the_place_of_another_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(directory.path());
    keep(&mut spool, (1, 1), &[batch(7, 100), batch(7, 100)]);
    fs::copy(file(&spool, 1), file(&spool, 2)).unwrap();
    assert!(spool.after(1).is_err());
}

#[test]
fn the_stream_survives_a_damaged_state() {
    for state in ["", "{", "{\"sequence\":7}", "null"] {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = open(directory.path());
        let before = spool.incarnation();
        keep(&mut spool, (1, 1), &[batch(7, 100), batch(8, 100)]);
        drop(spool);
        fs::write(directory.path().join("state.json"), state).unwrap();
        fs::write(directory.path().join("lost+found"), "not ours").unwrap();
        let (mut spool, damage) = Spool::open(directory.path(), BOUNDS).unwrap();
        assert_eq!(damage, Some(Damage { records: 15 }));
        assert_ne!(spool.incarnation(), before, "the numbers begin anew");
        assert_eq!(spool.waiting(), 0, "the server may have them");
        keep(&mut spool, (1, 2), &[batch(1, 10)]);
        assert_eq!(sums(&mut spool), (1, BTreeMap::from([(LossReason::SpoolDamaged, 15)])));
    }
}

/// A file system with room for so many kilobytes; `None` for who may not mount one.
struct Disk(tempfile::TempDir);

impl Disk {
    fn of(kilobytes: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={kilobytes}k");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(directory.path())
            .output();
        match mount {
            Ok(done) if done.status.success() => Some(Self(directory)),
            refused => {
                assert!(
                    std::env::var_os("CI").is_none(),
                    "no file system can be mounted: {refused:?}"
                );
                println!("skipped: no file system can be mounted");
                None
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn the_stream_survives_a_full_disk() {
    let Some(disk) = Disk::of(128) else { return };
    let bounds = Bounds { bytes: 1 << 30, ..BOUNDS };
    let (mut spool, _) = Spool::open(disk.0.path(), bounds).unwrap();
    let mut all = 0;
    for report in 0..40 {
        keep(&mut spool, (1, report), &[batch(3, 9_000), batch(2, 500)]);
        all += 5;
    }
    let (waiting, told) = sums(&mut spool);
    assert!(waiting > 0, "the newest are kept");
    let unsaid: u64 = spool.state.given_up.0.values().sum();
    assert_eq!(waiting + told[&LossReason::SpoolFull] + unsaid, all);
    // One report alone is too much: it is given up, not the agent.
    keep(&mut spool, (1, 40), &[batch(11, 500_000)]);
    all += 11;
    keep(&mut spool, (1, 41), &[]);
    let incarnation = spool.incarnation();
    drop(spool);
    let (mut spool, damage) = Spool::open(disk.0.path(), bounds).unwrap();
    assert_eq!((damage, spool.incarnation()), (None, incarnation));
    let (waiting, told) = sums(&mut spool);
    assert_eq!(waiting + told[&LossReason::SpoolFull], all, "the ledger adds up");
}

const KILLED: &str = "RINGFENCE_TEST_SPOOL";

/// Keeps one report after the other, and says so, until it is killed. Does nothing but in the other process.
#[test]
fn keep_until_killed() {
    let Some(directory) = std::env::var_os(KILLED) else { return };
    let (mut spool, damage) =
        Spool::open(Path::new(&directory), Bounds { bytes: 1 << 30, ..BOUNDS }).unwrap();
    assert_eq!(damage, None);
    // The kernel's tables have the last report still, whether or not it was kept.
    let begin = spool.state.last.map_or(1, |(_, report)| report);
    for report in begin.. {
        // As many records as its number says, and one.
        let records = u32::try_from(report).unwrap();
        keep(&mut spool, (1, report), &[batch(records, 300), batch(1, 300)]);
        println!("kept {report}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn the_stream_survives_an_agent_that_is_killed_while_it_spools() {
    let directory = tempfile::tempdir().unwrap();
    let mut last = 0;
    for kill in 0..20_u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "spool::tests::keep_until_killed", "--nocapture"])
            .env(KILLED, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        // At another moment each time.
        let some = 1 + kill % 5;
        let kept =
            lines.by_ref().filter_map(|line| line.split("kept ").nth(1)?.trim().parse().ok());
        last = kept.take(some as usize).last().unwrap_or(last);
        std::thread::sleep(Duration::from_micros(u64::from(kill) * 170));
        child.kill().unwrap();
        child.wait().unwrap();
        last = lines
            .filter_map(|line| line.split("kept ").nth(1)?.trim().parse().ok())
            .last()
            .unwrap_or(last);
    }
    let (mut spool, damage) =
        Spool::open(directory.path(), Bounds { bytes: 1 << 30, ..BOUNDS }).unwrap();
    assert_eq!(damage, None);
    let (_, report) = spool.state.last.unwrap();
    assert!(report == last || report == last + 1, "kept {last}, found {report}");
    assert_eq!(
        sums(&mut spool),
        (report * (report + 1) / 2 + report, BTreeMap::new()),
        "each once"
    );
}
