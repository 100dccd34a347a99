//! Logging in through an `OpenID` provider: authorization code flow with PKCE (`OpenID` Connect Core 1.0, RFC 7636).

mod wire;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openidconnect::core::{CoreAuthenticationFlow, CoreJwsSigningAlgorithm, CoreProviderMetadata};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    TokenResponse as _,
};
use serde_json::Value;
use tokio::time::Instant;

use self::wire::Client;
pub(crate) use self::wire::{Https, HttpsError};
use super::secret::Digest;
use crate::chain::Chain;
use crate::config;
use crate::principal::{Principal, Role};

/// Where the provider sends people back to.
pub(super) const CALLBACK: &str = "/api/v1/login/oidc/callback";

/// How long somebody may take at the provider.
const PATIENCE: Duration = Duration::from_mins(10);

/// How many people may be at the provider at a time. Who left first makes room.
const MOST: usize = 1_000;

/// How long the provider's own description is believed.
const FRESH: Duration = Duration::from_mins(5);

/// An `OpenID` provider, and who is there at the moment.
pub(super) struct Provider {
    settings: config::Oidc,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    secret: Option<ClientSecret>,
    https: Https,
    metadata: tokio::sync::Mutex<Option<(Instant, CoreProviderMetadata)>>,
    // By the digest of the state, which only the browser has.
    pending: Mutex<HashMap<Digest, Pending>>,
}

struct Pending {
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    until: Instant,
}

/// Where to send somebody who wants to log in.
#[derive(Debug)]
pub(super) struct Departure {
    /// The page of the provider.
    pub(super) url: String,
    /// What they must bring back, in a cookie too.
    pub(super) state: String,
}

/// Why the provider cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The URL is not one.
    #[error("the issuer or publicUrl is not a URL")]
    Url(#[from] openidconnect::url::ParseError),
    /// The file with the client's secret cannot be read.
    #[error("cannot read the client secret {}", path.display())]
    Secret {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No connection can be made.
    #[error(transparent)]
    Https(#[from] HttpsError),
}

/// Why somebody did not get in.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    /// The provider does not answer, or not as the specification says.
    #[error("the OpenID provider is out of order: {0}")]
    Provider(String),
    /// They come back without having left from here, twice, or too late.
    #[error("this login was not begun here, or too long ago")]
    Unknown,
    /// What they bring does not convince.
    #[error("the ID token is not valid: {0}")]
    Token(String),
    /// They are known, but nobody gave them a role.
    #[error("{name} has no role here")]
    NoRole {
        /// Who.
        name: String,
    },
}

impl Provider {
    /// A provider as configured. It is asked for nothing yet.
    pub(super) fn new(settings: config::Oidc, public_url: &str) -> Result<Self, ProviderError> {
        let secret = match &settings.client_secret {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ProviderError::Secret { path: path.clone(), source })?;
                Some(ClientSecret::new(text.trim().to_owned()))
            }
        };
        Ok(Self {
            issuer: IssuerUrl::new(settings.issuer.clone())?,
            redirect: RedirectUrl::new(format!("{public_url}{CALLBACK}"))?,
            https: Https::new(settings.ca.as_deref(), settings.issuer.starts_with("http:"))?,
            settings,
            secret,
            metadata: tokio::sync::Mutex::default(),
            pending: Mutex::default(),
        })
    }

    /// Begins a login.
    pub(super) async fn depart(&self) -> Result<Departure, LoginError> {
        let client = self.client().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .set_pkce_challenge(challenge);
        for scope in &self.settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.url();
        let now = Instant::now();
        let pending = Pending { nonce, verifier, until: now + PATIENCE };
        let mut table = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MOST {
            table.retain(|_, pending| pending.until > now);
        }
        if table.len() >= MOST
            && let Some(first) = table.iter().min_by_key(|(_, one)| one.until).map(|(key, _)| *key)
        {
            table.remove(&first);
        }
        table.insert(Digest::of(state.secret()), pending);
        Ok(Departure { url: url.into(), state: state.secret().clone() })
    }

    /// Ends a login: somebody is back with a code.
    pub(super) async fn arrive(&self, state: &str, code: String) -> Result<Principal, LoginError> {
        let pending = {
            let mut table = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            table.remove(&Digest::of(state))
        };
        let Some(Pending { nonce, verifier, until }) = pending else {
            return Err(LoginError::Unknown);
        };
        if until <= Instant::now() {
            return Err(LoginError::Unknown);
        }
        let client = self.client().await?;
        let response = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|e| LoginError::Provider(e.to_string()))?
            .set_pkce_verifier(verifier)
            .request_async(&self.https)
            .await
            .map_err(|e| LoginError::Provider(e.to_string()))?;
        let token = response
            .id_token()
            .ok_or_else(|| LoginError::Provider("it gave no ID token".to_owned()))?;
        // Only what is signed with the provider's own key pair: an HMAC would trust whoever knows the client secret.
        let judge = client.id_token_verifier().set_allowed_algs([
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
            CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            CoreJwsSigningAlgorithm::EdDsa,
        ]);
        let claims = match token.claims(&judge, &nonce) {
            Ok(claims) => claims,
            Err(error) => {
                // The keys may have changed: the next one asks for them again.
                self.metadata.lock().await.take();
                return Err(LoginError::Token(error.to_string()));
            }
        };
        if let Some(expected) = claims.access_token_hash() {
            let found = token.signing_alg().map_err(|e| e.to_string()).and_then(|algorithm| {
                let key = token.signing_key(&judge).map_err(|e| e.to_string())?;
                AccessTokenHash::from_token(response.access_token(), algorithm, key)
                    .map_err(|e| e.to_string())
            });
            if found.map_err(LoginError::Token)? != *expected {
                return Err(LoginError::Token("the access token is another one's".to_owned()));
            }
        }
        let claims = serde_json::to_value(claims).map_err(|e| LoginError::Token(e.to_string()))?;
        self.principal(&claims)
    }

    fn principal(&self, claims: &Value) -> Result<Principal, LoginError> {
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        let name = text(&self.settings.name_claim)
            .or_else(|| text("sub"))
            .ok_or_else(|| LoginError::Token("it does not say whose it is".to_owned()))?
            .to_owned();
        let given = match claims.get(&self.settings.role_claim) {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let role: Option<Role> = self
            .settings
            .roles
            .iter()
            .filter(|(value, _)| given.contains(&value.as_str()))
            .map(|(_, role)| *role)
            .max();
        match role {
            Some(role) => Ok(Principal { name, role }),
            None => Err(LoginError::NoRole { name }),
        }
    }

    async fn client(&self) -> Result<Client, LoginError> {
        let mut known = self.metadata.lock().await;
        let metadata = match &*known {
            Some((since, metadata)) if since.elapsed() < FRESH => metadata.clone(),
            _ => {
                let metadata =
                    CoreProviderMetadata::discover_async(self.issuer.clone(), &self.https)
                        .await
                        .map_err(|e| LoginError::Provider(Chain(&e).to_string()))?;
                *known = Some((Instant::now(), metadata.clone()));
                metadata
            }
        };
        drop(known);
        let id = ClientId::new(self.settings.client_id.clone());
        Ok(Client::from_provider_metadata(metadata, id, self.secret.clone())
            .set_redirect_uri(self.redirect.clone()))
    }
}
