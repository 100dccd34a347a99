//! A set that follows the changes of a cluster answers like one compiled from what the cluster is then.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::prelude::*;
use ringfence_model::object::Pod;
use ringfence_model::{ClusterPolicy, Direction, Labels, NetworkPolicy, Protocol};
use ringfence_policy::{
    Atom, AtomIx, Change, ClassIx, ClusterPolicyIx, Connection, ConnectionSet, Difference, End,
    HostNetwork, Party, PodIx, PolicyIx, PolicySet, Profile, Touched,
};

use crate::agree::{cluster_policy, connections, labels, pods, policy as any_policy, world};
use crate::cluster;
use crate::cluster::{PolicyExt, ip, name, namespace, namespaces, node, number, pod, policy, rule};
use crate::oracle::Oracle;

#[derive(Clone, Debug)]
enum Step {
    Add(Box<Pod>),
    Remove(usize),
    Relabel(usize, Labels),
    /// The namespace, of which one is not there yet.
    RelabelNamespace(&'static str, Labels),
    AddPolicy(Box<NetworkPolicy>),
    ReplacePolicy(usize, Box<NetworkPolicy>),
    RemovePolicy(usize),
    AddClusterPolicy(Box<ClusterPolicy>),
    ReplaceClusterPolicy(usize, Box<ClusterPolicy>),
    RemoveClusterPolicy(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let add = pods().prop_map(|mut pods| {
        let mut new = pods.remove(0);
        // Sometimes in a namespace that nobody has seen.
        if new.labels.is_empty() {
            new.reference.namespace = name("new");
        }
        Step::Add(Box::new(new))
    });
    let namespaces = prop::sample::select(&["x", "y", "z", "new"][..]);
    prop_oneof![
        1 => add,
        1 => any::<usize>().prop_map(Step::Remove),
        3 => (any::<usize>(), labels()).prop_map(|(n, labels)| Step::Relabel(n, labels)),
        1 => (namespaces, labels()).prop_map(|(n, labels)| Step::RelabelNamespace(n, labels)),
        2 => any_policy().prop_map(|p| Step::AddPolicy(Box::new(p))),
        2 => (any::<usize>(), any_policy()).prop_map(|(n, p)| Step::ReplacePolicy(n, Box::new(p))),
        1 => any::<usize>().prop_map(Step::RemovePolicy),
        1 => cluster_policy().prop_map(|p| Step::AddClusterPolicy(Box::new(p))),
        1 => (any::<usize>(), cluster_policy())
            .prop_map(|(n, p)| Step::ReplaceClusterPolicy(n, Box::new(p))),
        1 => any::<usize>().prop_map(Step::RemoveClusterPolicy),
    ]
}

/// The oracle keeps removed pods in their places; nobody asks about them. It keeps removed policies without rules.
struct Follower {
    world: Oracle,
    set: PolicySet,
    removed: BTreeSet<usize>,
}

impl Follower {
    /// Takes the step on both sides, and tells what it touched.
    fn take(&mut self, step: &Step) -> Vec<Party> {
        let place = |n: usize| n % self.world.pods.len();
        let ix = |place: usize| PodIx::new(u32::try_from(place).unwrap());
        match step {
            Step::Add(pod) => {
                let mut pod = (**pod).clone();
                pod.reference.name = name(&format!("p{}", self.world.pods.len()));
                let (added, touched) = self.set.add_pod(&pod);
                assert_eq!(added, ix(self.world.pods.len()));
                self.world.pods.push(pod);
                touched.parties
            }
            Step::Remove(n) => {
                let place = place(*n);
                self.removed.insert(place);
                self.set.remove_pod(ix(place)).parties
            }
            Step::Relabel(n, _) if self.removed.contains(&place(*n)) => Vec::new(),
            Step::Relabel(n, labels) => {
                let place = place(*n);
                self.world.pods[place].labels = labels.clone();
                self.set.relabel_pod(ix(place), labels.clone()).parties
            }
            Step::RelabelNamespace(namespace_name, labels) => {
                let mut relabelled = namespace(namespace_name, "");
                relabelled.labels = labels.clone();
                self.world.namespaces.retain(|n| n.name != relabelled.name);
                self.world.namespaces.push(relabelled.clone());
                self.set.relabel_namespace(&relabelled).parties
            }
            _ => self.take_policy(step),
        }
    }

    fn take_policy(&mut self, step: &Step) -> Vec<Party> {
        let Oracle { policies, cluster_policies, .. } = &mut self.world;
        let place = |n: usize, all: usize| u32::try_from(n % all).unwrap();
        let touched = match step {
            Step::AddPolicy(policy) => {
                policies.push((**policy).clone());
                let (ix, touched) = self.set.add_policy((**policy).clone());
                assert_eq!(ix.place() + 1, policies.len());
                touched
            }
            Step::ReplacePolicy(n, policy) if !policies.is_empty() => {
                let place = place(*n, policies.len());
                policies[place as usize] = (**policy).clone();
                self.set.replace_policy(PolicyIx::new(place), (**policy).clone())
            }
            Step::RemovePolicy(n) if !policies.is_empty() => {
                let place = place(*n, policies.len());
                let policy = &mut policies[place as usize];
                (policy.ingress, policy.egress) = (None, None);
                self.set.remove_policy(PolicyIx::new(place))
            }
            Step::AddClusterPolicy(policy) => {
                cluster_policies.push((**policy).clone());
                let (ix, touched) = self.set.add_cluster_policy((**policy).clone());
                assert_eq!(ix.place() + 1, cluster_policies.len());
                touched
            }
            Step::ReplaceClusterPolicy(n, policy) if !cluster_policies.is_empty() => {
                let place = place(*n, cluster_policies.len());
                cluster_policies[place as usize] = (**policy).clone();
                let ix = ClusterPolicyIx::new(place);
                self.set.replace_cluster_policy(ix, (**policy).clone())
            }
            Step::RemoveClusterPolicy(n) if !cluster_policies.is_empty() => {
                let place = place(*n, cluster_policies.len());
                let policy = &mut cluster_policies[place as usize];
                policy.ingress.clear();
                policy.egress.clear();
                self.set.remove_cluster_policy(ClusterPolicyIx::new(place))
            }
            _ => Touched::default(),
        };
        touched.parties
    }

    fn ends(&self) -> Vec<End> {
        let pods =
            (0u32..).zip(&self.world.pods).filter(|(n, _)| !self.removed.contains(&(*n as usize)));
        let outside =
            ["8.8.8.8", "10.0.0.6", "192.168.0.1", "fd00::6"].map(|a| End::Address(ip(a)));
        pods.map(|(n, _)| End::Pod(PodIx::new(n))).chain(outside).collect()
    }

    /// The first pod that is there and has the address, unless that is its node's.
    fn owner(&self, ip: IpAddr) -> End {
        let is_node = |pod: &Pod| {
            pod.spec.host_network && self.world.profile.host_network == HostNetwork::NodeAddress
        };
        let mut pods = (0u32..).zip(&self.world.pods);
        let owner = pods.find(|(n, pod)| {
            !self.removed.contains(&(*n as usize)) && !is_node(pod) && pod.ips.contains(&ip)
        });
        owner.map_or(End::Address(ip), |(n, _)| End::Pod(PodIx::new(n)))
    }

    fn table(&self) -> Vec<((Party, Party), ConnectionSet)> {
        let parties: Vec<Party> = self.set.parties().collect();
        let pairs = parties.iter().flat_map(|a| parties.iter().map(move |b| (*a, *b)));
        pairs.map(|(a, b)| ((a, b), self.set.allowed(a, b))).collect()
    }

    fn members(&self) -> Vec<Vec<PodIx>> {
        self.set.classes().iter().map(|class| class.pods().to_vec()).collect()
    }

    fn addresses(&self) -> Vec<Atom> {
        self.set.atoms().to_vec()
    }

    fn check(&self, c: &Connection) -> Result<(), TestCaseError> {
        let decision = self.set.decide(c);
        prop_assert_eq!(&decision.egress, &self.world.judge(Direction::Egress, c), "{:?}", c);
        prop_assert_eq!(&decision.ingress, &self.world.judge(Direction::Ingress, c), "{:?}", c);
        prop_assert_eq!(self.set.allows(c), decision.allowed(), "{:?}", c);
        Ok(())
    }
}

#[test]
fn a_class_left_empty_is_judged_again_when_a_pod_comes_back() {
    let red = policy("x/p", "").ingress(vec![rule(&[namespaces("team=red")], &[])]);
    let pods = ["x/a", "y/b", "z/c"].map(|reference| pod(reference, "", &[], "n1"));
    let given = [namespace("x", ""), namespace("y", "team=blue"), namespace("z", "")];
    let nodes = [node("n1", &[])];
    let (mut set, _) = PolicySet::compile(&given, &nodes, &pods, &[red], &Profile::default());
    let connection = |source| Connection {
        source: End::Pod(source),
        destination: End::Pod(PodIx::new(0)),
        protocol: Protocol::Tcp,
        port: number(80),
    };
    let gone = PodIx::new(1);
    assert!(!set.allows(&connection(gone)));
    set.remove_pod(gone);
    assert_eq!(set.remove_pod(gone).parties, [], "nothing is left to remove");
    set.relabel_namespace(&namespace("y", "team=red"));
    let (back, _) = set.add_pod(&pods[1]);
    assert_ne!(back, gone, "places are not used again");
    assert!(set.allows(&connection(back)));
}

#[test]
fn policies_of_namespaces_that_become_known_keep_apart() {
    let inside = || rule(&[cluster::pods("")], &[]);
    let policies = ["gone/p", "y/p"].map(|p| policy(p, "").ingress(vec![inside()]));
    let (mut set, _) = PolicySet::compile(
        &[namespace("x", "")],
        &[node("n1", &[])],
        &[pod("x/a", "", &[], "n1")],
        &policies,
        &Profile::default(),
    );
    let (one, _) = set.add_pod(&pod("y/b", "", &[], "n1"));
    let (two, _) = set.add_pod(&pod("y/c", "", &[], "n1"));
    let from = |source| Connection {
        source: End::Pod(source),
        destination: End::Pod(two),
        protocol: Protocol::Tcp,
        port: number(80),
    };
    assert!(set.allows(&from(one)));
    assert!(!set.allows(&from(PodIx::new(0))));
}

#[test]
fn a_policy_tells_apart_what_it_names_and_leaves_the_rest() {
    let pods = ["x/a", "x/b", "y/c"].map(|reference| {
        let labels = if reference == "x/b" { "role=db" } else { "" };
        pod(reference, labels, &[], "n1")
    });
    let given = [namespace("x", ""), namespace("y", "")];
    let nodes = [node("n1", &[])];
    let (mut set, _) = PolicySet::compile(&given, &nodes, &pods, &[], &Profile::default());
    assert_eq!(set.classes().len(), 2, "nobody tells the pods of a namespace apart");
    let to = |pod| Connection {
        source: End::Pod(PodIx::new(2)),
        destination: End::Pod(PodIx::new(pod)),
        protocol: Protocol::Tcp,
        port: number(5432),
    };
    let closed = policy("x/db", "role=db").ingress(vec![]);
    let (db, touched) = set.add_policy(closed.clone());
    assert_eq!((set.allows(&to(0)), set.allows(&to(1))), (true, false));
    assert_eq!(touched.parties.len(), 2, "the class that was split and its new part: {touched:?}");

    // From addresses inside a block, which cuts the address space.
    let office = rule(&[cluster::block("203.0.113.0/24", &[])], &[]);
    let touched = set.replace_policy(db, policy("x/db", "role=db").ingress(vec![office]));
    let from = |source| Connection { source: End::Address(ip(source)), ..to(1) };
    assert!(set.allows(&from("203.0.113.9")));
    assert!(!set.allows(&from("203.0.114.9")));
    assert_eq!(touched.parties.len(), 3, "both parts of the space and the pod: {touched:?}");

    let touched = set.remove_policy(db);
    assert!(set.allows(&to(1)) && set.allows(&from("203.0.114.9")));
    assert_eq!(touched.parties, [set.party(End::Pod(PodIx::new(1)))]);
    assert!(set.policy(db).ingress.is_none());
    assert_eq!(set.remove_policy(db).parties, [], "nothing is left to remove");
    assert_eq!(set.lint(), [], "a removed policy has no faults");
    let (again, _) = set.add_policy(closed);
    assert_ne!(again, db, "places are not used again");
    assert!(!set.allows(&to(1)));
}

/// Everything that changes from one set to another, or what an update touched of it.
fn changes(before: &PolicySet, after: &PolicySet, update: Option<&Touched>) -> Vec<String> {
    let mut found = Vec::new();
    let visit = |change: Change<'_>| found.push(format!("{change:?}"));
    let mut difference = Difference::new(before, after);
    match update {
        None => difference.walk(visit),
        Some(touched) => difference.walk_touched(touched, visit),
    }
    found
}

proptest! {
    #![proptest_config(crate::agree::config())]

    #[test]
    fn updates_agree_with_the_specification(
        world in world(),
        steps in prop::collection::vec(step(), 1..=4),
    ) {
        let set = world.compile();
        let mut follower = Follower { world, set, removed: BTreeSet::new() };
        for step in &steps {
            let before = follower.table();
            let members = follower.members();
            let addresses = follower.addresses();
            let earlier = follower.set.clone();
            let touched = follower.take(step);
            let update = Touched { parties: touched.clone(), diagnostics: Vec::new() };
            prop_assert_eq!(
                changes(&earlier, &follower.set, None),
                changes(&earlier, &follower.set, Some(&update)), "{:?}", step
            );
            for (n, atom) in (0u32..).zip(follower.addresses()) {
                let is_touched = touched.contains(&Party::Addresses(AtomIx::new(n)));
                prop_assert!(is_touched || addresses.get(n as usize) == Some(&atom), "{:?}", step);
            }
            for (n, pods) in (0u32..).zip(follower.members()) {
                let is_touched = touched.contains(&Party::Pods(ClassIx::new(n)));
                prop_assert!(is_touched || members.get(n as usize) == Some(&pods), "{:?}", step);
            }
            for ((a, b), over) in before {
                if !touched.contains(&a) && !touched.contains(&b) {
                    prop_assert_eq!(over, follower.set.allowed(a, b), "{:?} to {:?} after {:?}", a, b, step);
                }
            }
            let ends = follower.ends();
            for source in &ends {
                for destination in &ends {
                    for c in connections(*source, *destination) {
                        follower.check(&c)?;
                    }
                }
            }
        }
        let mut rows = Vec::new();
        follower.set.reach().walk(follower.set.parties(), |row| {
            rows.push((row.source(), row.iter().map(|(to, over)| (to, over.clone())).collect::<Vec<_>>()));
        });
        for ((from, to), over) in follower.table() {
            let row = rows.iter().find(|(source, _)| *source == from).map(|(_, row)| row);
            let cell = row.and_then(|row| row.iter().find(|(party, _)| *party == to));
            prop_assert_eq!(cell.map_or(ConnectionSet::empty(), |(_, over)| over.clone()), over);
        }
        for address in ["8.8.8.8", "10.0.0.6", "192.168.0.1", "192.168.0.2", "fd00::6", "ffff::1"].map(ip) {
            let holds = |atom: &Atom| atom.cidrs().iter().any(|cidr| cidr.contains(&address));
            let holding: Vec<usize> = (0..).zip(follower.set.atoms()).filter(|(_, atom)| holds(atom)).map(|(n, _)| n).collect();
            let Party::Addresses(atom) = follower.set.party(End::Address(address)) else { panic!("an address") };
            prop_assert_eq!(holding, [atom.place()], "{}", address);
        }
        let policies = follower.set.policies().to_vec();
        let (again, _) = follower.set.with_policies(&policies);
        for pod in &follower.world.pods {
            for ip in &pod.ips {
                prop_assert_eq!(follower.set.end(*ip), follower.owner(*ip), "{}", ip);
            }
        }
        Difference::new(&follower.set, &again).walk(|change| panic!("{change:?}"));
    }
}
