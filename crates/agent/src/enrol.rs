//! How the agent comes by its certificate, and keeps one that is valid.
//!
//! The key is made here and never leaves the machine. The first certificate is for a token; each further one is for the
//! one before, at two thirds of its time, with a new key. One that has ended while the machine slept still fetches the
//! next for some days, with the same key; after that it takes a new token.

mod identity;
mod server;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::KeyPair;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

pub use identity::{Identity, IdentityError, Wallet};
pub use server::Server;

/// The first pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How often the clock is looked at: it stands still while the machine sleeps, and jumps.
const GLANCE: Duration = Duration::from_secs(30);

/// Who enrols, and where.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The server.
    pub server: Server,
    /// The cluster, as the server names it.
    pub cluster: String,
    /// The node.
    pub node: String,
    /// Where the key and the certificate are kept.
    pub wallet: Wallet,
    /// The file with the token. It is read when it is needed.
    pub token: Option<PathBuf>,
}

/// Why there is no new certificate.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// There is nothing to enrol with.
    #[error(
        "not enrolled, and there is no token (hint: ringfence agents token makes one; --token-file names its file)"
    )]
    NoToken,
    /// The token cannot be read.
    #[error("the token {}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server cannot be reached.
    #[error("the server cannot be reached")]
    Connect(#[from] tonic::transport::Error),
    /// The server refuses.
    #[error("the server gives no certificate: {}", .0.message())]
    Refused(#[from] Status),
    /// The server does not answer.
    #[error("the server does not answer")]
    Silent(#[from] tokio::time::error::Elapsed),
    /// The key or the certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// When to renew: by either clock, because one stands still while the machine sleeps, and the other jumps.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: Instant,
    wall: SystemTime,
}

impl Due {
    /// At about two thirds of the time that is left, so that not all agents come at once. `dice` is random.
    fn within(lifetime: Duration, dice: u64) -> Self {
        let share = 0.60 + f64::from(u16::try_from(dice % 1000).unwrap_or(0)) / 1000.0 * 0.13;
        let after = lifetime.mul_f64(share);
        Self { at: Instant::now() + after, wall: SystemTime::now() + after }
    }

    async fn come(self) {
        while let Ok(left) = self.wall.duration_since(SystemTime::now()) {
            let left = left.min(self.at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(GLANCE)).await;
        }
    }
}

impl Enrolment {
    /// Keeps a certificate valid, forever. `endpoints` gets one to deliver over for each; `refused` is notified when
    /// the server does not take the certificate; `tell` hears what fails.
    pub async fn keep(
        self,
        endpoints: watch::Sender<Option<Endpoint>>,
        refused: Arc<Notify>,
        mut tell: impl FnMut(&EnrolError),
    ) {
        let mut pause = PAUSE;
        let mut identity = self.wallet.open().unwrap_or_else(|error| {
            // Damaged, or another's: it takes a token then.
            tell(&error.into());
            None
        });
        loop {
            if let Some(identity) = &identity {
                match self.server.endpoint(Some(identity)) {
                    Ok(endpoint) => drop(endpoints.send_replace(Some(endpoint))),
                    Err(error) => tell(&error.into()),
                }
                let dice = RandomState::new().build_hasher().finish();
                tokio::select! {
                    () = Due::within(identity.left(SystemTime::now()), dice).come() => pause = PAUSE,
                    () = refused.notified() => {
                        // Removed, perhaps, or over. A server that refuses what it has just given is not pressed.
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
            identity = Some(self.next(identity.as_ref(), &mut tell).await);
        }
    }

    /// Tries until there is a new certificate.
    async fn next(
        &self,
        before: Option<&Identity>,
        tell: &mut impl FnMut(&EnrolError),
    ) -> Identity {
        let mut pause = PAUSE;
        loop {
            let outcome = match before {
                Some(before) => self.renew(before).await,
                None => self.enrol().await,
            };
            match outcome {
                Ok(new) => return new,
                Err(error) => {
                    tell(&error);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// The first certificate, for the token. The same key is shown until there is an answer, so that a lost one costs
    /// no further use of the token.
    pub async fn enrol(&self) -> Result<Identity, EnrolError> {
        let path = self.token.clone().ok_or(EnrolError::NoToken)?;
        let token = match std::fs::read_to_string(&path) {
            Ok(token) => token.trim().to_owned(),
            Err(source) => return Err(EnrolError::Token { path, source }),
        };
        let key = self.wallet.pending()?;
        let issued = self.server.enrol(token, self, identity::request(&key, self)?).await?;
        self.keep_issued(key, issued)
    }

    /// The next certificate, for the one before.
    pub async fn renew(&self, before: &Identity) -> Result<Identity, EnrolError> {
        let key = KeyPair::generate().map_err(IdentityError::from)?;
        let request = identity::request(&key, self)?;
        let failed = match self.server.renew(before, request).await {
            Ok(issued) => return self.keep_issued(key, issued),
            Err(error) => error,
        };
        // A certificate that has ended fails in the handshake, which looks like a broken connection; and whether it
        // has ended is for the server's clock to say.
        let request = identity::request(before.key(), self)?;
        match self.server.renew_ended(before, request).await {
            Ok(issued) => self.keep_issued(before.key_again()?, issued),
            Err(EnrolError::Refused(status)) if is_final(&status) && self.token.is_some() => {
                // Removed, or asleep for too long: perhaps somebody has brought a new token.
                self.enrol().await.map_err(|_| EnrolError::Refused(status))
            }
            Err(error @ EnrolError::Refused(_)) => Err(error),
            Err(_) => Err(failed),
        }
    }

    fn keep_issued(
        &self,
        key: KeyPair,
        issued: ringfence_proto::enrol::Issued,
    ) -> Result<Identity, EnrolError> {
        let ringfence_proto::enrol::Issued { chain, seconds } = issued;
        let identity = Identity::new(key, &chain, Duration::from_secs(seconds))?;
        self.wallet.keep(&identity)?;
        Ok(identity)
    }
}

/// Whether trying again is in vain.
fn is_final(status: &Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Due;

    #[tokio::test]
    async fn renewals_are_spread_around_two_thirds() {
        let hour = Duration::from_hours(1);
        let after = |dice| Due::within(hour, dice).at.duration_since(Instant::now()).as_secs();
        assert!((2155..=2160).contains(&after(0)), "{}", after(0));
        assert!((2620..=2628).contains(&after(999)), "{}", after(999));
    }

    #[tokio::test]
    async fn a_clock_that_jumped_ahead_is_due() {
        let mut due = Due::within(Duration::from_hours(1), 0);
        due.wall -= Duration::from_hours(2);
        tokio::time::timeout(Duration::from_secs(1), due.come()).await.expect("at once");
    }
}
