//! Cookies (RFC 6265).

use std::fmt::Write as _;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

/// A cookie of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cookie {
    /// Whose login it is.
    Session,
    /// Who is at the `OpenID` provider.
    Departed,
}

impl Cookie {
    /// Under HTTPS with the prefix that makes browsers refuse it from other hosts and without encryption.
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, true) => "__Host-ringfence",
            (Self::Session, false) => "ringfence",
            (Self::Departed, true) => "__Host-ringfence-login",
            (Self::Departed, false) => "ringfence-login",
        }
    }

    /// What the browser sends as it.
    pub(super) fn read(self, headers: &HeaderMap, secure: bool) -> Option<&str> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.name(secure))
            .map(|(_, value)| value)
    }

    /// Sets it. `value` is made of letters, digits, `-` and `_`, and `Lax` because a login comes back from another
    /// site: requests that change something need the CSRF token besides.
    pub(super) fn set(self, value: &str, last: Duration, secure: bool) -> Option<HeaderValue> {
        let mut text = format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}",
            self.name(secure),
            last.as_secs()
        );
        if secure {
            let _ = write!(text, "; Secure");
        }
        HeaderValue::try_from(text).ok()
    }

    /// Removes it.
    pub(super) fn clear(self, secure: bool) -> Option<HeaderValue> {
        self.set("", Duration::ZERO, secure)
    }
}
