//! What the lab has of the machine beside the network: a cgroup, a directory, and the lock that says whose they are.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Lab, LabError};

/// How long somebody who is gone may take to tidy up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A cgroup, a directory and a name for the network that nobody else has. A process guards them: when this one is
/// gone, however it ended, the guard takes down what is left, and then the lock is free.
#[derive(Debug)]
pub struct Premises {
    name: String,
    cgroup: PathBuf,
    state: PathBuf,
    guard: Option<Child>,
}

impl Premises {
    /// Takes the premises of that name, and clears them of what an earlier lab left. `guard` is the command that calls
    /// [`watch_over`], to which the name is added.
    pub fn take(name: &str, guard: &mut Command) -> Result<Self, LabError> {
        let lock = vacate(name)?;
        let (cgroup, state) = (cgroup(name)?, state(name));
        for directory in [&cgroup, &state] {
            fs::create_dir_all(directory).map_err(LabError::at(directory))?;
        }
        // The lock goes along as the guard's output, and is held until the last of both is gone. In a group of its own
        // an interrupt from the keyboard does not reach it.
        std::os::unix::process::CommandExt::process_group(guard, 0);
        guard.arg(name).stdin(Stdio::piped()).stdout(lock);
        let child = guard.spawn().map_err(LabError::at(Path::new(guard.get_program())))?;
        Ok(Self { name: name.to_owned(), cgroup, state, guard: Some(child) })
    }

    /// What the names of namespaces begin with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory for files.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// A cgroup below that of the lab. Those of pods are found by the agent.
    pub fn cgroup(&self, below: &str) -> Result<PathBuf, LabError> {
        let cgroup = self.cgroup.join(below);
        fs::create_dir_all(&cgroup).map_err(LabError::at(&cgroup))?;
        Ok(cgroup)
    }
}

impl Drop for Premises {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            // With the end of its input the guard does its work.
            drop(guard.stdin.take());
            if !guard.wait().is_ok_and(|status| status.success()) {
                // Nobody is left to tell; the next one finds what remains.
                let _ = clear(&self.name);
            }
        }
    }
}

/// Waits until nobody is left at the other end of the input, then takes everything down.
pub fn watch_over(name: &str) -> Result<(), LabError> {
    // Whatever ends it, it has ended.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    clear(name)
}

/// The lock of a name that nobody has, with what an earlier lab left cleared away.
pub fn vacate(name: &str) -> Result<File, LabError> {
    let lock = lock(name, Holder::MayStay)?;
    clear(name)?;
    Ok(lock)
}

/// Takes down a lab, whether somebody has it or not.
pub fn down(name: &str) -> Result<(), LabError> {
    clear(name)?;
    // Whoever had it ends when its processes do, and what it built meanwhile goes with it.
    let lock = lock(name, Holder::IsLeaving)?;
    clear(name)?;
    drop(lock);
    Ok(())
}

/// Ends all processes of a lab, and removes what there is of it.
fn clear(name: &str) -> Result<(), LabError> {
    let cgroup = cgroup(name)?;
    if cgroup.exists() {
        let kill = cgroup.join("cgroup.kill");
        fs::write(&kill, "1").map_err(LabError::at(&kill))?;
        let begun = Instant::now();
        while let Err(error) = remove(&cgroup) {
            // Processes take a moment to end.
            if begun.elapsed() > PATIENCE {
                return Err(LabError::at(&cgroup)(error));
            }
            thread::sleep(LOOK);
        }
    }
    Lab::down(name)?;
    let state = state(name);
    match fs::remove_dir_all(&state) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LabError::at(&state)(error)),
        _ => Ok(()),
    }
}

/// Removes a cgroup and those below.
fn remove(cgroup: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(cgroup)
}

/// Who has the lock, if somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    MayStay,
    IsLeaving,
}

/// Takes the lock of a name. When who had it is gone, its guard may still be at work.
fn lock(name: &str, holder: Holder) -> Result<File, LabError> {
    let path = PathBuf::from(format!("/run/{name}.lock"));
    let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(LabError::at(&path))?;
    let begun = Instant::now();
    while file.try_lock().is_err() {
        let process = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        let lives = process.is_some_and(|id: u32| Path::new(&format!("/proc/{id}")).exists());
        if lives && holder == Holder::MayStay || begun.elapsed() > PATIENCE {
            return Err(LabError::Busy(process));
        }
        thread::sleep(LOOK);
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(LabError::at(&path))?;
    Ok(file)
}

fn state(name: &str) -> PathBuf {
    PathBuf::from(format!("/run/{name}"))
}

fn cgroup(name: &str) -> Result<PathBuf, LabError> {
    Ok(cgroup2()?.join(name))
}

/// Where the cgroup2 file system is mounted.
pub(crate) fn cgroup2() -> Result<PathBuf, LabError> {
    let mounts = Path::new("/proc/self/mounts");
    let text = fs::read_to_string(mounts).map_err(LabError::at(mounts))?;
    let fields = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut cgroup2 = fields.filter(|fields| fields.get(2) == Some(&"cgroup2"));
    let found = cgroup2.next().and_then(|fields| fields.get(1).map(PathBuf::from));
    found.ok_or(LabError::NoCgroup)
}
