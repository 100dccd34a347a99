//! Where something was read, and what is wrong with it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The place a thing was read from. Lines count from 1; 0 means that the line is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Path as the user gave it, `<stdin>`, or the name of the producer.
    pub file: Arc<str>,
    /// Line in the file.
    pub line: u32,
}

impl Origin {
    /// A place in a file.
    pub fn new(file: impl Into<Arc<str>>, line: u32) -> Self {
        Self { file: file.into(), line }
    }

    /// Another line of the same file.
    #[must_use]
    pub fn at(&self, line: u32) -> Self {
        Self { file: Arc::clone(&self.file), line }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str(&self.file)
        } else {
            write!(f, "{}:{}", self.file, self.line)
        }
    }
}

/// How much a [`Diagnostic`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; the result is complete.
    Note,
    /// The result may not be what was meant.
    Warning,
    /// A part of the input could not be used.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What a sentence names, by what it is: `port` is `TCP/80`.
pub type Values = BTreeMap<&'static str, String>;

/// Every code of a [`Diagnostic`], sorted.
pub const CODES: &[&str] = &[
    "allows-everything",
    "bad-json",
    "bad-object",
    "bad-review",
    "bad-yaml",
    "block-holds-pods",
    "cluster-cidr-invalid",
    "cluster-subnet-incomplete",
    "configuration-unread",
    "connections-forgotten",
    "covered-rule",
    "domain-names-not-judged",
    "duplicate-address",
    "duplicate-object",
    "duplicate-policy",
    "egress-before-translation",
    "end-port-ignored",
    "equal-priority",
    "exclusion-contradicts-rule",
    "history-lost",
    "history-not-stored",
    "history-unread",
    "host-address-shared",
    "host-addresses",
    "icmp-unknown",
    "kinds-ignored",
    "lost-events",
    "malformed-flow",
    "more-findings",
    "namespace-missing",
    "namespace-not-described",
    "namespaces-without-labels",
    "no-direction",
    "no-dns",
    "no-dns-found",
    "no-dns-over-tcp",
    "no-flows",
    "no-manifests",
    "node-address-shared",
    "node-addresses",
    "node-local-dns-address-unknown",
    "node-without-pod-cidrs",
    "not-an-object",
    "object-repeated",
    "open-to-all",
    "oversized-flow",
    "owner-missing",
    "peer-matches-nothing",
    "peer-not-selectable",
    "pod-address-overlap",
    "pod-addresses-unknown",
    "review-entry-matches-nothing",
    "rules-without-type",
    "selector-shared",
    "selects-nothing",
    "service-selects-nothing",
    "shadowed-rule",
    "slice-of-names",
    "slice-without-service",
    "split-selectors",
    "unknown-peer",
    "unknown-port-name",
    "unknown-probe-port",
    "unread-policies",
    "unreadable",
    "unresolved-left-out",
    "window-short",
    "workload-not-selectable",
];

/// Something to tell the user about one place of the input or the result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Stable kebab-case identifier of the kind of finding, for machines and for searching the docs: one of [`CODES`].
    pub code: &'static str,
    /// Where it is, when it has a place.
    pub origin: Option<Origin>,
    /// The object or entry concerned, such as `NetworkPolicy shop/web`.
    pub subject: Option<String>,
    /// What `message` and `hint` name, for whoever says them in another language.
    pub values: Values,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error: a part of the input could not be used.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A warning: the result may not be what was meant.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// A note: worth knowing.
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, message)
    }

    fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        let (message, values) = (message.into(), Values::new());
        Self { severity, code, origin: None, subject: None, values, message, hint: None }
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Adds the object concerned.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Adds something that the message names.
    #[must_use]
    #[allow(
        clippy::needless_pass_by_value,
        reason = "texts are made for it, and numbers are small"
    )]
    pub fn value(mut self, name: &'static str, value: impl ToString) -> Self {
        self.values.insert(name, value.to_string());
        self
    }

    /// Adds the cure.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// `file:line: severity[code]: subject: message`, then the hint on a line of its own.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{}[{}]: ", self.severity, self.code)?;
        if let Some(subject) = &self.subject {
            write!(f, "{subject}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}
