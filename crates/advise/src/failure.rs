//! What a proof found wrong.

use std::fmt;

use ringfence_model::{Direction, Values};
use serde::Serialize;

use crate::said::{Said, Say, values};

/// Which check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = CertificateCheck))]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// What was written, read back, is not what was meant.
    Written,
    /// What is kept must pass.
    KeptPasses,
    /// What is cut must fail.
    CutFails,
    /// Workloads out of scope must keep what they have.
    OthersUnharmed,
    /// Every rule, peer and port must be needed.
    NothingRemovable,
}

/// A check that did not hold, with a counter-example.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = CertificateFailure))]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The check.
    pub check: Check,
    /// What it was about: an edge or a policy.
    pub subject: String,
    /// One connection that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub connection: Option<String>,
    /// The policies or rules at fault, with file and line.
    pub at_fault: Vec<String>,
    /// What happened.
    pub message: Said<FlawCode>,
}

/// `kept-passes: a -> b TCP/80: message (connection; at fault)`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)?;
        if let Some(connection) = &self.connection {
            write!(f, "\n  counter-example: {connection}")?;
        }
        for fault in &self.at_fault {
            write!(f, "\n  at fault: {fault}")?;
        }
        Ok(())
    }
}

/// What is wrong with a set of policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// So many policies were meant, so many were read back.
    Miscounted { meant: usize, read: usize },
    /// A policy as written is not the policy as meant.
    WrittenOtherwise,
    /// An observed connection that is kept would be cut.
    KeptIsCut,
    /// An edge that must be forbidden would still pass.
    CutPasses,
    /// What no edge shows, such as a CIDR rule, would be cut.
    NeedIsCut { direction: Direction, need: String },
    /// Name resolution was observed and would be cut.
    NamesUnresolved,
    /// A peer of a rule, from 0, can be removed and every need still passes.
    IdlePeer { direction: Direction, rule: usize },
    /// A port of a rule, from 0, can be removed and every need still passes.
    IdlePort { direction: Direction, rule: usize },
}

/// What is wrong with a set of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FlawCode {
    /// `meant` policies were meant, `read` were read back.
    Miscounted,
    /// The policy as written is not the policy as meant.
    WrittenOtherwise,
    /// An observed connection that is kept would be cut.
    KeptIsCut,
    /// An edge that must be forbidden would still pass.
    CutPasses,
    /// `need` would be cut in `direction`.
    NeedIsCut,
    /// Name resolution was observed and would be cut.
    NamesUnresolved,
    /// A peer of rule `rule` of `direction`, from 0, can be removed and every need still passes.
    IdlePeer,
    /// A port of rule `rule` of `direction`, from 0, can be removed and every need still passes.
    IdlePort,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Miscounted { meant, read } => {
                write!(f, "{meant} policies were meant, {read} were read back")
            }
            Self::WrittenOtherwise => {
                f.write_str("the policy as written is not the policy as meant")
            }
            Self::KeptIsCut => f.write_str("an observed connection that is kept would be cut"),
            Self::CutPasses => f.write_str("an edge that must be forbidden would still pass"),
            Self::NeedIsCut { direction, need } => {
                write!(f, "{direction} with {need} would be cut")
            }
            Self::NamesUnresolved => f.write_str(
                "name resolution was observed and would be cut: add the Service and pods of the cluster's DNS to the \
                 cluster input, or allow its addresses in the review",
            ),
            Self::IdlePeer { direction, rule } => write!(
                f,
                "a peer of {direction} rule {rule} can be removed and every need still passes"
            ),
            Self::IdlePort { direction, rule } => write!(
                f,
                "a port of {direction} rule {rule} can be removed and every need still passes"
            ),
        }
    }
}

impl Say for Flaw {
    type Code = FlawCode;

    fn code(&self) -> FlawCode {
        match self {
            Self::Miscounted { .. } => FlawCode::Miscounted,
            Self::WrittenOtherwise => FlawCode::WrittenOtherwise,
            Self::KeptIsCut => FlawCode::KeptIsCut,
            Self::CutPasses => FlawCode::CutPasses,
            Self::NeedIsCut { .. } => FlawCode::NeedIsCut,
            Self::NamesUnresolved => FlawCode::NamesUnresolved,
            Self::IdlePeer { .. } => FlawCode::IdlePeer,
            Self::IdlePort { .. } => FlawCode::IdlePort,
        }
    }

    fn values(&self) -> Values {
        match self {
            Self::Miscounted { meant, read } => values([("meant", meant), ("read", read)]),
            Self::NeedIsCut { direction, need } => {
                values([("direction", direction), ("need", need)])
            }
            Self::IdlePeer { direction, rule } | Self::IdlePort { direction, rule } => {
                values([("direction", direction), ("rule", rule)])
            }
            Self::WrittenOtherwise | Self::KeptIsCut | Self::CutPasses | Self::NamesUnresolved => {
                Values::new()
            }
        }
    }
}
