//! Compiles the programs, to be embedded: whoever runs the binary needs no compiler.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Tried in this order after `$CLANG`. Older versions lack the atomic operations that the programs use.
const COMPILERS: [&str; 9] = [
    "clang", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15",
    "clang-14",
];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=c");
    println!("cargo::rerun-if-env-changed=CLANG");
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            println!("cargo::error={fault}");
            ExitCode::FAILURE
        }
    }
}

fn compile() -> Result<(), String> {
    let out = std::env::var_os("OUT_DIR").ok_or("cargo set no OUT_DIR")?;
    let object = PathBuf::from(out).join("ringfence.bpf.o");
    let chosen = std::env::var("CLANG").ok();
    let works = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let compiler = chosen.as_deref().or_else(|| COMPILERS.into_iter().find(works)).ok_or(
        "no clang, which the programs for the kernel need (hint: scripts/need-clang installs it on Debian and Ubuntu)",
    )?;
    let status = Command::new(compiler)
        .args(["-O2", "-g", "-Wall", "-Wextra", "-Werror", "-mcpu=v3", "-target"])
        .arg(if cfg!(target_endian = "big") { "bpfeb" } else { "bpfel" })
        // Paths in the object would make it differ between machines.
        .args(["-fdebug-compilation-dir=.", "-c", "c/ringfence.bpf.c", "-o"])
        .arg(&object)
        .status()
        .map_err(|fault| format!("{compiler}: {fault}"))?;
    if status.success() { Ok(()) } else { Err(format!("{compiler} failed: {status}")) }
}
