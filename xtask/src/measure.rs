//! What a command costs.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};

/// What one run of a command took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Largest resident set, in KiB.
    pub memory: u64,
}

/// Runs a command to its end with its output thrown away, and tells what it took. The costs of all children of a
/// process are one sum, so a process may ask this once.
pub fn children_after(command: &[String]) -> anyhow::Result<Cost> {
    let (program, args) = command.split_first().context("a command is needed")?;
    let status = Command::new(program).args(args).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {program}"))?;
    // 1 is a finding, which is an answer.
    ensure!(matches!(status.code(), Some(0 | 1)), "{} ended with {status}", command.join(" "));
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |time: nix::sys::time::TimeVal| {
        time.tv_sec().unsigned_abs() * 1_000_000 + time.tv_usec().unsigned_abs()
    };
    Ok(Cost {
        cpu: Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time())),
        memory: usage.max_rss().unsigned_abs(),
    })
}

/// The median of several runs, each measured by a process of its own.
pub fn median(runs: usize, command: &[String]) -> anyhow::Result<Cost> {
    let own = std::env::current_exe()?;
    let mut costs = Vec::new();
    for _ in 0..runs {
        let output = Command::new(&own).arg("measure").args(command).output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        let (cpu, memory) = text.trim().split_once(' ').context("two numbers are expected")?;
        costs.push(Cost { cpu: Duration::from_micros(cpu.parse()?), memory: memory.parse()? });
    }
    let middle = |mut values: Vec<u64>| {
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let cpu = costs.iter().map(|c| u64::try_from(c.cpu.as_micros()).unwrap_or(u64::MAX));
    let cpu = Duration::from_micros(middle(cpu.collect()));
    Ok(Cost { cpu, memory: middle(costs.iter().map(|c| c.memory).collect()) })
}
