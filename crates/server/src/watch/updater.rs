//! One live cluster: from notices of its API server to views.

use std::sync::Arc;
use std::time::Duration;

use ringfence_inventory::Inventory;
use ringfence_kube::live::{self, Access, Backoff, Notice, Pace, RESOURCES, Resource};
use ringfence_model::Diagnostic;
use ringfence_store::ObjectChange;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until};

use super::condition::Conditions;
use super::configuration::{Configuration, configuration};
use super::history::History;
use super::present;
use super::stock::Stock;
use crate::App;
use crate::cluster::{Cluster, View};
use crate::event::Event;
use crate::shutdown::Shutdown;

/// How many notices may wait. More wait in the connection.
const NOTICES: usize = 1024;
/// How long changes are gathered at most before they are published.
const GATHER: Duration = Duration::from_millis(500);
/// And at least.
const GATHER_LEAST: Duration = Duration::from_millis(50);
/// How long a first listing may take before what there is of it is published.
const FIRST_LISTING: Duration = Duration::from_mins(2);
/// How often to look for what is long gone.
const EXPIRY: Duration = Duration::from_mins(1);

type Message = (&'static Resource, Notice);

pub(super) struct Updater {
    app: Arc<App>,
    cluster: Arc<Cluster>,
    stock: Stock,
    conditions: Conditions,
    history: Arc<History>,
    configuration: Configuration,
    /// What was published last, and what was odd about it.
    inventory: Arc<Inventory>,
    findings: Vec<Diagnostic>,
    /// Why there was nothing to begin with.
    unread: Option<Diagnostic>,
    /// Objects or the configuration changed since.
    stale: bool,
    /// How fresh they are changed since.
    untold: bool,
    /// When to publish what changed.
    due: Option<Instant>,
    started: Instant,
    /// How long the last publication took.
    cost: Duration,
}

impl Updater {
    /// Begins with what the store holds, so that there is something to see at once. Blocks.
    pub(super) fn new(app: Arc<App>, cluster: Arc<Cluster>) -> Self {
        let mut stock = Stock::new(cluster.name());
        let mut unread = None;
        let now = app.clock.now();
        let window = present(now);
        match app.store.objects(cluster.name(), window) {
            Ok(versions) => stock.restore(versions, window.until),
            Err(error) => {
                let message = format!("the history of the cluster cannot be read: {error}");
                unread = Some(Diagnostic::error("history-unread", message));
            }
        }
        let conditions = Conditions::new(!stock.is_empty(), now);
        let configuration = configuration(&*app.store, cluster.name());
        let inventory = Arc::clone(&cluster.view().inventory);
        let mut updater = Self {
            app,
            cluster,
            stock,
            conditions,
            history: Arc::default(),
            configuration,
            inventory,
            findings: Vec::new(),
            unread,
            stale: false,
            untold: false,
            due: None,
            started: Instant::now(),
            cost: Duration::ZERO,
        };
        updater.build();
        updater.publish();
        updater
    }

    /// Watches the cluster until the shutdown, and stores what changed. Blocks between notices, so it wants a thread
    /// of its own.
    pub(super) async fn run(mut self, access: Access, pace: Pace, shutdown: Shutdown) {
        let mut events = self.app.events.watch();
        let mut expiry = interval(EXPIRY);
        let (sender, mut notices) = mpsc::channel(NOTICES);
        let (faults, mut fault) = mpsc::channel(1);
        let mut watches = JoinSet::new();
        watches.spawn(connect(access, pace, sender, faults));
        let history = Arc::clone(&self.history);
        let (store, name) = (Arc::clone(&self.app.store), self.cluster.name().clone());
        let writer = tokio::task::spawn_blocking({
            let history = Arc::clone(&history);
            move || history.write(&name, |changes| store.record_objects(&name, changes))
        });
        loop {
            let due = self.due;
            // Notices come last, because there may always be one.
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                () = async { sleep_until(due.unwrap_or_else(Instant::now)).await },
                    if due.is_some() => self.refresh(),
                Some(fault) = fault.recv() => {
                    if self.conditions.fail(&fault, self.app.clock.now()) {
                        self.tell();
                    }
                }
                event = events.recv() => self.hear(&event),
                () = history.changed.notified() => self.tell(),
                _ = expiry.tick() => {
                    if self.stock.expire(std::time::Instant::now()) || self.stale {
                        self.change();
                    }
                }
                notice = notices.recv() => match notice {
                    Some(message) => self.take(message),
                    None => break,
                },
            }
        }
        watches.abort_all();
        // With it the history is closed.
        drop(self);
        // A panic of the writer has been told by now.
        let _ = writer.await;
    }

    fn take(&mut self, (resource, notice): Message) {
        let at = self.app.clock.now();
        let kind = resource.kind();
        match notice {
            Notice::State(state) => {
                if self.conditions.note(kind, state, at) {
                    self.tell();
                }
            }
            Notice::Listing => self.stock.listing(kind),
            Notice::Listed => {
                let gone = self.stock.listed(kind, at);
                self.note(gone);
            }
            Notice::There(record) => {
                let changes = self.stock.there(record, at);
                self.note(changes);
            }
            Notice::Gone(record) => {
                let gone = self.stock.gone(record, at);
                self.note(gone.into_iter().collect());
            }
            Notice::Unreadable(diagnostic) => {
                self.stock.unreadable(kind, diagnostic);
                self.change();
            }
        }
    }

    fn note(&mut self, changes: Vec<ObjectChange>) {
        if !changes.is_empty() {
            self.history.note(changes);
            self.change();
        }
    }

    /// Something changed elsewhere in the server, or events were missed.
    fn hear(&mut self, event: &Result<Event, broadcast::error::RecvError>) {
        let own = self.cluster.name();
        let (configured, described) = match event {
            Ok(Event::Review { cluster, namespace: None }) => (cluster == own, false),
            Ok(Event::Hosts { cluster }) => (false, cluster == own),
            Ok(_) => (false, false),
            Err(_) => (true, true),
        };
        if configured {
            self.configuration = configuration(&*self.app.store, own);
            self.change();
        }
        if described {
            // They are stored already.
            let at = self.app.clock.now();
            for host in self.cluster.hosts() {
                self.stock.there(host, at);
            }
            self.change();
        }
    }

    /// Objects or the configuration changed.
    fn change(&mut self) {
        self.stale = true;
        self.gather();
    }

    /// How fresh the objects are changed.
    fn tell(&mut self) {
        self.untold = true;
        self.gather();
    }

    /// Publishes soon, together with what else changes until then. The more a publication costs, the longer.
    fn gather(&mut self) {
        let delay = (self.cost * 2).clamp(GATHER_LEAST, GATHER);
        self.due.get_or_insert_with(|| Instant::now() + delay);
    }

    fn refresh(&mut self) {
        self.due = None;
        let complete = self.conditions.are_settled() || self.started.elapsed() > FIRST_LISTING;
        if self.stale && complete {
            self.stale = false;
            let begun = Instant::now();
            self.build();
            self.cost = begun.elapsed();
        } else if !self.untold {
            // Half a listing is not worth telling of.
            return;
        }
        self.untold = false;
        self.publish();
    }

    fn build(&mut self) {
        let (objects, mut findings) = self.stock.objects();
        let (inventory, odd) = Inventory::build(objects, &self.configuration.cidrs);
        findings.extend(odd);
        self.inventory = Arc::new(inventory);
        self.findings = findings;
    }

    fn publish(&self) {
        let found = self.unread.iter().chain(&self.configuration.findings).chain(&self.findings);
        self.cluster.publish(View {
            inventory: Arc::clone(&self.inventory),
            diagnostics: self.history.diagnostics().into_iter().chain(found.cloned()).collect(),
            sync: self.conditions.sync(),
        });
    }
}

/// However it ends, the writer is not left waiting.
impl Drop for Updater {
    fn drop(&mut self) {
        self.history.close();
    }
}

/// Finds the API server, however long that takes, and watches every kind.
async fn connect(
    access: Access,
    pace: Pace,
    listener: mpsc::Sender<Message>,
    faults: mpsc::Sender<String>,
) {
    let mut backoff = Backoff::new(pace.first, pace.longest);
    let client = loop {
        match access.client().await {
            Ok(client) => break client,
            Err(error) => {
                if faults.send(error.to_string()).await.is_err() {
                    return;
                }
                sleep(backoff.delay()).await;
            }
        }
    };
    let watches = RESOURCES
        .iter()
        .map(|resource| live::watch(client.clone(), resource, pace, listener.clone()));
    let mut watches: JoinSet<()> = watches.collect();
    while watches.join_next().await.is_some() {}
}
