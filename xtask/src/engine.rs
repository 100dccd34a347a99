//! What the engine's own benchmarks measure, beside what they are meant to take.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// A benchmark of the engine: its name and argument, the aim in words, and the aim in seconds per run.
struct Row {
    bench: &'static str,
    argument: &'static str,
    aim: &'static str,
    seconds: f64,
}

const ROWS: [Row; 6] = [
    Row {
        bench: "compile_and_all_pairs",
        argument: "(100000, 20)",
        aim: "100,000 pods, 5,000 workloads, 10,000 policies, engine alone: 2 s",
        seconds: 2.0,
    },
    Row {
        bench: "decide_10_000",
        argument: "10000",
        aim: "10,000 connections judged with every rule that allows them, 1,000 policies: 0.1 s",
        seconds: 0.1,
    },
    Row {
        bench: "explain_10_000",
        argument: "10000",
        aim: "the same with near misses and remedies of all that are denied: 0.1 s",
        seconds: 0.1,
    },
    Row {
        bench: "allows",
        argument: "10000",
        aim: "100,000 connections decided at 10,000 pods: 0.02 s (5 million a second)",
        seconds: 0.02,
    },
    Row {
        bench: "relabel_one_pod",
        argument: "(100000, 20)",
        aim: "one label changed at 100,000 pods: 5 ms",
        seconds: 0.005,
    },
    Row {
        bench: "replace_one_policy",
        argument: "(100000, 20)",
        aim: "one policy replaced at 100,000 pods, 10,000 policies: 5 ms",
        seconds: 0.005,
    },
];

/// Runs the engine's benchmarks and prints their medians beside the aims.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let args =
        ["bench", "--locked", "--quiet", "--package", "ringfence-policy", "--bench", "engine"];
    let output = Command::new("cargo")
        .args(args)
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo bench")?;
    ensure!(output.status.success(), "cargo bench ended with {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    println!("\nthe engine alone, medians:");
    for row in ROWS {
        let median = median(&text, row.bench, row.argument)
            .with_context(|| format!("no figure of {} {}", row.bench, row.argument))?;
        let missed = if median > row.seconds { "  missed" } else { "" };
        println!("  {median:>10.6} s   {}{missed}", row.aim);
    }
    Ok(())
}

/// The median of a benchmark in seconds, from the tree that divan prints: a line for each benchmark, and below it one
/// for each argument, with columns for the fastest, the slowest and the median run.
fn median(text: &str, bench: &str, argument: &str) -> Option<f64> {
    let mut inside = false;
    for line in text.lines() {
        let Some((_, row)) = line.split_once("─ ") else { continue };
        let mut columns = row.split('│');
        let first = columns.next()?.trim_end();
        let (name, fastest) = first.split_once("  ").unwrap_or((first, ""));
        if fastest.trim().is_empty() {
            inside = name == bench;
        } else if inside && name == argument {
            return seconds(columns.nth(1)?.trim());
        }
    }
    None
}

/// A duration such as `1.12 s` or `862.3 ms`.
fn seconds(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once(' ')?;
    let scale = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_found_in_the_tree_of_divan() {
        let text = "\
engine               fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ allows                          │               │               │               │         │
│  ├─ 10000          509.9 µs      │ 1.442 ms      │ 551.2 µs      │ 600 µs        │ 100     │ 100
│  │                 19 Mitem/s    │ 6 Mitem/s     │ 18 Mitem/s    │ 16 Mitem/s    │         │
│  ╰─ 100000         1.2 ms        │ 1.9 ms        │ 1.5 ms        │ 1.5 ms        │ 100     │ 100
╰─ relabel_one_pod                 │               │               │               │         │
   ╰─ (100000, 20)   1.3 ms        │ 9 ms          │ 2.25 ms       │ 2.4 ms        │ 100     │ 100
";
        let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-9;
        assert!(near(median(text, "allows", "10000"), 551.2e-6));
        assert!(near(median(text, "relabel_one_pod", "(100000, 20)"), 2.25e-3));
        assert_eq!(median(text, "relabel_one_pod", "10000"), None);
    }
}
