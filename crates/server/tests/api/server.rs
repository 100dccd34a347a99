//! A listening server, and a client that speaks HTTP/1.1 over one connection a request.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{self, Next};
use ringfence_server::App;
use ringfence_server::api::router;
use ringfence_server::principal::{Principal, Role};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::example::Example;

/// A listening server. It ends with the runtime of the test.
pub(crate) struct Server {
    address: std::net::SocketAddr,
    pub(crate) app: Arc<App>,
    _directory: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|fault| panic!("{fault}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// The JSON of an answer that must be fine.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// The problem of an answer that must be one: with a title, a detail and its status.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], status);
        for field in ["type", "title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        problem
    }
}

impl Server {
    /// With the example and its review.
    pub(crate) async fn start() -> Self {
        Self::with(true).await
    }

    pub(crate) async fn with(review: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let app = Example::read().app(&directory, review);
        let (api, _) = router(Arc::clone(&app)).split_for_parts();
        let routes = axum::Router::new().nest("/api/v1", api).layer(middleware::from_fn(known));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, app, _directory: directory }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// A request below `/api/v1`, by an administrator unless a header says otherwise.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut stream = self.open(method, path, headers, body).await;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let status = head[9..12].parse().unwrap();
        Answer { status, head, body: all[end + 4..].to_vec() }
    }

    /// The connection after a request was sent.
    pub(crate) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> TcpStream {
        let mut head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
        stream
    }
}

/// Who asks, as the header `x-role` says; `nobody` comes without a principal.
async fn known(mut request: Request, next: Next) -> axum::response::Response {
    let role = match request.headers().get("x-role").map(|role| role.to_str().unwrap()) {
        Some("nobody") => None,
        Some("viewer") => Some(Role::Viewer),
        Some("editor") => Some(Role::Editor),
        _ => Some(Role::Admin),
    };
    if let Some(role) = role {
        request.extensions_mut().insert(Principal { name: "somebody".into(), role });
    }
    next.run(request).await
}
