//! Who asks: what every request is checked for before a handler sees it, and the roles that handlers demand.

mod demand;

pub use demand::{Admin, Editor, Viewer};
