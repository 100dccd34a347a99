//! What is wrong with one value of one object, before the object and the file are known.

use std::fmt;

use ringfence_model::{Diagnostic, Origin};

/// A fault in the input: its line in the file, its field path, what is wrong, and the cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Line in the file; 0 until known.
    pub(crate) line: u32,
    /// Such as `spec.ingress[0].ports[1].port`; empty until known.
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Fault {
    pub(crate) fn new(line: u32, message: impl Into<String>) -> Self {
        Self { line, path: String::new(), message: message.into(), hint: None }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Takes the line unless a line nearer to the fault is known.
    #[must_use]
    pub(crate) fn at(mut self, line: u32) -> Self {
        if self.line == 0 {
            self.line = line;
        }
        self
    }

    /// Prefixes the path with the field that the faulty value stands in, and takes its line unless a line nearer
    /// to the fault is known.
    #[must_use]
    pub(crate) fn inside(mut self, field: &str, line: u32) -> Self {
        if !self.path.is_empty() && !self.path.starts_with('[') {
            self.path.insert(0, '.');
        }
        self.path.insert_str(0, field);
        self.at(line)
    }

    /// The fault as something to tell the user.
    pub(crate) fn report(
        self,
        code: &'static str,
        origin: &Origin,
        subject: Option<&str>,
    ) -> Diagnostic {
        let Self { line, path, message, hint } = self;
        let message = if path.is_empty() { message } else { format!("{path}: {message}") };
        let line = if line == 0 { origin.line } else { line };
        let mut diagnostic = Diagnostic::error(code, shown(&message)).at(origin.at(line));
        diagnostic.subject = subject.map(shown);
        diagnostic.hint = hint.as_deref().map(shown);
        diagnostic
    }
}

/// Text of the input that is safe and short enough for a terminal.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 600;
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut out: String = text.chars().take(LONGEST).map(visible).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('\u{2026}');
    }
    out
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
