//! Whether the client of a connection does its part.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

/// Of a body, so much at a time is given away: what is given away is in the connection's buffers, of which nobody
/// hears any more.
const PIECE: usize = 16 << 10;

/// What a connection waits for its client for: a request, and room for its answers. A client of HTTP/2 that never
/// opens its window answers pings as a good one does, so that it shows only here.
#[derive(Debug, Default)]
pub(super) struct Progress {
    asked: AtomicBool,
    next: AtomicU64,
    /// Since when the answers that could go on wait for room.
    waiting: Mutex<HashMap<u64, Instant>>,
}

/// What a client does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idleness {
    /// It asks for nothing.
    Silent,
    /// It reads nothing.
    Deaf,
}

impl Progress {
    /// A request came.
    pub(super) fn asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Watches over an answer.
    pub(super) fn answer(self: &Arc<Self>, body: Body) -> Body {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let answer =
            Answer { progress: Arc::clone(self), number, body, rest: Bytes::new(), begun: false };
        answer.waits();
        Body::new(answer)
    }

    /// Waits until the first request does not come, or until an answer makes no progress for too long.
    pub(super) async fn ends(&self, first: Duration, patience: Duration) -> Idleness {
        let begun = Instant::now();
        let look = (patience.min(first) / 4).max(Duration::from_millis(10));
        loop {
            tokio::time::sleep(look).await;
            if !self.asked.load(Ordering::Relaxed) && begun.elapsed() >= first {
                return Idleness::Silent;
            }
            if self.waiting().values().any(|since| since.elapsed() >= patience) {
                return Idleness::Deaf;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of an answer.
struct Answer {
    progress: Arc<Progress>,
    number: u64,
    body: Body,
    /// What the body gave and was not given away yet.
    rest: Bytes,
    /// Whether something was given away.
    begun: bool,
}

impl Answer {
    /// From now on it is the client's turn.
    fn waits(&self) {
        self.progress.waiting().insert(self.number, Instant::now());
    }

    /// From now on it is the handler's turn, or nobody's.
    fn rests(&self) {
        self.progress.waiting().remove(&self.number);
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => {
                    self.rests();
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => {
                        self.waits();
                        return Poll::Ready(Some(Ok(frame)));
                    }
                },
                Poll::Ready(end) => {
                    self.rests();
                    return Poll::Ready(end.map(|frame| frame.map_err(Into::into)));
                }
            }
        }
        self.waits();
        self.begun = true;
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// The end is told apart from the last piece, so that it is only reached when that was sent.
    fn is_end_stream(&self) -> bool {
        !self.begun && self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, inner) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.rests();
    }
}
