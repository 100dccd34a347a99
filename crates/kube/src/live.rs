//! Lists and watches of a live API server.
//!
//! Objects are reduced to [`Record`]s one by one as they come, so that a page of a list is the most that is ever held
//! of them as the API server sends it.

mod access;
mod backoff;
mod resource;
mod watch;
mod wire;

pub use access::{Access, AccessError};
pub use backoff::Backoff;
pub use resource::{RESOURCES, Resource};
pub use watch::{Pace, watch};

/// A connection to an API server. Cloning is cheap.
pub use kube::Client;

use ringfence_model::Diagnostic;

use crate::record::Record;

/// What a watch has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// How the watch does.
    State(State),
    /// A listing of all objects begins.
    Listing,
    /// An object is there, new or changed.
    There(Record),
    /// An object is gone, and this is how it was.
    Gone(Record),
    /// An object that cannot even be told from others.
    Unreadable(Diagnostic),
    /// The listing ends: what it did not name is gone.
    Listed,
}

/// How a watch does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// All objects are listed and changes arrive.
    Synced,
    /// The API server does not answer as it should.
    Failing(String),
    /// The API server forbids to list or watch the kind.
    Forbidden,
    /// The cluster does not know the kind.
    Absent,
}
