//! What benchmarks measure with, and how they print it: one line a figure, beside its aim.

mod figure;
mod machine;
mod watch;

pub use figure::{Aim, Quantity, figure, heading};
pub use machine::{largest_memory, pin, processor_time};
pub use watch::{Took, Watch, percentile};
