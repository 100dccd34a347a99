//! What this process takes of the machine.

use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::ClockId;
use nix::unistd::Pid;

/// Keeps this thread, and those that it will start, on one processor.
///
/// # Errors
/// When the machine has no such processor.
pub fn pin(processor: usize) -> nix::Result<()> {
    let mut processors = CpuSet::new();
    processors.set(processor)?;
    sched_setaffinity(Pid::from_raw(0), &processors)
}

/// Processor time of this process so far, of all its threads.
///
/// # Errors
/// When the system has no such clock.
pub fn processor_time() -> nix::Result<Duration> {
    ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map(Duration::from)
}

/// Memory of this process at its most, in bytes, as Linux tells it.
///
/// # Errors
/// When the system does not tell it.
pub fn largest_memory() -> std::io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.map(|size| size * 1024).ok_or_else(|| std::io::Error::other("no VmHWM"))
}
