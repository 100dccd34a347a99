//! Who asks, and what they may.

/// What somebody may do. Each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads everything.
    Viewer,
    /// Changes reviews.
    Editor,
    /// Changes the configuration of clusters, imports and sends flows.
    Admin,
}

/// Who asks. Every request that reached a handler has one among its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name of the token, the subject of the login, or `local` on loopback without authentication.
    pub name: String,
    /// What they may do.
    pub role: Role,
}
