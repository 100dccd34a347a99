//! `cargo run -p xtask -- example` writes the example; `-- dependencies` checks licences and the edges between crates;
//! `-- cluster` writes a large cluster; `-- bench` measures the command on such clusters.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use xtask::large::{self, Shape};
use xtask::options::Options;
use xtask::{bench, dependencies, engine, example, measure, root};

fn main() -> anyhow::Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    let task = args.next();
    match task.as_deref() {
        Some("cluster") => {
            cluster(Options::parse(args)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Some("bench") => {
            let mut options = Options::parse(args)?;
            let path = |text: Option<String>, default: &str| {
                text.map_or_else(|| root().join(default), PathBuf::from)
            };
            let binary = path(options.text("binary"), "target/release/ringfence");
            let directory = path(options.text("directory"), "target/bench");
            let runs = usize::try_from(options.number("runs", 5)?)?;
            options.finish()?;
            bench::run(&binary, &directory, runs)?;
            engine::run(&root())?;
            Ok(ExitCode::SUCCESS)
        }
        Some("measure") => {
            let cost = measure::children_after(&args.collect::<Vec<_>>())?;
            println!("{} {}", cost.cpu.as_micros(), cost.memory);
            Ok(ExitCode::SUCCESS)
        }
        Some("example") => {
            let directory = root().join("examples/shop");
            let count = example::write(&directory)?;
            println!("{count} files in {}", directory.display());
            Ok(ExitCode::SUCCESS)
        }
        Some("dependencies") => {
            let faults = dependencies::check(&root())?;
            for fault in &faults {
                eprintln!("error: {fault}");
            }
            if faults.is_empty() {
                println!("licences and edges between crates are as they should be");
                Ok(ExitCode::SUCCESS)
            } else {
                Ok(ExitCode::FAILURE)
            }
        }
        _ => {
            eprintln!("usage: cargo run -p xtask -- example|dependencies|cluster|bench");
            Ok(ExitCode::from(2))
        }
    }
}

/// Writes a large cluster to a file or stdout, and its shape to stderr.
fn cluster(mut options: Options) -> anyhow::Result<()> {
    let shape = Shape::of(options.number("pods", 1_000)?);
    let shape = Shape {
        pods: shape.pods,
        per_workload: options.number("per-workload", shape.per_workload)?,
        namespaces: options.number("namespaces", shape.namespaces)?.max(1),
        policies: options.number("policies", shape.policies)?,
        blocks: options.number("blocks", shape.blocks)?,
        seed: options.number("seed", shape.seed)?,
        changed: options.number("changed", shape.changed)?,
    };
    let output = options.text("o");
    options.finish()?;
    eprintln!("{shape}");
    match output.as_deref().map(Path::new) {
        Some(path) => {
            let mut out = BufWriter::new(File::create(path)?);
            large::write(&shape, &mut out)?;
            out.flush()?;
        }
        None => large::write(&shape, &mut BufWriter::new(std::io::stdout().lock()))?,
    }
    Ok(())
}
