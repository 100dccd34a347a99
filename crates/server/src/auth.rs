//! Who asks: what every request is checked for before a handler sees it, and the roles that handlers demand.

mod check;
mod cookie;
mod demand;
mod login;
mod oidc;
mod origin;
mod secret;
mod sessions;
mod tokens;
mod trail;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ringfence_store::Store;

use crate::clock::Clock;
use crate::config::Config;
use crate::shutdown::Shutdown;

pub use check::{Session, authenticate, demand_somebody};
pub use demand::{Admin, Editor, Viewer};
pub(crate) use login::Description;
pub use login::router;
pub use oidc::ProviderError;
pub(crate) use oidc::{Https, HttpsError};
pub use secret::{Digest, NoRandom, Secret};
pub(crate) use secret::{Hex, fill};
pub use tokens::{TokenFile, TokensError};

use self::oidc::Provider;
use self::origin::Origins;
use self::sessions::Sessions;
use self::trail::Trail;

/// Who may come in, and who is in.
pub struct Auth {
    gate: Gate,
    origins: Origins,
    /// Whether cookies are for HTTPS only.
    secure: bool,
    sessions: Sessions,
    trail: Trail,
    clock: Clock,
}

/// Who may come in.
enum Gate {
    /// Everybody who reaches a loopback address is `local`, Admin.
    Local,
    /// Only who says who they are.
    Demanded {
        /// By a token.
        tokens: Option<Arc<TokenFile>>,
        /// Through an `OpenID` provider.
        oidc: Option<Box<Provider>>,
    },
}

/// Where a request comes from, among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote(pub IpAddr);

/// Why authentication cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The tokens.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The `OpenID` provider.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl Auth {
    /// As configured.
    pub fn new(config: &Config, store: Arc<dyn Store>, clock: Clock) -> Result<Self, AuthError> {
        let tokens = config.tokens.as_deref().map(TokenFile::open).transpose()?.map(Arc::new);
        let public_url = config.public_url.as_deref();
        let oidc = match (&config.oidc, public_url) {
            (Some(settings), Some(url)) => Some(Box::new(Provider::new(settings.clone(), url)?)),
            // The configuration has no provider without publicUrl.
            (None, _) | (Some(_), None) => None,
        };
        let gate =
            if config.authenticates() { Gate::Demanded { tokens, oidc } } else { Gate::Local };
        let https = public_url.is_some_and(|url| url.starts_with("https:"));
        Ok(Self {
            gate,
            origins: Origins::new(config.listen, public_url),
            secure: config.tls.is_some() || https,
            sessions: Sessions::new(config.session),
            trail: Trail::new(store, clock.clone()),
            clock,
        })
    }

    /// Reads the tokens again whenever their file changes. It is looked at once in so long.
    pub async fn keep_fresh(self: Arc<Self>, every: Duration, shutdown: Shutdown) {
        let Gate::Demanded { tokens: Some(tokens), .. } = &self.gate else { return };
        let mut watched = crate::reload::Watched::new(vec![tokens.path().to_owned()]);
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(every) => {}
            }
            if watched.changed() {
                match tokens.reload() {
                    Ok(()) => {
                        tracing::info!("tokens reloaded");
                        self.trail.note("ringfence", "tokens.reload", "tokens", "the file changed");
                    }
                    Err(error) => {
                        tracing::error!(%error, "tokens not reloaded, the old ones stay valid");
                    }
                }
            }
        }
    }
}
