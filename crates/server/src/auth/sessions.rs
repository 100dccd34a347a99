//! Who is logged in with a browser.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::secret::{Digest, NoRandom, Secret};
use crate::principal::Principal;

/// How many logins there can be at a time. The one that ends first makes room.
const MOST: usize = 10_000;

/// Who is logged in with a browser. In memory only: after a restart everybody logs in again.
#[derive(Debug)]
pub(super) struct Sessions {
    last: Duration,
    // Keyed by the digest, so that a dump of the memory's keys opens nothing.
    open: Mutex<HashMap<Digest, Session>>,
}

/// One login.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// How somebody came in.
    pub(super) origin: Origin,
    /// What requests that change something must send back, so that no other site can make them.
    pub(super) csrf: Arc<str>,
    expires: Instant,
}

/// How somebody came in.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// With a token: the login ends with it.
    Token(Digest),
    /// Through the `OpenID` provider.
    Oidc(Principal),
}

impl Sessions {
    /// None yet. Each will last that long.
    pub(super) fn new(last: Duration) -> Self {
        Self { last, open: Mutex::default() }
    }

    /// How long a login lasts.
    pub(super) fn last(&self) -> Duration {
        self.last
    }

    /// Lets somebody in: the secret goes into the cookie.
    pub(super) fn begin(&self, origin: Origin) -> Result<Secret, NoRandom> {
        self.begin_at(Instant::now(), origin)
    }

    fn begin_at(&self, now: Instant, origin: Origin) -> Result<Secret, NoRandom> {
        let secret = Secret::random()?;
        let csrf = Secret::random()?.reveal().into();
        let session = Session { origin, csrf, expires: now + self.last };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST {
            open.retain(|_, session| session.expires > now);
        }
        if open.len() >= MOST
            && let Some(first) =
                open.iter().min_by_key(|(_, session)| session.expires).map(|(key, _)| *key)
        {
            open.remove(&first);
        }
        open.insert(secret.digest(), session);
        Ok(secret)
    }

    /// The login that a cookie stands for.
    pub(super) fn find(&self, cookie: &str) -> Option<Session> {
        self.find_at(Instant::now(), cookie)
    }

    fn find_at(&self, now: Instant, cookie: &str) -> Option<Session> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let session = open.get(&Digest::of(cookie))?;
        (session.expires > now).then(|| session.clone())
    }

    /// Lets somebody out.
    pub(super) fn end(&self, cookie: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&Digest::of(cookie));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{MOST, Origin, Sessions};
    use crate::principal::{Principal, Role};

    fn origin() -> Origin {
        Origin::Oidc(Principal { name: "ada".into(), role: Role::Editor })
    }

    #[test]
    fn a_login_ends() {
        let sessions = Sessions::new(Duration::from_mins(1));
        let now = Instant::now();
        let first = sessions.begin_at(now, origin()).expect("random numbers");
        let second = sessions.begin_at(now, origin()).expect("random numbers");
        let csrf = |secret: &str| sessions.find_at(now, secret).map(|session| session.csrf);
        assert_ne!(csrf(first.reveal()), csrf(second.reveal()));
        sessions.end(first.reveal());
        assert!(csrf(first.reveal()).is_none());
        assert!(csrf(second.reveal()).is_some());
        let later = now + Duration::from_mins(1);
        assert!(sessions.find_at(later, second.reveal()).is_none());
        assert!(csrf("").is_none());
    }

    #[test]
    fn there_are_never_too_many() {
        let sessions = Sessions::new(Duration::from_mins(1));
        let now = Instant::now();
        let first = sessions.begin_at(now, origin()).expect("random numbers");
        let later = now + Duration::from_secs(1);
        for _ in 1..=MOST {
            sessions.begin_at(later, origin()).expect("random numbers");
        }
        assert_eq!(sessions.open.lock().expect("no panic").len(), MOST);
        assert!(sessions.find_at(now, first.reveal()).is_none(), "the oldest makes room");
    }
}
