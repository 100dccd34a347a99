//! Diagnostics as machines read them.

use ringfence_model::{Diagnostic, Values};
use serde::Serialize;

/// Which kind of message: one of [`ringfence_model::diagnostic::CODES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MessageCode(pub &'static str);

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for MessageCode {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::Type::String)
            .description(Some("Which kind of message: stable."))
            .enum_values(Some(ringfence_model::diagnostic::CODES.iter().copied()))
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for MessageCode {}

/// A diagnostic, for machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = CertificateMessage))]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// `note`, `warning` or `error`.
    pub severity: String,
    /// Which kind of message: stable.
    pub code: MessageCode,
    /// What the message names, by what it is.
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, String>))]
    pub values: Values,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub subject: Option<String>,
    /// `file:line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub origin: Option<String>,
    /// What is the matter.
    #[serde(rename = "message")]
    pub text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub hint: Option<String>,
}

impl From<&Diagnostic> for Message {
    fn from(d: &Diagnostic) -> Self {
        Self {
            severity: d.severity.to_string(),
            code: MessageCode(d.code),
            values: d.values.clone(),
            subject: d.subject.clone(),
            origin: d.origin.as_ref().map(ToString::to_string),
            text: d.message.clone(),
            hint: d.hint.clone(),
        }
    }
}
