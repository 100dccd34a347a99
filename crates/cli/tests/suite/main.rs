//! The command as its users run it: stdout, stderr, exit codes and files.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::format_push_string,
    reason = "a test stops at the first surprise, and its texts are short"
)]

mod bad_input;
mod boutique;
mod cluster_wide;
mod diff;
mod explain;
mod generated;
mod harness;
mod hosts;
mod lint;
mod program;
mod proof;
mod reach;
mod review;
mod scenarios;
mod serve;
mod shop;
mod usage;
