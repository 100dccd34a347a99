//! The lab at work: everybody plays their part, and an agent for each node watches its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ringfence_model::object::Objects;
use ringfence_model::{Name, PodRef};

use crate::network::has_network;
use crate::play::{Actor, Play, is_brief};
use crate::premises::Premises;
use crate::relay::relay;
use crate::talk::{Part, Rounds};
use crate::{Lab, LabError, enforcement};

/// From one run of a pod that lives for moments to the next.
const BETWEEN_RUNS: Duration = Duration::from_secs(20);
/// How long such a pod lives, or less.
const ONE_ROUND: Duration = Duration::from_secs(3);
/// How long an agent may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// What an agent says when it has begun.
const BEGUN: &str = "observing as";
/// Ends that an agent of the lab keeps apart in an interval, at most.
const CAPACITY: &str = "4096";

/// The commands that run in the lab.
#[derive(Clone, Debug)]
pub struct Commands {
    /// This crate's own, which plays the parts.
    pub lab: PathBuf,
    /// The agent's.
    pub agent: PathBuf,
}

/// How often something happens.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// In how long everybody calls everybody whom they call.
    pub round: Duration,
    /// From one report of an agent to the next.
    pub interval: Duration,
}

/// What becomes of what the agents see.
#[derive(Clone)]
pub enum Audience {
    /// Nobody watches.
    Nobody,
    /// It is delivered to a server on this machine's loopback, as that cluster.
    Server {
        /// Where it listens.
        at: SocketAddr,
        /// The cluster's name there.
        cluster: String,
    },
    /// It is written down, a record a line.
    Log(Arc<Mutex<Vec<String>>>),
}

/// A cluster of which everybody plays their part. It ends with this.
pub struct Show {
    parts: BTreeMap<Actor, Part>,
    /// The pods that live for moments, with their nodes.
    brief: BTreeMap<PodRef, Option<Name>>,
    processes: Vec<Process>,
    runs: Option<Runs>,
    notes: Vec<JoinHandle<()>>,
    commands: Commands,
    pace: Pace,
    premises: Premises,
    lab: Lab,
}

struct Process {
    what: String,
    child: Child,
    log: PathBuf,
}

/// The runs of pods that live for moments: one of them lives, or will at that time.
enum Runs {
    Next(Instant),
    Now(PodRef, Child),
}

impl Show {
    /// Builds the lab and starts everybody.
    pub fn begin(
        premises: Premises,
        objects: &Objects,
        play: &Play,
        commands: Commands,
        pace: Pace,
        audience: &Audience,
    ) -> Result<Self, LabError> {
        let outside: Vec<IpAddr> = play.outside().into_iter().collect();
        let mut lab = Lab::up(premises.name(), objects, &outside)?;
        // From here on the guard of the premises has it.
        lab.leave();
        lab.load(&enforcement::render(objects))?;
        let brief: BTreeMap<PodRef, Option<Name>> = objects
            .pods
            .iter()
            .filter(|pod| has_network(pod) && is_brief(objects, pod))
            .map(|pod| (pod.reference.clone(), pod.node.clone()))
            .collect();
        for pod in brief.keys() {
            lab.remove(pod)?;
        }
        let runs = (!brief.is_empty()).then(|| Runs::Next(Instant::now()));
        let parts = play.parts(objects);
        let (processes, notes) = (Vec::new(), Vec::new());
        let mut show = Self { parts, brief, processes, runs, notes, commands, pace, premises, lab };
        for pod in &objects.pods {
            // By these an agent knows the pods of its node.
            let log = show.pod_logs(pod.node.as_ref()).join(format!(
                "{}_{}_{}",
                pod.reference.namespace,
                pod.reference.name,
                uid(&pod.reference)
            ));
            fs::create_dir_all(&log).map_err(LabError::at(&log))?;
        }
        for node in objects.nodes.iter().map(|node| &node.name) {
            show.observe(node, audience)?;
        }
        show.observed()?;
        for (actor, part) in show.parts.clone() {
            if matches!(&actor, Actor::Pod(pod) if show.brief.contains_key(pod)) {
                continue;
            }
            let home = objects.pods.iter().find(|pod| actor == Actor::Pod(pod.reference.clone()));
            let node = home.and_then(|pod| pod.node.as_ref());
            let process = show.play(&actor, &part, node, Rounds::Endless)?;
            show.processes.push(process);
        }
        // Who is called has to be there.
        show.alive()?;
        for process in &mut show.processes {
            process.begin()?;
        }
        Ok(show)
    }

    /// The network.
    pub const fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Looks after everybody: the next run of a pod that lives for moments begins, and nobody has ended who should not.
    /// To be called every moment.
    pub fn attend(&mut self) -> Result<(), LabError> {
        self.alive()?;
        self.runs = match self.runs.take() {
            Some(Runs::Next(at)) if at <= Instant::now() => self.run()?,
            Some(Runs::Now(pod, mut child)) => {
                if child.try_wait().map_err(LabError::at(&self.commands.lab))?.is_none() {
                    Some(Runs::Now(pod, child))
                } else {
                    self.lab.remove(&pod)?;
                    Some(Runs::Next(Instant::now() + BETWEEN_RUNS))
                }
            }
            other => other,
        };
        Ok(())
    }

    /// Ends the runs of pods that live for moments, and gives the pods, which have no namespace then.
    pub fn paused(&mut self) -> Result<Vec<PodRef>, LabError> {
        if let Some(Runs::Now(pod, mut child)) = self.runs.take() {
            let ended = child.kill().and_then(|()| child.wait());
            ended.map_err(LabError::at(&self.commands.lab))?;
            self.lab.remove(&pod)?;
        }
        Ok(self.brief.keys().cloned().collect())
    }

    /// A pod lives for a moment.
    fn run(&self) -> Result<Option<Runs>, LabError> {
        let Some((pod, node)) = self.brief.first_key_value() else { return Ok(None) };
        let actor = Actor::Pod(pod.clone());
        let Some(part) = self.parts.get(&actor) else { return Ok(None) };
        self.lab.restore(pod)?;
        let mut process = self.play(&actor, part, node.as_ref(), Rounds::One)?;
        process.begin()?;
        Ok(Some(Runs::Now(pod.clone(), process.child)))
    }

    /// Starts somebody's process, where it belongs.
    fn play(
        &self,
        actor: &Actor,
        part: &Part,
        node: Option<&Name>,
        rounds: Rounds,
    ) -> Result<Process, LabError> {
        let what = match actor {
            Actor::Pod(pod) => format!("pod {pod}"),
            Actor::Node(node) => format!("node {node}"),
            Actor::World => "the world".to_owned(),
        };
        let cgroup = match actor {
            Actor::Pod(pod) => {
                let node = node.map_or("unknown", Name::as_str);
                self.premises.cgroup(&format!("{node}/kubepods/pod{}", uid(pod)))?
            }
            Actor::Node(node) => self.premises.cgroup(&format!("{node}/kubelet"))?,
            Actor::World => self.premises.cgroup("world")?,
        };
        let log = self.premises.state().join("talk.log");
        let file = File::options().create(true).append(true).open(&log);
        let mut command = Command::new(&self.commands.lab);
        let round = match rounds {
            Rounds::One => self.pace.round.min(ONE_ROUND),
            Rounds::Endless => self.pace.round,
        };
        command.args(["pod", "--every-ms", &round.as_millis().to_string()]);
        if rounds == Rounds::One {
            command.arg("--once");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(file.map_err(LabError::at(&log))?);
        let start = || start(&mut command, &cgroup);
        let mut child = match actor {
            Actor::Pod(pod) => self.lab.in_pod(pod, start)?,
            Actor::Node(node) => self.lab.in_node(node, start)?,
            Actor::World => self.lab.in_world(start)?,
        };
        // At the end of its input, when this process is gone, it goes too.
        if let Some(input) = &mut child.stdin {
            let told = serde_json::to_string(part)
                .map_err(io::Error::from)
                .and_then(|text| writeln!(input, "{text}"));
            told.map_err(LabError::at(&log))?;
        }
        if let Some(output) = &mut child.stdout {
            // Whoever cannot is found to have ended.
            let _ = output.read(&mut [0]);
        }
        Ok(Process { what, child, log })
    }

    /// Starts the agent of a node, where it sees only what belongs to the node.
    fn observe(&mut self, node: &Name, audience: &Audience) -> Result<(), LabError> {
        let own = self.premises.state().join(node.as_str());
        let log = own.join("agent.log");
        fs::create_dir_all(&own).map_err(LabError::at(&own))?;
        let mut command = Command::new(&self.commands.agent);
        match audience {
            Audience::Nobody => return Ok(()),
            Audience::Server { at, cluster } => {
                // Loopback is another in each namespace.
                let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
                let listener = self.lab.in_node(node, bind)?;
                let port = listener.local_addr().map_err(LabError::at(&log))?.port();
                relay(listener, *at).map_err(LabError::at(&log))?;
                command.args(["run", "--server", &format!("http://127.0.0.1:{port}")]);
                command.args(["--cluster", cluster]).arg("--spool").arg(own.join("spool"));
                command.stdout(Stdio::null());
            }
            Audience::Log(_) => {
                command.arg("watch").stdout(Stdio::piped());
            }
        }
        let seconds = self.pace.interval.as_secs().max(1).to_string();
        command.args(["--shared-kernel", "--node", node.as_str(), "--capacity", CAPACITY]);
        command.args(["--interval", &seconds]).arg("--pod-logs").arg(self.pod_logs(Some(node)));
        command.arg("--cgroup").arg(self.premises.cgroup(node.as_str())?);
        let file = File::create(&log).map_err(LabError::at(&log))?;
        command.stdin(Stdio::null()).stderr(file);
        let cgroup = self.premises.cgroup("agents")?;
        let mut child = self.lab.in_node(node, || start(&mut command, &cgroup))?;
        if let (Some(output), Audience::Log(to)) = (child.stdout.take(), audience) {
            let to = Arc::clone(to);
            let writing = thread::Builder::new().spawn(move || take_down(output, &to));
            self.notes.push(writing.map_err(LabError::at(&log))?);
        }
        self.processes.push(Process { what: format!("the agent of {node}"), child, log });
        Ok(())
    }

    /// Waits until all agents have begun.
    fn observed(&mut self) -> Result<(), LabError> {
        let begun = Instant::now();
        loop {
            self.alive()?;
            let waits = |process: &Process| {
                let said = fs::read_to_string(&process.log).unwrap_or_default();
                !said.contains(BEGUN)
            };
            match self.processes.iter().find(|process| waits(process)) {
                None => return Ok(()),
                Some(Process { what, .. }) if begun.elapsed() > PATIENCE => {
                    let said = format!("it did not begin within {} s", PATIENCE.as_secs());
                    return Err(LabError::Ended { what: what.clone(), said });
                }
                Some(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Nobody has ended who should not.
    fn alive(&mut self) -> Result<(), LabError> {
        for Process { what, child, log } in &mut self.processes {
            if let Some(status) = child.try_wait().map_err(LabError::at(log))? {
                let said = fs::read_to_string(&*log).unwrap_or_default();
                let last = said.lines().last().map(str::to_owned);
                return Err(LabError::Ended {
                    what: what.clone(),
                    said: last.unwrap_or_else(|| status.to_string()),
                });
            }
        }
        Ok(())
    }

    /// The kubelet's directory of logs.
    fn pod_logs(&self, node: Option<&Name>) -> PathBuf {
        self.premises.state().join(node.map_or("unknown", Name::as_str)).join("pods")
    }
}

impl Process {
    /// Lets one who plays begin to call.
    fn begin(&mut self) -> Result<(), LabError> {
        let told = self.child.stdin.as_mut().map_or(Ok(()), |input| writeln!(input));
        told.map_err(LabError::at(&self.log))
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        let runs = self.runs.iter_mut().filter_map(|runs| match runs {
            Runs::Now(_, child) => Some(child),
            Runs::Next(_) => None,
        });
        for child in self.processes.iter_mut().map(|process| &mut process.child).chain(runs) {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        for note in self.notes.drain(..) {
            let _ = note.join();
        }
    }
}

/// Keeps the lines of an agent; the last may be cut off where the agent was ended.
fn take_down(output: ChildStdout, to: &Mutex<Vec<String>>) {
    let mut output = BufReader::new(output);
    let mut line = String::new();
    while output.read_line(&mut line).is_ok_and(|length| length > 0) && line.ends_with('\n') {
        to.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut line));
    }
}

/// Starts a process in the namespace of this thread, and in a cgroup.
fn start(command: &mut Command, cgroup: &Path) -> io::Result<Child> {
    // An interrupt from the keyboard is for the lab, which ends everybody.
    let child = command.process_group(0).spawn()?;
    fs::write(cgroup.join("cgroup.procs"), child.id().to_string())?;
    Ok(child)
}

/// A UID that stays the same from run to run.
fn uid(pod: &PodRef) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, pod).hash(&mut hasher);
        hasher.finish()
    };
    let text = format!("{:016x}{:016x}", half(0), half(1));
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    parts.join("-")
}
