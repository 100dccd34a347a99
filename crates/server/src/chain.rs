//! Errors with all that they come from.

use std::error::Error;
use std::fmt;

/// An error and what it comes from, in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(fault) = source {
            write!(f, ": {fault}")?;
            source = fault.source();
        }
        Ok(())
    }
}
