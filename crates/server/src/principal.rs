//! Who asks, and what they may.

/// What somebody may do. Each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, utoipa::ToSchema)]
#[schema(as = RoleName, rename_all = "lowercase")]
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

impl Role {
    /// The role as it is written in files and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        [Self::Viewer, Self::Editor, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// There is no such role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no role {0:?}; the roles are viewer, editor and admin")]
pub struct UnknownRole(String);
