//! One kind: list it, watch it, and never give up.

use std::time::{Duration, Instant};

use futures::{AsyncBufRead, AsyncBufReadExt as _};
use kube::api::{ListParams, WatchParams};
use kube::core::{Request, Status};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::wire::{Change, Event, Page, Versioned, reduce};
use super::{Backoff, Client, Notice, Resource, State};

/// How often a watch asks, and how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The most objects of a page.
    pub page: u32,
    /// How long a watch lasts before it is asked for anew. A connection that is silent for half as long again is
    /// lost, whatever the network says.
    pub watch: Duration,
    /// The first delay after a failure.
    pub first: Duration,
    /// The longest delay after failures.
    pub longest: Duration,
    /// The delay where the kind is forbidden or absent.
    pub calm: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            page: 500,
            watch: Duration::from_mins(2),
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            calm: Duration::from_mins(1),
        }
    }
}

/// An object has at most 1.5 MiB in the store of the cluster; written out it may be some times that.
const LONGEST_LINE: usize = 32 << 20;

/// Lists all objects of a kind, then watches them, for as long as somebody listens.
///
/// What is known stays valid through any failure: the watch resumes where it stopped, and where the API server no
/// longer knows that place, a new listing says what is gone. Notices wait for the listener, and the API server
/// for them.
pub async fn watch(
    client: Client,
    resource: &'static Resource,
    pace: Pace,
    listener: mpsc::Sender<(&'static Resource, Notice)>,
) {
    let backoff = Backoff::new(pace.first, pace.longest);
    let mut watch = Watch { client, resource, pace, listener, backoff, from: None };
    // Ends when nobody listens any longer.
    while let Ok(()) = watch.round().await {}
}

struct Watch {
    client: Client,
    resource: &'static Resource,
    pace: Pace,
    listener: mpsc::Sender<(&'static Resource, Notice)>,
    backoff: Backoff,
    /// The resource version up to which everything is known; `None` before a listing is complete.
    from: Option<String>,
}

/// Nobody listens any longer.
struct Unheard;

/// Why a request did not do.
enum Failure {
    /// The API server does not know the resource version any longer, or not yet.
    Outdated,
    Forbidden,
    Absent,
    Other(String),
    Unheard,
}

impl From<Unheard> for Failure {
    fn from(Unheard: Unheard) -> Self {
        Self::Unheard
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => (&*status).into(),
            other => Self::Other(chain(&other)),
        }
    }
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        // After its database was restored from a backup, an API server has not come as far as what was seen of it.
        let ahead = status.message.contains("Too large resource version");
        match status.code {
            410 => Self::Outdated,
            400 | 504 if ahead => Self::Outdated,
            403 => Self::Forbidden,
            404 => Self::Absent,
            code => Self::Other(format!("{code} {}: {}", status.reason, status.message)),
        }
    }
}

/// An error with what it comes from: the outermost text alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

impl Watch {
    async fn tell(&self, notice: Notice) -> Result<(), Unheard> {
        self.listener.send((self.resource, notice)).await.map_err(|_| Unheard)
    }

    /// Lists if need be, watches until that ends, and waits after failures.
    async fn round(&mut self) -> Result<(), Unheard> {
        let result = match self.from.take() {
            None => self.list().await,
            Some(from) => self.follow(from).await,
        };
        let delay = match result {
            Ok(()) => return Ok(()),
            Err(Failure::Unheard) => return Err(Unheard),
            Err(Failure::Outdated) => {
                self.from = None;
                self.backoff.delay()
            }
            Err(Failure::Forbidden) => {
                self.tell(Notice::State(State::Forbidden)).await?;
                self.backoff.jitter(self.pace.calm)
            }
            Err(Failure::Absent) => {
                // With the kind its objects are gone.
                self.from = None;
                self.tell(Notice::Listing).await?;
                self.tell(Notice::Listed).await?;
                self.tell(Notice::State(State::Absent)).await?;
                self.backoff.jitter(self.pace.calm)
            }
            Err(Failure::Other(fault)) => {
                self.tell(Notice::State(State::Failing(fault))).await?;
                self.backoff.delay()
            }
        };
        tokio::select! {
            () = sleep(delay) => Ok(()),
            () = self.listener.closed() => Err(Unheard),
        }
    }

    /// Lists all objects, page by page.
    async fn list(&mut self) -> Result<(), Failure> {
        self.tell(Notice::Listing).await?;
        let mut params = ListParams::default().limit(self.pace.page);
        loop {
            let request = Request::new(self.resource.path()).list(&params);
            let request = request.map_err(|e| Failure::Other(chain(&e)))?;
            let answer = timeout(self.silence(), self.client.request_text(request)).await;
            let text = answer.map_err(|_| Failure::Other("no answer".into()))??;
            let page: Page<'_> = serde_json::from_str(&text)
                .map_err(|e| Failure::Other(format!("the list is not readable: {e}")))?;
            for item in page.items.iter().flatten() {
                self.tell(match reduce(self.resource, item) {
                    Ok(record) => Notice::There(record),
                    Err(diagnostic) => Notice::Unreadable(diagnostic),
                })
                .await?;
            }
            if page.metadata.next.is_empty() {
                self.from = Some(page.metadata.resource_version);
                break;
            }
            params.continue_token = Some(page.metadata.next);
        }
        self.tell(Notice::Listed).await?;
        self.tell(Notice::State(State::Synced)).await?;
        Ok(())
    }

    /// Follows the changes since a resource version, until the API server ends the watch.
    async fn follow(&mut self, from: String) -> Result<(), Failure> {
        self.from = Some(from.clone());
        let seconds = u32::try_from(self.pace.watch.as_secs()).unwrap_or(u32::MAX).max(1);
        let params = WatchParams::default().timeout(seconds);
        let request = Request::new(self.resource.path()).watch(&params, &from);
        let request = request.map_err(|e| Failure::Other(chain(&e)))?;
        let answer = timeout(self.silence(), self.client.request_stream(request)).await;
        let stream = answer.map_err(|_| Failure::Other("no answer".into()))??;
        self.tell(Notice::State(State::Synced)).await?;
        let begun = Instant::now();
        let mut lines = Lines { stream: Box::pin(stream), line: Vec::new() };
        let result = loop {
            let line = match timeout(self.silence(), lines.next()).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) => break Ok(()),
                Ok(Err(error)) => break Err(Failure::Other(chain(&error))),
                Err(_) => break Err(Failure::Other("the connection is silent".into())),
            };
            self.event(line).await?;
            self.backoff.reset();
        };
        if result.is_ok() {
            if begun.elapsed() >= self.pace.first {
                self.backoff.reset();
            } else {
                // Watches that end at once must not become a storm of requests.
                sleep(self.backoff.delay()).await;
            }
        }
        result
    }

    async fn event(&mut self, line: &[u8]) -> Result<(), Failure> {
        let unreadable = |e: serde_json::Error| Failure::Other(format!("an unreadable event: {e}"));
        let Event { change, object } = serde_json::from_slice(line).map_err(unreadable)?;
        if change == Change::Error {
            let status: Status = serde_json::from_str(object.get()).map_err(unreadable)?;
            // What the API server could not tell is not known: only a listing helps.
            self.from = None;
            return Err((&status).into());
        }
        if change != Change::Bookmark {
            let notice = match (reduce(self.resource, object), change) {
                (Ok(record), Change::Deleted) => Notice::Gone(record),
                (Ok(record), _) => Notice::There(record),
                (Err(diagnostic), _) => Notice::Unreadable(diagnostic),
            };
            self.tell(notice).await?;
        }
        let Versioned { metadata } = serde_json::from_str(object.get()).map_err(unreadable)?;
        self.from = Some(metadata.resource_version);
        Ok(())
    }

    /// How long an API server that is there is silent at most.
    fn silence(&self) -> Duration {
        self.pace.watch + self.pace.watch / 2
    }
}

/// The lines of a watch.
struct Lines<S> {
    stream: S,
    line: Vec<u8>,
}

impl<S: AsyncBufRead + Unpin> Lines<S> {
    /// The next line; `None` at the end. A line without an end was cut off with the connection.
    async fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        self.line.clear();
        loop {
            let chunk = self.stream.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let newline = memchr::memchr(b'\n', chunk);
            let taken = newline.map_or(chunk.len(), |at| at + 1);
            self.line.extend_from_slice(&chunk[..taken]);
            self.stream.consume_unpin(taken);
            if self.line.len() > LONGEST_LINE {
                return Err(std::io::Error::other("an event is longer than 32 MiB"));
            }
            if newline.is_some() && !self.line.trim_ascii().is_empty() {
                return Ok(Some(&self.line));
            }
        }
    }
}
