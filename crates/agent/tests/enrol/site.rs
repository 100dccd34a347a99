//! A server with TLS in a directory of its own, and agents of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use ringfence_agent::batch::encode;
use ringfence_agent::deliver::{DeliverError, Sender, SharedSpool, deliver};
use ringfence_agent::enrol::{EnrolError, Enrolment, Wallet};
use ringfence_agent::observation::{Interval, Observation, Side};
use ringfence_agent::spool::{Bounds, Spool};
use ringfence_agent::watch::{ObserverKind, Report};
use ringfence_bpf::{Losses, Transport};
use ringfence_flows::Volume;
use ringfence_model::{Name, Span};
use ringfence_proto::agent::MachineKind;
use ringfence_server::client::{Client, Method};
use ringfence_server::config::{Config, Flags};
use ringfence_server::enrol::Terms;
use ringfence_server::serve::{self, ServeError, Server};
use ringfence_store::{EdgeQuery, Ledger, SourceKey, SourceKind, StoreError};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Site {
    pub(crate) directory: TempDir,
    /// Who signed the server's certificate, in PEM.
    pub(crate) ca: String,
    terms: Terms,
    address: SocketAddr,
    server: Option<Server>,
}

impl Site {
    pub(crate) async fn new(terms: Terms) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &issuer).unwrap().pem();
        let write =
            |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("ca.crt", &ca);
        write("tls.crt", &own);
        write("tls.key", &key.serialize_pem());
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut site = Self { directory, ca, terms, address, server: None };
        site.start().await;
        site
    }

    pub(crate) async fn start(&mut self) {
        let path = self.directory.path();
        let flags = Flags { listen: Some(self.address), store: Some(path.join("ringfence.db")) };
        let text = "tls: {certificate: tls.crt, key: tls.key}";
        let mut config = Config::parse(text, &path.join("ringfence.yaml"), &flags).unwrap();
        config.agents.terms = self.terms;
        let begun = Instant::now();
        let server = loop {
            match serve::start(config.clone()).await {
                // The threads of the one before end a moment after it.
                Err(ServeError::Store(StoreError::InUse { .. })) if begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                started => break started.unwrap(),
            }
        };
        self.address = server.address();
        self.server = Some(server);
    }

    pub(crate) async fn stop(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let ca = self.directory.path().join("ca.crt");
        let client = Client::new(&format!("https://{}", self.address), Some(&ca), None).unwrap();
        client.ask(method, path, body.as_ref()).await.unwrap()
    }

    pub(crate) async fn token(&self, order: Value) -> String {
        let made = self.ask(Method::POST, "/agents/tokens", Some(order)).await;
        made["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn remove(&self, agent: &str) {
        self.ask(Method::DELETE, &format!("/agents/{agent}"), None).await;
    }

    /// `cluster/node` of those that are enrolled.
    pub(crate) async fn enrolled(&self) -> Vec<String> {
        let agents = self.ask(Method::GET, "/agents", None).await;
        let name = |agent: &Value| {
            format!("{}/{}", agent["cluster"].as_str().unwrap(), agent["node"].as_str().unwrap())
        };
        agents["items"].as_array().unwrap().iter().map(name).collect()
    }

    /// How often something stands in the audit trail.
    pub(crate) async fn audited(&self, action: &str) -> usize {
        let trail = self.ask(Method::GET, "/audit?limit=1000", None).await;
        trail["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == action).count()
    }

    /// An agent that has never run, with a token.
    pub(crate) fn agent(&self, name: &str, token: &str) -> Enrolment {
        let (cluster, node) = name.split_once('/').unwrap();
        let token_file = self.directory.path().join(format!("{cluster}-{node}.token"));
        std::fs::write(&token_file, format!("{token}\n")).unwrap();
        Enrolment {
            server: ringfence_agent::enrol::Server {
                url: format!("https://{}", self.address),
                ca: self.ca.clone(),
            },
            cluster: cluster.to_owned(),
            node: node.to_owned(),
            wallet: Wallet::new(&self.wallet(name)),
            token: Some(token_file),
        }
    }

    pub(crate) fn wallet(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn ledger(&self, node: &str) -> Ledger {
        let kind = SourceKind::Agent;
        let key = SourceKey { cluster: Name::new("prod").unwrap(), kind, name: node.into() };
        let state = self.server().app().store.source(&key).unwrap();
        state.map(|state| state.ledger).unwrap_or_default()
    }

    /// All connections that are stored.
    pub(crate) fn connections(&self) -> u64 {
        let cluster = Name::new("prod").unwrap();
        let query = EdgeQuery { cluster, window: Span::ALL, namespace: None };
        let edges = self.server().app().store.edges(&query).unwrap();
        edges.iter().map(|edge| edge.counts.evidence().forwarded).sum()
    }
}

/// An agent that runs.
pub(crate) struct Running {
    spool: SharedSpool,
    heard: Arc<Mutex<Vec<String>>>,
    refused: Arc<Notify>,
    reports: u64,
    tasks: Vec<JoinHandle<()>>,
    _directory: TempDir,
}

impl Running {
    /// Keeps its certificate, and delivers.
    pub(crate) fn new(agent: Enrolment) -> Self {
        let (sender, endpoints) = watch::channel(None);
        let mut running = Self::delivering(endpoints, &agent.cluster, &agent.node);
        let heard = Arc::clone(&running.heard);
        let tell = move |error: &EnrolError| heard.lock().unwrap().push(error.to_string());
        let kept = agent.keep(sender, Arc::clone(&running.refused), tell);
        running.tasks.push(tokio::spawn(kept));
        running
    }

    /// Only delivers.
    pub(crate) fn delivering(
        endpoints: watch::Receiver<Option<Endpoint>>,
        cluster: &str,
        node: &str,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bounds = Bounds { bytes: 1 << 24, age: Duration::from_hours(1) };
        let spool = SharedSpool::new(Spool::open(directory.path(), bounds).unwrap().0);
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let sender = Sender {
            cluster: cluster.to_owned(),
            node: node.to_owned(),
            machine: MachineKind::Node,
        };
        let refused = Arc::new(Notify::new());
        let (faults, notified) = (Arc::clone(&heard), Arc::clone(&refused));
        let tell = move |error: &DeliverError| {
            faults.lock().unwrap().push(error.to_string());
            if error.is_refusal() {
                notified.notify_one();
            }
        };
        let delivery = tokio::spawn(deliver(endpoints, sender, spool.clone(), tell));
        Self { spool, heard, refused, reports: 0, tasks: vec![delivery], _directory: directory }
    }

    /// One connection was seen.
    pub(crate) fn report(&mut self) {
        self.reports += 1;
        let now = Timestamp::now();
        let volume = Volume { bytes: 10, packets: 1 };
        let observation = Observation {
            side: Side::Client,
            transport: Transport::Tcp,
            local: [10, 0, 0, 1].into(),
            owner: None,
            remote: [10, 0, 0, 2].into(),
            port: 80,
            dialled: None,
            opened: 1,
            refused: 0,
            sent: volume,
            received: volume,
        };
        let report = Report {
            interval: Interval { start: now, end: now },
            number: (1, self.reports),
            observations: vec![observation],
            losses: Losses::default(),
            unattributed: 0,
            events_lost: 0,
            observer: ObserverKind::Programs,
            blind: Vec::new(),
            host: None,
        };
        self.spool.lock().keep(report.number, &encode(&report, "node-1"), Instant::now()).unwrap();
    }

    pub(crate) fn reports(&self) -> u64 {
        self.reports
    }

    pub(crate) fn waiting(&self) -> usize {
        self.spool.lock().waiting()
    }

    /// Waits until the server has everything.
    pub(crate) async fn delivered(&self) {
        until(|| self.waiting() == 0, || format!("{:?}", self.heard.lock().unwrap())).await;
    }

    /// Waits until something was said.
    pub(crate) async fn says(&self, text: &str) {
        let said = || self.heard.lock().unwrap().iter().any(|heard| heard.contains(text));
        until(said, || format!("{text} in {:?}", self.heard.lock().unwrap())).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn until(done: impl Fn() -> bool, told: impl Fn() -> String) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {}", told());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A token for any node of `prod`.
pub(crate) fn any() -> Value {
    json!({"cluster": "prod"})
}
