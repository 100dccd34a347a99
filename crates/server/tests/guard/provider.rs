//! An `OpenID` provider in the process of the test: discovery, keys, and codes for ID tokens, over real HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::{Json, Router, routing};
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PkceCodeChallenge, PkceCodeVerifier, PrivateSigningKey as _};
use ringfence_testkit::Encrypted;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) struct Issuer {
    pub(crate) url: String,
    state: Arc<Shared>,
}

struct Shared {
    url: String,
    key: CoreEdDsaPrivateSigningKey,
    /// What each code is for: the PKCE challenge and the claims.
    codes: Mutex<HashMap<String, (String, Value)>>,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let (issuer, router) = Self::at(url);
        tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
        issuer
    }

    /// Over TLS, with a certificate and its key.
    pub(crate) async fn start_tls(pair: &(String, String)) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (issuer, router) = Self::at(format!("https://{}", socket.local_addr().unwrap()));
        let socket = Encrypted::new(socket, pair, None).unwrap();
        tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
        issuer
    }

    fn at(url: String) -> (Self, Router) {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let id = Some(JsonWebKeyId::new("one".to_owned()));
        let key = CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pair.serialize_pem(), id).unwrap();
        let state = Arc::new(Shared { url: url.clone(), key, codes: Mutex::default() });
        let router = Router::new()
            .route("/.well-known/openid-configuration", routing::get(configuration))
            .route("/keys", routing::get(keys))
            .route("/token", routing::post(token))
            .with_state(Arc::clone(&state));
        (Self { url, state }, router)
    }

    /// What the login page does: checks the request, makes a code, and says where to send the browser.
    pub(crate) fn log_in(&self, location: &str, groups: &str, right_nonce: bool) -> String {
        let url = openidconnect::url::Url::parse(location).unwrap();
        let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], "ringfence");
        assert_eq!(query["scope"], "openid groups");
        assert_eq!(query["code_challenge_method"], "S256");
        let nonce = if right_nonce { query["nonce"].as_str() } else { "another" };
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let claims = json!({
            "iss": self.url, "aud": "ringfence", "sub": "42", "email": "ada@example.org",
            "iat": now, "exp": now + 60, "nonce": nonce,
            "groups": serde_json::from_str::<Value>(groups).unwrap(),
        });
        let mut codes = self.state.codes.lock().unwrap();
        let code = format!("code-{}", codes.len());
        codes.insert(code.clone(), (query["code_challenge"].clone(), claims));
        format!("{}?code={code}&state={}", query["redirect_uri"], query["state"])
    }
}

async fn configuration(State(state): State<Arc<Shared>>) -> Json<Value> {
    let url = &state.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    }))
}

async fn keys(State(state): State<Arc<Shared>>) -> Json<CoreJsonWebKeySet> {
    Json(CoreJsonWebKeySet::new(vec![state.key.as_verification_key()]))
}

async fn token(State(state): State<Arc<Shared>>, body: String) -> Json<Value> {
    let form = openidconnect::url::form_urlencoded::parse(body.as_bytes()).into_owned();
    let form: HashMap<String, String> = form.collect();
    let (challenge, claims) = state.codes.lock().unwrap().remove(&form["code"]).unwrap();
    let verifier = PkceCodeVerifier::new(form["code_verifier"].clone());
    let made = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    assert_eq!(made.as_str(), challenge);
    Json(json!({
        "access_token": "access", "token_type": "Bearer", "expires_in": 60,
        "id_token": signed(&state.key, &claims),
    }))
}

/// A JWS in its compact form (RFC 7515).
fn signed(key: &CoreEdDsaPrivateSigningKey, claims: &Value) -> String {
    let header = json!({"alg": "EdDSA", "kid": "one", "typ": "JWT"});
    let message = format!(
        "{}.{}",
        base64url(header.to_string().as_bytes()),
        base64url(claims.to_string().as_bytes())
    );
    let signature = key.sign(&CoreJwsSigningAlgorithm::EdDsa, message.as_bytes()).unwrap();
    format!("{message}.{}", base64url(&signature))
}

/// RFC 4648 section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut bits = 0;
        for i in 0..3 {
            bits = bits << 8 | u32::from(*chunk.get(i).unwrap_or(&0));
        }
        for i in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * i) & 63) as usize]));
        }
    }
    text
}
