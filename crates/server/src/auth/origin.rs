//! Whether a browser asks on behalf of our own pages (RFC 6454), and by a name that is ours.

use std::net::SocketAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

use crate::problem::{Kind, Problem};

/// The names under which the server is reached.
pub(super) struct Origins {
    loopback: bool,
    public: Option<String>,
}

impl Origins {
    pub(super) fn new(listen: SocketAddr, public: Option<&str>) -> Self {
        Self { loopback: listen.ip().is_loopback(), public: public.map(str::to_owned) }
    }

    /// On loopback only names of loopback are ours. Another one is a page whose name was made to lead here, which
    /// a browser then takes for the page's own server (DNS rebinding).
    pub(super) fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        if !self.loopback {
            return Ok(());
        }
        match host(uri, headers) {
            Some(host) if is_loopback(host.host()) || self.is_public(&host) => Ok(()),
            _ => Err(Problem::new(Kind::Misdirected, "the request names another host")
                .with_hint("use the address that the server printed when it started")),
        }
    }

    /// Whether a page of another origin makes the browser ask. Requests without a browser carry no such headers.
    pub(super) fn check_site(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let foreign = || Problem::forbidden("the request comes from another site");
        if let Some(site) = headers.get("sec-fetch-site")
            && site != "same-origin"
            && site != "none"
        {
            return Err(foreign());
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().map_err(|_| foreign())?;
        if self.public.as_deref() == Some(origin) {
            return Ok(());
        }
        let asks = origin.split_once("://").map(|(_, authority)| authority);
        let own = host(uri, headers);
        match (asks, own) {
            (Some(asks), Some(own)) if asks == own.as_str() => Ok(()),
            _ => Err(foreign()),
        }
    }

    fn is_public(&self, host: &Authority) -> bool {
        let public = self.public.as_deref().and_then(|url| url.split_once("://"));
        public.is_some_and(|(_, authority)| authority == host.as_str())
    }
}

/// Whom the request is meant for: `:authority` of HTTP/2, or the Host header.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    if let Some(authority) = uri.authority() {
        return Some(authority.clone());
    }
    headers.get(header::HOST)?.to_str().ok()?.parse().ok()
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};

    use super::Origins;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair =
            |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_our_own_names() {
        let loopback = |host: &'static str| {
            let origins =
                Origins::new(([127, 0, 0, 1], 8470).into(), Some("https://proxy.example"));
            origins.check_host(&Uri::from_static("/"), &headers(&[("host", host)])).is_ok()
        };
        for ours in ["127.0.0.1:8470", "localhost:8470", "LOCALHOST", "[::1]:1", "proxy.example"] {
            assert!(loopback(ours), "{ours}");
        }
        for foreign in
            ["evil.example:8470", "127.0.0.1.evil.example", "10.0.0.1", "", "proxy.example:1"]
        {
            assert!(!loopback(foreign), "{foreign}");
        }
        let outside = Origins::new(([0, 0, 0, 0], 8470).into(), None);
        let any = headers(&[("host", "any.example")]);
        assert!(outside.check_host(&Uri::from_static("/"), &any).is_ok());
    }

    #[test]
    fn only_our_own_pages() {
        let origins = Origins::new(([0, 0, 0, 0], 8470).into(), Some("https://public.example"));
        let check = |pairs: &[(&'static str, &'static str)]| {
            origins.check_site(&Uri::from_static("/"), &headers(pairs)).is_ok()
        };
        assert!(check(&[("host", "a.example")]), "no browser");
        assert!(check(&[("host", "a.example"), ("origin", "https://a.example")]));
        assert!(check(&[("host", "a.example"), ("origin", "https://public.example")]));
        assert!(check(&[("host", "a.example"), ("sec-fetch-site", "same-origin")]));
        assert!(!check(&[("host", "a.example"), ("origin", "https://b.example")]));
        assert!(!check(&[("host", "a.example"), ("origin", "https://a.example:444")]));
        assert!(!check(&[("host", "a.example"), ("origin", "null")]));
        assert!(!check(&[("host", "a.example"), ("sec-fetch-site", "same-site")]));
        assert!(!check(&[("origin", "https://a.example")]));
    }
}
