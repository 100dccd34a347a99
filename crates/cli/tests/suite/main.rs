//! The command as its users run it: stdout, stderr, exit codes and files.

mod bad_input;
mod boutique;
mod harness;
mod proof;
mod review;
mod scenarios;
mod shop;
mod usage;
