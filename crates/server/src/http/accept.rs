//! Connections: accepting them, TLS, and letting them end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::idle::Idle;
use super::progress::Progress;
use crate::auth::Remote;
use crate::config::Limits;
use crate::shutdown::Shutdown;
use crate::tls::{ClientCertificate, Tls};

/// How long a client may take for a handshake, for its first request, and for the headers of each; shorter when no
/// progress is allowed for as long.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// How long requests may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// How many requests a client of HTTP/2 may make at a time on one connection.
const STREAMS: u32 = 128;

/// How many bytes of a response are kept for such a client on their way.
const BUFFER: usize = 64 << 10;

/// Where connections come in.
pub struct Listener {
    socket: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Binds the address.
    pub async fn bind(address: SocketAddr, tls: Option<Arc<Tls>>) -> std::io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, tls })
    }

    /// The address, with the port that the system chose.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Serves connections until the shutdown is requested and, for some seconds more, until their requests have ended.
pub async fn accept(listener: Listener, router: Router, limits: &Limits, shutdown: Shutdown) {
    let Listener { socket, tls } = listener;
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let server = Server { router, tls, limits: limits.clone(), shutdown: shutdown.clone() };
    let server = Arc::new(server);
    loop {
        // Connections that find no place wait in the system's queue, which is bounded too.
        let place = tokio::select! {
            () = shutdown.requested() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = shutdown.requested() => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => {
                let server = Arc::clone(&server);
                connections.spawn(async move {
                    server.connection(stream, remote).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Such as too many open files: others have to end first.
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(socket);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections cut off");
    }
    connections.shutdown().await;
}

struct Server {
    router: Router,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    shutdown: Shutdown,
}

impl Server {
    async fn connection(&self, stream: TcpStream, remote: SocketAddr) {
        // Answers are written whole: waiting for more to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let stream = Idle::new(stream, self.limits.idle);
        let Some(tls) = &self.tls else {
            return self.serve(stream, remote, None).await;
        };
        let handshake = TlsAcceptor::from(tls.config()).accept(stream);
        let patience = HANDSHAKE.min(self.limits.idle);
        match tokio::time::timeout(patience, handshake).await {
            Ok(Ok(stream)) => {
                let (_, session) = stream.get_ref();
                let certificate = session.peer_certificates().and_then(<[_]>::first);
                let client = certificate.and_then(ClientCertificate::read);
                self.serve(stream, remote, client).await;
            }
            Ok(Err(error)) => tracing::debug!(%remote, %error, "handshake failed"),
            Err(_) => tracing::debug!(%remote, "handshake too slow"),
        }
    }

    async fn serve<C: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: C,
        remote: SocketAddr,
        client: Option<ClientCertificate>,
    ) {
        let progress = Arc::new(Progress::default());
        let (asks, answers) = (Arc::clone(&progress), Arc::clone(&progress));
        let service = self.router.clone().map_request(move |request: Request<_>| {
            asks.asked();
            let mut request = request.map(axum::body::Body::new);
            let extensions = request.extensions_mut();
            extensions.insert(Remote(remote.ip()));
            if let Some(client) = &client {
                extensions.insert(client.clone());
            }
            request
        });
        let service = service
            .map_response(move |response: Response| response.map(|body| answers.answer(body)));
        let handshake = HANDSHAKE.min(self.limits.idle);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(handshake)
            .max_buf_size(usize::try_from(self.limits.headers).unwrap_or(usize::MAX));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(self.limits.headers)
            .max_concurrent_streams(STREAMS)
            .max_send_buf_size(BUFFER)
            .keep_alive_interval(Some(self.limits.idle / 2))
            .keep_alive_timeout(self.limits.idle / 2);
        let connection =
            builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut connection = std::pin::pin!(connection);
        let served = async {
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = self.shutdown.requested() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        tokio::select! {
            ended = served => if let Err(error) = ended {
                tracing::debug!(%remote, %error, "connection failed");
            },
            idleness = progress.ends(handshake, self.limits.idle) => {
                tracing::debug!(%remote, ?idleness, "connection cut off");
            }
        }
    }
}
