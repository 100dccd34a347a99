//! Who changed what.

use ringfence_model::Timestamp;

/// One entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: the name of the token, the subject of the OIDC login, or `local` on loopback without authentication.
    pub who: String,
    /// What was done, from a closed list such as `review.change`, `config.change`, `data.import`.
    pub action: String,
    /// To what, such as `prod/shop`.
    pub object: String,
    /// What changed, for people.
    pub detail: String,
}
