use std::time::Duration;

use ringfence_server::auth::Secret;
use ringfence_testkit::Authority;
use ringfence_testkit::authority::LATE;

use crate::client::{ask, get};
use crate::provider::Issuer;
use crate::running::{Running, start, start_in};

#[tokio::test]
async fn on_loopback_everybody_is_local() {
    let Running { server, directory: _directory } = start("").await;
    let url = server.url();
    assert_eq!(get(&format!("{url}healthz"), &[]).await.text(), "ok\n");
    assert_eq!(get(&format!("{url}readyz"), &[]).await.json()["ready"], true);
    let me = get(&format!("{url}api/v1/me"), &[]).await.json();
    assert_eq!((me["name"].as_str(), me["role"].as_str()), (Some("local"), Some("admin")));
    let page = get(&format!("{url}network/prod/shop"), &[]).await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(page.headers[name], value);
    }
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(page.headers.get("access-control-allow-origin").is_none());
    let nothing = get(&format!("{url}api/v1/nothing"), &[]).await;
    assert_eq!(nothing.status, 404);
    assert_eq!(nothing.headers["content-type"], "application/problem+json");
    assert_eq!(nothing.headers["cache-control"], "no-store");
    let document = get(&format!("{url}api/v1/openapi.json"), &[]).await.json();
    assert_eq!(document["openapi"], "3.1.0");
    server.stop().await;
}

/// Nothing of anybody's flows lies where others can read it, or stays there.
#[tokio::test]
async fn the_directory_for_logs_is_the_servers_own_and_begins_empty() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = directory.path().join("ringfence.db-scratch");
    std::fs::create_dir(&scratch).unwrap();
    std::fs::write(scratch.join("left"), "of a server that died").unwrap();
    let Running { server, directory: _directory } = start_in(directory, "").await.unwrap();
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&scratch).unwrap().permissions().mode() & 0o777, 0o700);
    }
    server.stop().await;
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let Running { server, directory: _directory } = start("").await;
    let url = format!("{}metrics", server.url());
    get(&url, &[]).await;
    let metrics = get(&url, &[]).await;
    let text = metrics.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let counted = r#"ringfence_http_requests_total{route="/metrics",method="GET",status="2xx"} 1"#;
    for line in [counted, "ringfence_ingest_queued 0", "# TYPE ringfence_flows_stored counter"] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    assert!(text.lines().all(|line| line.starts_with('#') || line.starts_with("ringfence_")));
    server.stop().await;
}

#[tokio::test]
async fn other_sites_and_other_names_are_refused() {
    let Running { server, directory: _directory } = start("").await;
    let url = format!("{}api/v1/me", server.url());
    let rebound = get(&url, &[("host", "evil.example:8470")]).await;
    assert_eq!(rebound.status, 421, "{}", rebound.text());
    let logout = format!("{}api/v1/logout", server.url());
    let foreign = ask("POST", &logout, &[("origin", "https://evil.example")], "").await;
    assert_eq!(foreign.status, 403, "{}", foreign.text());
    let foreign = ask("POST", &logout, &[("sec-fetch-site", "cross-site")], "").await;
    assert_eq!(foreign.status, 403);
    assert_eq!(ask("POST", &logout, &[], "").await.status, 204);
    server.stop().await;
}

/// A server with one token, and the token.
async fn with_token(role: &str) -> (Running, String) {
    let directory = tempfile::tempdir().unwrap();
    let token = Secret::token().unwrap();
    let entry = format!("tokens: [{{name: ci, role: {role}, hash: '{}'}}]", token.digest());
    std::fs::write(directory.path().join("tokens.yaml"), entry).unwrap();
    let running = start_in(directory, "authentication: {tokens: tokens.yaml}").await.unwrap();
    (running, token.reveal().to_owned())
}

#[tokio::test]
async fn a_token_opens_what_its_role_permits() {
    let (Running { server, directory: _directory }, token) = with_token("viewer").await;
    let url = server.url();
    for path in ["api/v1/me", "api/v1/clusters", "metrics", "api/v1/openapi.json"] {
        let refused = get(&format!("{url}{path}"), &[]).await;
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
    }
    assert_eq!(get(&format!("{url}healthz"), &[]).await.status, 200);
    assert_eq!(get(&url, &[]).await.status, 200);
    let bearer = format!("Bearer {token}");
    let own = [("authorization", bearer.as_str())];
    let me = get(&format!("{url}api/v1/me"), &own).await.json();
    assert_eq!((me["name"].as_str(), me["role"].as_str()), (Some("ci"), Some("viewer")));
    assert_eq!(get(&format!("{url}api/v1/audit"), &own).await.status, 403);
    let other = format!("Bearer {}", Secret::token().unwrap().reveal());
    for wrong in [other.as_str(), "Bearer hunter2", "Bearer "] {
        let refused = get(&format!("{url}api/v1/me"), &[("authorization", wrong)]).await;
        assert_eq!(refused.status, 401, "{wrong}");
    }
    let store = std::sync::Arc::clone(&server.app().store);
    server.stop().await;
    // It is noted after the answer.
    let noted = async || loop {
        let trail = store.audit_trail(ringfence_model::Timestamp::MAX, 10).unwrap();
        if trail.iter().any(|entry| entry.action == "login.failure") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    tokio::time::timeout(Duration::from_secs(10), noted()).await.expect("it is noted");
}

#[tokio::test]
async fn a_session_needs_its_csrf_token() {
    let (Running { server, directory: _directory }, token) = with_token("editor").await;
    let url = server.url();
    let json = [("content-type", "application/json")];
    let login = format!("{url}api/v1/login");
    let refused = ask("POST", &login, &json, r#"{"token":"rf_wrong"}"#).await;
    assert_eq!(refused.status, 401);
    let answer = ask("POST", &login, &json, format!(r#"{{"token":"{token}"}}"#)).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    let set = answer.headers["set-cookie"].to_str().unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    assert!(!set.contains(&token));
    let cookie = answer.cookies();
    let me = get(&format!("{url}api/v1/me"), &[("cookie", &cookie)]).await.json();
    assert_eq!(me["role"], "editor");
    let csrf = me["csrf"].as_str().unwrap();
    let logout = format!("{url}api/v1/logout");
    let without = ask("POST", &logout, &[("cookie", &cookie)], "").await;
    assert_eq!(without.status, 403, "{}", without.text());
    let wrong = [("cookie", cookie.as_str()), ("x-csrf-token", "wrong")];
    assert_eq!(ask("POST", &logout, &wrong, "").await.status, 403);
    let right = [("cookie", cookie.as_str()), ("x-csrf-token", csrf)];
    assert_eq!(ask("POST", &logout, &right, "").await.status, 204);
    let gone = get(&format!("{url}api/v1/me"), &[("cookie", &cookie)]).await;
    assert_eq!(gone.status, 401);
    server.stop().await;
}

/// What sends people to an issuer.
fn provider(issuer: &Issuer, more: &str) -> String {
    format!(
        "publicUrl: http://127.0.0.1:1\nauthentication:\n  oidc:\n    issuer: {}\n    clientId: ringfence\n    \
         scopes: [groups]\n    roleClaim: groups\n    roles: {{viewer: [everybody], admin: [platform]}}\n{more}",
        issuer.url
    )
}

/// The issuer is one that only the organisation itself knows.
#[tokio::test]
async fn the_openid_provider_is_known_by_its_authority() {
    let (own, foreign) = (Authority::new("own").unwrap(), Authority::new("foreign").unwrap());
    let issuer = Issuer::start_tls(&own.loopback(LATE).unwrap()).await;
    let with_ca = async |ca: Option<&Authority>| {
        let directory = tempfile::tempdir().unwrap();
        let more = ca.map_or("", |ca| {
            std::fs::write(directory.path().join("ca.crt"), &ca.pem).unwrap();
            "    ca: ca.crt\n"
        });
        start_in(directory, &provider(&issuer, more)).await.unwrap()
    };
    let Running { server, directory: _directory } = with_ca(Some(&own)).await;
    let url = server.url();
    let departure = get(&format!("{url}api/v1/login/oidc"), &[]).await;
    assert_eq!(departure.status, 303, "{}", departure.text());
    let page = departure.headers["location"].to_str().unwrap();
    assert!(page.starts_with("https://127.0.0.1:"), "{page}");
    let back = issuer.log_in(page, r#"["platform"]"#, true);
    let back = back.replace("http://127.0.0.1:1/", &url);
    let arrival = get(&back, &[("cookie", &departure.cookies())]).await;
    assert_eq!(arrival.status, 303, "{}", arrival.text());
    let me = get(&format!("{url}api/v1/me"), &[("cookie", &arrival.cookies())]).await.json();
    assert_eq!(
        (me["name"].as_str(), me["role"].as_str()),
        (Some("ada@example.org"), Some("admin"))
    );
    server.stop().await;

    for ca in [None, Some(&foreign)] {
        let Running { server, directory: _directory } = with_ca(ca).await;
        let refused = get(&format!("{}api/v1/login/oidc", server.url()), &[]).await;
        assert_eq!(refused.status, 503, "{}", refused.text());
        let detail = "the OpenID provider does not answer as it should";
        assert_eq!(refused.json()["detail"], detail);
        server.stop().await;
    }
}

#[tokio::test]
async fn the_openid_provider_lets_in() {
    let issuer = Issuer::start().await;
    let Running { server, directory: _directory } = start(&provider(&issuer, "")).await;
    let url = server.url();
    let methods = get(&format!("{url}api/v1/login"), &[]).await.json();
    assert_eq!(methods["oidc"], "/api/v1/login/oidc");
    let come_in = async |groups: &str, nonce: bool| {
        let departure = get(&format!("{url}api/v1/login/oidc"), &[]).await;
        assert_eq!(departure.status, 303, "{}", departure.text());
        let cookie = departure.cookies();
        let back = issuer.log_in(departure.headers["location"].to_str().unwrap(), groups, nonce);
        // The provider sends the browser to the public URL, which is this server.
        let back = back.replace("http://127.0.0.1:1/", &url);
        (get(&back, &[("cookie", &cookie)]).await, back, cookie)
    };
    let (arrival, back, departed) = come_in(r#"["everybody","platform"]"#, true).await;
    assert_eq!(arrival.status, 303, "{}", arrival.text());
    assert_eq!(arrival.headers["location"], "/");
    let me = get(&format!("{url}api/v1/me"), &[("cookie", &arrival.cookies())]).await.json();
    assert_eq!(
        (me["name"].as_str(), me["role"].as_str()),
        (Some("ada@example.org"), Some("admin"))
    );

    let twice = get(&back, &[("cookie", &departed)]).await;
    assert_eq!(twice.status, 400, "a code is good once: {}", twice.text());
    let (nobody, ..) = come_in(r#"["guests"]"#, true).await;
    assert_eq!(nobody.status, 403, "{}", nobody.text());
    let (replayed, ..) = come_in(r#""everybody""#, false).await;
    assert_eq!(replayed.status, 401, "a foreign nonce: {}", replayed.text());

    let departure = get(&format!("{url}api/v1/login/oidc"), &[]).await;
    let back =
        issuer.log_in(departure.headers["location"].to_str().unwrap(), r#""everybody""#, true);
    let slipped = get(&back.replace("http://127.0.0.1:1/", &url), &[]).await;
    assert_eq!(slipped.status, 400, "not begun in this browser: {}", slipped.text());
    server.stop().await;
}
