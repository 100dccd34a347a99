//! `cargo run -p xtask -- example` writes the example; `-- dependencies` checks licences and the edges between crates.

use std::process::ExitCode;

use xtask::{dependencies, example, root};

fn main() -> anyhow::Result<ExitCode> {
    let task = std::env::args().nth(1);
    match task.as_deref() {
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
            eprintln!("usage: cargo run -p xtask -- example|dependencies");
            Ok(ExitCode::from(2))
        }
    }
}
