//! From what the file says to what the server does.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::Uri;
use ringfence_model::Name;
use ringfence_store::Retention;
use rustls::pki_types::ServerName;

use super::fault::Fault;
use super::raw::{self, At};
use super::{
    Access, Agents, CaFiles, Config, DEFAULT_LISTEN, Flags, Limits, LiveCluster, Oidc, Relay,
    TlsFiles, WatchedDirectory, default_store,
};
use crate::enrol::Terms;
use crate::principal::Role;

/// The whole configuration, or everything that is wrong with it.
pub(super) fn config(raw: raw::Config, base: &Path, flags: &Flags) -> Result<Config, Vec<Fault>> {
    let raw::Config {
        listen,
        public_url,
        store,
        tls,
        authentication,
        clusters,
        flows,
        agents,
        limits,
        retention,
    } = raw;
    let mut check = Check { base, faults: Vec::new() };
    let (listen, listen_line) = match (flags.listen, listen) {
        (Some(listen), _) => (listen, None),
        (None, Some(listen)) => (check.listen(&listen), Some(line(&listen))),
        (None, None) => (DEFAULT_LISTEN, None),
    };
    let public_url = public_url.map(|url| check.origin("publicUrl", &url));
    let store = flags
        .store
        .clone()
        .or_else(|| store.map(|path| check.path(path)))
        .or_else(default_store)
        .unwrap_or_else(|| {
            let fault = Fault::new(None, "store: the user has no home directory to keep data in");
            check.faults.push(fault.hint("say where with store: or --store"));
            PathBuf::new()
        });
    let tls = tls.map(|raw::Tls { certificate, key, client_ca }| TlsFiles {
        certificate: check.path(certificate),
        key: check.path(key),
        client_ca: client_ca.map(|path| check.path(path)),
    });
    let raw::Authentication { tokens, oidc, session_minutes } = authentication;
    let tokens = tokens.map(|path| check.path(path));
    let oidc = oidc.map(|oidc| check.oidc(oidc, public_url.is_some()));
    let minutes =
        check.number("authentication.sessionMinutes", session_minutes, 8 * 60, 1..=60 * 24 * 30);
    let clusters = check.clusters(clusters);
    let raw::Flows { directories, relays } = flows;
    let directories = directories
        .into_iter()
        .filter_map(|raw::Directory { cluster, path }| {
            let cluster = check.name("flows.directories", &cluster)?;
            Some(WatchedDirectory { cluster, path: check.path(path) })
        })
        .collect();
    let relays = relays.into_iter().filter_map(|relay| check.relay(relay)).collect();
    let agents = check.agents(agents);
    let limits = check.limits(limits);
    let retention = check.retention(retention);
    let config = Config {
        listen,
        public_url,
        store,
        tls,
        tokens,
        oidc,
        session: Duration::from_mins(minutes),
        clusters,
        relays,
        directories,
        agents,
        limits,
        retention,
    };
    check.exposure(&config, listen_line);
    if check.faults.is_empty() {
        return Ok(config);
    }
    // In the order of the file; what has no place in it comes last.
    check.faults.sort_by_key(|fault| fault.line.unwrap_or(u64::MAX));
    Err(check.faults)
}

fn line<T>(at: &At<T>) -> u64 {
    at.referenced.line()
}

/// What has been found wrong so far.
struct Check<'a> {
    base: &'a Path,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn fault<T>(&mut self, at: &At<T>, message: String) {
        self.faults.push(Fault::new(Some(line(at)), message));
    }

    /// A path of the file starts at the file.
    fn path(&self, path: PathBuf) -> PathBuf {
        self.base.join(path)
    }

    fn listen(&mut self, listen: &At<String>) -> SocketAddr {
        listen.value.parse().unwrap_or_else(|_| {
            self.fault(
                listen,
                format!(
                    "listen: {:?} is not an address and port, such as 127.0.0.1:8470",
                    listen.value
                ),
            );
            DEFAULT_LISTEN
        })
    }

    /// Anything but loopback demands TLS and authentication.
    fn exposure(&mut self, config: &Config, listen_line: Option<u64>) {
        let Config { listen, tls, tokens, oidc, .. } = config;
        if listen.ip().is_loopback() {
            return;
        }
        if tls.is_none() {
            let message =
                format!("listen: {listen} can be reached from outside, and there is no TLS");
            let hint = "give tls.certificate and tls.key, or listen on 127.0.0.1";
            self.faults.push(Fault::new(listen_line, message).hint(hint));
        }
        if tokens.is_none() && oidc.is_none() {
            let message =
                format!("listen: {listen} can be reached from outside, and nobody has to log in");
            let hint = "give authentication.tokens (see ringfence token) or authentication.oidc, \
                        or listen on 127.0.0.1";
            self.faults.push(Fault::new(listen_line, message).hint(hint));
        }
    }

    /// An origin: scheme and host, no path. Plain HTTP only on loopback.
    fn origin(&mut self, field: &str, url: &At<String>) -> String {
        let text = url.value.trim_end_matches('/');
        let well_formed = text
            .parse::<Uri>()
            .is_ok_and(|uri| uri.path() == "/" && uri.query().is_none() && is_secure(&uri));
        if !well_formed {
            self.fault(
                url,
                format!(
                    "{field}: {:?} is not an origin such as https://ringfence.example.org",
                    url.value
                ),
            );
        }
        text.to_owned()
    }

    fn name(&mut self, field: &str, name: &At<String>) -> Option<Name> {
        match name.value.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.fault(name, format!("{field}: {error}"));
                None
            }
        }
    }

    fn oidc(&mut self, oidc: raw::Oidc, has_public_url: bool) -> Oidc {
        let raw::Oidc {
            issuer,
            client_id,
            client_secret_file,
            ca,
            scopes,
            name_claim,
            role_claim,
            roles,
        } = oidc;
        if !issuer.value.parse::<Uri>().is_ok_and(|uri| is_secure(&uri)) {
            self.fault(
                &issuer,
                format!("authentication.oidc.issuer: {:?} is not an https:// URL", issuer.value),
            );
        }
        if !has_public_url {
            let message = "publicUrl: missing, and the OpenID provider sends people back to it";
            self.faults.push(Fault::new(Some(line(&issuer)), message));
        }
        let mut values = Vec::new();
        for (role, claimed) in roles {
            match role.parse::<Role>() {
                Ok(role) => values.extend(claimed.value.into_iter().map(|value| (value, role))),
                Err(error) => {
                    self.fault(&claimed, format!("authentication.oidc.roles: {error}"));
                }
            }
        }
        if values.is_empty() {
            let message = "authentication.oidc.roles: nobody gets a role";
            self.faults.push(Fault::new(Some(line(&issuer)), message));
        }
        Oidc {
            issuer: issuer.value,
            client_id,
            client_secret: client_secret_file.map(|path| self.path(path)),
            ca: ca.map(|path| self.path(path)),
            scopes,
            name_claim: name_claim.unwrap_or_else(|| "email".to_owned()),
            role_claim,
            roles: values,
        }
    }

    fn clusters(&mut self, clusters: Vec<raw::LiveCluster>) -> Vec<LiveCluster> {
        let mut names = BTreeSet::new();
        let mut live = Vec::new();
        for raw::LiveCluster { name: at, kubeconfig, context, in_cluster } in clusters {
            let Some(name) = self.name("clusters.name", &at) else { continue };
            if !names.insert(name.clone()) {
                self.fault(&at, format!("clusters.name: there are two clusters {name}"));
            }
            let access = if in_cluster {
                if kubeconfig.is_some() || context.is_some() {
                    self.fault(
                        &at,
                        format!(
                            "clusters: {name} has inCluster, and a kubeconfig or context beside it"
                        ),
                    );
                }
                Access::InCluster
            } else {
                Access::Kubeconfig { path: kubeconfig.map(|path| self.path(path)), context }
            };
            live.push(LiveCluster { name, access });
        }
        live
    }

    fn relay(&mut self, relay: raw::Relay) -> Option<Relay> {
        let raw::Relay { cluster, address, ca, certificate, key, server_name } = relay;
        let scheme = address.value.parse::<Uri>().ok().filter(|uri| uri.host().is_some());
        let scheme = scheme.as_ref().and_then(Uri::scheme_str);
        if !matches!(scheme, Some("http" | "https")) {
            self.fault(
                &address,
                format!(
                    "flows.relays.address: {:?} is not http://host:port or https://host:port",
                    address.value
                ),
            );
        }
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((self.path(certificate), self.path(key))),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                self.fault(
                    &address,
                    "flows.relays: certificate and key go together, and one is missing".to_owned(),
                );
                None
            }
        };
        if let Some(name) = &server_name
            && ServerName::try_from(name.value.as_str()).is_err()
        {
            self.fault(
                name,
                format!(
                    "flows.relays.serverName: {:?} is not a DNS name or IP address",
                    name.value
                ),
            );
        }
        let has_tls = ca.is_some() || identity.is_some() || server_name.is_some();
        if scheme == Some("http") && has_tls {
            self.fault(
                &address,
                "flows.relays: certificates are for https:// addresses".to_owned(),
            );
        }
        let cluster = self.name("flows.relays.cluster", &cluster)?;
        Some(Relay {
            cluster,
            address: address.value,
            ca: ca.map(|path| self.path(path)),
            identity,
            server_name: server_name.map(|name| name.value),
        })
    }

    fn agents(&mut self, agents: raw::Agents) -> Agents {
        let raw::Agents { ca, certificate_hours, grace_hours } = agents;
        let ca = ca.map(|raw::Ca { certificate, key }| CaFiles {
            certificate: self.path(certificate),
            key: self.path(key),
        });
        let preset = Terms::default();
        let mut hours = |field: &str, given, preset: Duration, least| {
            let hours = self.number(field, given, preset.as_secs() / 3600, least..=24 * 365);
            Duration::from_hours(hours)
        };
        let lifetime = hours("agents.certificateHours", certificate_hours, preset.lifetime, 1);
        let grace = hours("agents.graceHours", grace_hours, preset.grace, 0);
        Agents { ca, terms: Terms { lifetime, grace } }
    }

    fn limits(&mut self, limits: raw::Limits) -> Limits {
        let raw::Limits {
            body_bytes,
            upload_bytes,
            header_bytes,
            request_seconds,
            idle_seconds,
            connections,
            requests_per_second,
            burst,
        } = limits;
        let preset = Limits::default();
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Limits {
            body: self.number("limits.bodyBytes", body_bytes, preset.body, 1 << 10..=1 << 30),
            upload: self.number(
                "limits.uploadBytes",
                upload_bytes,
                preset.upload,
                1 << 10..=1 << 50,
            ),
            headers: narrow(self.number(
                "limits.headerBytes",
                header_bytes,
                preset.headers.into(),
                8 << 10..=1 << 20,
            )),
            request: Duration::from_secs(self.number(
                "limits.requestSeconds",
                request_seconds,
                preset.request.as_secs(),
                1..=3600,
            )),
            idle: Duration::from_secs(self.number(
                "limits.idleSeconds",
                idle_seconds,
                preset.idle.as_secs(),
                1..=3600,
            )),
            connections: self
                .number("limits.connections", connections, preset.connections as u64, 1..=1 << 20)
                .try_into()
                .unwrap_or(preset.connections),
            rate: narrow(self.number(
                "limits.requestsPerSecond",
                requests_per_second,
                preset.rate.into(),
                1..=1_000_000,
            )),
            burst: narrow(self.number("limits.burst", burst, preset.burst.into(), 1..=1_000_000)),
        }
    }

    fn retention(&mut self, retention: raw::Retention) -> Retention {
        let raw::Retention { minute_days, hour_days, days, bytes } = retention;
        let preset = Retention::default();
        let mut duration = |field: &str, given, preset: Duration| {
            let days = self.number(field, given, preset.as_secs() / 86_400, 1..=36_500);
            Duration::from_hours(days * 24)
        };
        Retention {
            minutes_for: duration("retention.minuteDays", minute_days, preset.minutes_for),
            hours_for: duration("retention.hourDays", hour_days, preset.hours_for),
            age: duration("retention.days", days, preset.age),
            size: bytes
                .map(|bytes| self.number("retention.bytes", Some(bytes), 0, 16 << 20..=1 << 50)),
        }
    }

    fn number(
        &mut self,
        field: &str,
        given: Option<At<u64>>,
        preset: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        let Some(given) = given else { return preset };
        if !range.contains(&given.value) {
            self.fault(
                &given,
                format!(
                    "{field}: {} is not from {} to {}",
                    given.value,
                    range.start(),
                    range.end()
                ),
            );
        }
        given.value
    }
}

/// Whether what is sent to a URL cannot be read on the way: HTTPS, or HTTP that does not leave the machine.
pub(crate) fn is_secure(uri: &Uri) -> bool {
    let Some(host) = uri.host() else { return false };
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => {
            let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
        _ => false,
    }
}
