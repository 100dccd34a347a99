//! How fast the engine is, on one core: `cargo bench -p ringfence-policy`.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod generator;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use generator::{Cluster, Random, Shape};
use ringfence_model::{
    Direction, IpBlock, Origin, PeerMatch, Peers, Port, Ports, Protocol, Requirement, Rule,
};
use ringfence_policy::{
    Connection, Difference, End, Party, PodIx, PolicyIx, PolicySet, Profile, Touched,
};

fn main() {
    divan::main();
}

fn compile(cluster: &Cluster) -> PolicySet {
    let Cluster { namespaces, nodes, pods, policies } = cluster;
    PolicySet::compile(namespaces, nodes, pods, policies, &Profile::default()).0
}

/// (class, class) pairs that may talk over some port.
fn pairs(set: &PolicySet) -> usize {
    let mut pairs = 0;
    set.reach().walk(set.parties(), |row| pairs += row.iter().count());
    pairs
}

/// Shapes of the table in the README: pods, and pods per workload.
const SHAPES: [(u32, u32); 6] =
    [(1_000, 10), (5_000, 10), (10_000, 10), (1_000, 1), (5_000, 1), (100_000, 20)];

#[divan::bench(args = SHAPES, max_time = 5)]
fn compile_cluster(bencher: Bencher<'_, '_>, (pods, per_workload): (u32, u32)) {
    let cluster = Cluster::new(Shape::of(pods, per_workload));
    bencher.bench_local(|| compile(&cluster));
}

#[divan::bench(args = SHAPES, max_time = 10)]
fn compile_and_all_pairs(bencher: Bencher<'_, '_>, (pods, per_workload): (u32, u32)) {
    let cluster = Cluster::new(Shape::of(pods, per_workload));
    bencher.bench_local(|| pairs(&compile(&cluster)));
}

/// One pod of a large cluster gets labels that no pod had, and all verdicts with it are judged again.
#[divan::bench(args = [(10_000, 10), (100_000, 20)])]
fn relabel_one_pod(bencher: Bencher<'_, '_>, (pods, per_workload): (u32, u32)) {
    let mut set = compile(&Cluster::new(Shape::of(pods, per_workload)));
    let tiers = ["web", "api", "data", "cache", "batch", "none"];
    let mut turn = 0;
    bencher.bench_local(|| {
        turn += 1;
        let labels =
            [("app", format!("app-{}", turn % 1_000)), ("tier", tiers[turn % 6].to_owned())];
        let touched = set.relabel_pod(PodIx::new(7), labels.into_iter().collect());
        judged(&set, &touched)
    });
}

/// With how many parties those that were touched may talk.
fn judged(set: &PolicySet, touched: &Touched) -> usize {
    let judged = |party: &Party| {
        let mut open = 0;
        set.walk_party(*party, |_, sends, receives| {
            open += usize::from(!sends.is_empty()) + usize::from(!receives.is_empty());
        });
        open
    };
    touched.parties.iter().map(judged).sum()
}

/// A policy of a large cluster gets the rules of another, every fourth time with a pod of its own to select and a block
/// that nobody mentioned, and all verdicts that it touches are judged again.
#[divan::bench(args = [(10_000, 10), (100_000, 20)], sample_count = 200)]
fn replace_one_policy(bencher: Bencher<'_, '_>, (pods, per_workload): (u32, u32)) {
    let cluster = Cluster::new(Shape::of(pods, per_workload));
    let mut set = compile(&cluster);
    let mut turn = 0;
    bencher.bench_local(|| {
        turn += 1;
        let place = turn * 37 % cluster.policies.len();
        let mut policy = cluster.policies[place].clone();
        let other = &cluster.policies[turn * 41 % cluster.policies.len()];
        (policy.ingress, policy.egress) = (other.ingress.clone(), other.egress.clone());
        if turn % 4 == 0 {
            let app = cluster.pods[turn * 101 % cluster.pods.len()].labels.get("app").unwrap();
            policy.pod_selector = [Requirement::equals("app", app)].into_iter().collect();
            let block = format!("172.{}.{}.0/24", turn / 256 % 256, turn % 256);
            let to = Peers::Only(vec![PeerMatch::IpBlock(IpBlock::whole(block.parse().unwrap()))]);
            policy.egress.get_or_insert_default().push(Rule {
                origin: Origin::default(),
                peers: to,
                ports: Ports::Any,
            });
        }
        let ix = PolicyIx::new(u32::try_from(place).unwrap());
        let touched = set.replace_policy(ix, policy);
        judged(&set, &touched)
    });
}

/// A policy is added that mentions a label that no other does, and is removed again: every pod is looked at.
#[divan::bench(args = [(10_000, 10), (100_000, 20)])]
fn add_policy_with_new_label(bencher: Bencher<'_, '_>, (pods, per_workload): (u32, u32)) {
    let cluster = Cluster::new(Shape::of(pods, per_workload));
    let mut set = compile(&cluster);
    let mut turn = 0;
    bencher.bench_local(|| {
        turn += 1;
        let mut policy = cluster.policies[turn].clone();
        policy.pod_selector =
            [Requirement::equals(format!("new-{turn}"), "yes")].into_iter().collect();
        let (ix, touched) = set.add_policy(policy);
        let added = judged(&set, &touched);
        let touched = set.remove_policy(ix);
        added + judged(&set, &touched)
    });
}

fn questions(set: &PolicySet, count: u32) -> Vec<Connection> {
    let mut random = Random::new(2);
    let pods = u32::try_from(set.pod_count()).unwrap();
    let mut pod = || End::Pod(PodIx::new(random.below(pods)));
    let ports = [80, 443, 8080, 9090].map(|p| Port::new(p).unwrap());
    (0..count)
        .map(|n| Connection {
            source: pod(),
            destination: pod(),
            protocol: Protocol::Tcp,
            port: ports[n as usize % ports.len()],
        })
        .collect()
}

#[divan::bench(args = [10_000, 100_000])]
fn allows(bencher: Bencher<'_, '_>, pods: u32) {
    let set = compile(&Cluster::new(Shape::of(pods, 10)));
    let questions = questions(&set, 100_000);
    bencher
        .counter(ItemsCount::new(questions.len()))
        .bench_local(|| black_box(&questions).iter().filter(|c| set.allows(c)).count());
}

#[divan::bench(args = [10_000])]
fn decide_10_000(bencher: Bencher<'_, '_>, pods: u32) {
    let set = compile(&Cluster::new(Shape::of(pods, 10)));
    let questions = questions(&set, 10_000);
    bencher
        .counter(ItemsCount::new(questions.len()))
        .bench_local(|| black_box(&questions).iter().filter(|c| set.decide(c).allowed()).count());
}

/// Decides, and says of every end that denies which rules came near and what would help.
#[divan::bench(args = [10_000])]
fn explain_10_000(bencher: Bencher<'_, '_>, pods: u32) {
    let set = compile(&Cluster::new(Shape::of(pods, 10)));
    let questions = questions(&set, 10_000);
    bencher.counter(ItemsCount::new(questions.len())).bench_local(|| {
        let explained = |c: &Connection| {
            let decision = set.decide(c);
            let denies = |direction: &Direction| !decision.judgement(*direction).allowed();
            let denying = Direction::BOTH.into_iter().filter(denies);
            let said = denying.map(|direction| {
                set.misses(direction, c).len()
                    + set.remedies(direction, c, |key| key != "pod-template-hash").len()
            });
            said.sum::<usize>()
        };
        black_box(&questions).iter().map(explained).sum::<usize>()
    });
}

/// Compiles both and compares them: every twentieth policy has lost its ingress rules.
#[divan::bench(args = [5_000, 100_000], max_time = 10)]
fn difference(bencher: Bencher<'_, '_>, pods: u32) {
    let before = Cluster::new(Shape::of(pods, 10));
    let mut after = before.clone();
    for policy in after.policies.iter_mut().step_by(20) {
        policy.ingress = Some(Vec::new());
    }
    bencher.bench_local(|| {
        let mut changes = 0;
        Difference::new(&compile(&before), &compile(&after)).walk(|_| changes += 1);
        changes
    });
}
