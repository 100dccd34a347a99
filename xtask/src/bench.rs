//! The command measured on large clusters, beside what it is meant to take. YAML is read and JSON written; the output is
//! thrown away, so that no disk is measured.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::large::{self, Shape};
use crate::measure::median;

/// One row of the table.
struct Row {
    name: &'static str,
    shape: Shape,
    task: Task,
    /// Processor seconds and MB that it should not take more than, where there is an aim.
    aim: Option<(f64, f64)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    /// `reach -o json`.
    Reach,
    /// `diff -o json` with a cluster of which 5% of the policies are others.
    Diff,
}

fn rows() -> Vec<Row> {
    let ownerless = |pods| Shape { per_workload: 0, ..Shape::of(pods) };
    let row = |name, shape, task, aim| Row { name, shape, task, aim };
    vec![
        row("reach, 1,000 pods", Shape::of(1_000), Task::Reach, Some((0.04, 40.0))),
        row("reach, 5,000 pods", Shape::of(5_000), Task::Reach, Some((0.25, 100.0))),
        row("reach, 10,000 pods", Shape::of(10_000), Task::Reach, Some((0.6, 200.0))),
        row("reach, 1,000 ownerless pods", ownerless(1_000), Task::Reach, Some((0.3, 150.0))),
        row("reach, 5,000 ownerless pods", ownerless(5_000), Task::Reach, Some((5.0, 1_000.0))),
        row(
            "reach, 100,000 pods",
            Shape { per_workload: 20, ..Shape::of(100_000) },
            Task::Reach,
            None,
        ),
        row("diff, 5,000 pods, 5% changed", Shape::of(5_000), Task::Diff, Some((0.5, 200.0))),
    ]
}

/// Measures every row, the median of so many runs, with a binary. Clusters are written to a directory.
pub fn run(binary: &Path, directory: &Path, runs: usize) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)?;
    println!("{:<30} {:>10} {:>9} {:>9} {:>9} {:>9}", "", "answers", "CPU s", "aim", "MB", "aim");
    for row in rows() {
        let command = command(&row, binary, directory)?;
        let answers = answers(&command)?;
        let cost = median(runs, &command)?;
        #[expect(clippy::cast_precision_loss, reason = "memory is below 2^52 KiB")]
        let memory = cost.memory as f64 * 1024.0 / 1e6;
        let seconds = cost.cpu.as_secs_f64();
        let (cpu_aim, memory_aim) = match row.aim {
            Some((cpu, memory)) => (cpu.to_string(), memory.to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let is_missed = row.aim.is_some_and(|(cpu, most)| seconds > cpu || memory > most);
        println!(
            "{:<30} {answers:>10} {seconds:>9.3} {cpu_aim:>9} {memory:>9.0} {memory_aim:>9}{}",
            row.name,
            if is_missed { "  missed" } else { "" }
        );
        println!("  {}", row.shape);
    }
    Ok(())
}

fn command(row: &Row, binary: &Path, directory: &Path) -> anyhow::Result<Vec<String>> {
    let mut words = vec![binary.to_owned()];
    match row.task {
        Task::Reach => {
            words.extend(["reach", "-o", "json", "--cluster"].map(PathBuf::from));
            words.push(file(&row.shape, directory)?);
        }
        Task::Diff => {
            words.extend(["diff", "-o", "json"].map(PathBuf::from));
            words.push(file(&row.shape, directory)?);
            words.push(file(&Shape { changed: 5, ..row.shape }, directory)?);
        }
    }
    Ok(words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect())
}

/// Writes a cluster, named after its shape.
fn file(shape: &Shape, directory: &Path) -> anyhow::Result<PathBuf> {
    let name = shape.to_string().replace("--", "").replace(' ', "-");
    let path = directory.join(format!("{name}.yaml"));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut out = BufWriter::new(file);
    large::write(shape, &mut out)?;
    out.flush()?;
    Ok(path)
}

/// How many pairs a command answers with, one a line.
fn answers(command: &[String]) -> anyhow::Result<usize> {
    let (program, args) = command.split_first().context("a command is needed")?;
    let mut child = Command::new(program)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let mut count = 0;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            count += usize::from(line?.starts_with(b"{\"source\""));
        }
    }
    child.wait()?;
    Ok(count)
}
