use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace with a process in it, gone with this.
pub(crate) struct Namespace {
    name: String,
    resident: Child,
}

/// A client, a server with two addresses, and between them a router that translates the address of a Service, as
/// kube-proxy does.
pub(crate) struct Network {
    pub(crate) client: Namespace,
    pub(crate) router: Namespace,
    pub(crate) server: Namespace,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

fn run(command: &str, input: Option<&str>) {
    let mut words = command.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().unwrap();
    if let Some(input) = input {
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    }
    assert!(child.wait().unwrap().success(), "{command:?}");
}

impl Namespace {
    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rf-netfilter-{}-{number}", std::process::id());
        run(&format!("ip netns add {name}"), None);
        run(&format!("ip -n {name} link set lo up"), None);
        let path = format!("--net=/run/netns/{name}");
        let resident = Command::new("nsenter").args([&path, "sleep", "600"]).spawn().unwrap();
        Self { name, resident }
    }

    pub(crate) fn file(&self) -> File {
        File::open(format!("/run/netns/{}", self.name)).unwrap()
    }

    fn ip(&self, arguments: &str) {
        run(&format!("ip -n {} {arguments}", self.name), None);
    }

    /// Runs in a thread of its own inside of the namespace.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let file = self.file();
        thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        })
    }

    pub(crate) fn run<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(act).join().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.resident.kill().unwrap();
        self.resident.wait().unwrap();
        run(&format!("ip netns delete {}", self.name), None);
    }
}

impl Network {
    pub(crate) fn new(service: &str, servers: [&str; 2]) -> Self {
        let network =
            Self { client: Namespace::new(), router: Namespace::new(), server: Namespace::new() };
        let Self { client, router, server } = &network;
        for (namespace, link, net) in [(client, "client", "10.78.1"), (server, "server", "10.78.2")]
        {
            router
                .ip(&format!("link add {link} type veth peer name eth0 netns {}", namespace.name));
            router.ip(&format!("address add {net}.1/24 dev {link}"));
            router.ip(&format!("link set {link} up"));
            namespace.ip(&format!("address add {net}.2/24 dev eth0"));
            namespace.ip("link set eth0 up");
            namespace.ip(&format!("route add default via {net}.1"));
        }
        server.ip("address add 10.78.2.3/24 dev eth0");
        router.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
        let [service, one, two] =
            [service, servers[0], servers[1]].map(|text| text.parse::<SocketAddr>().unwrap());
        let rules = format!(
            "table ip services {{\n\
             chain prerouting {{\n\
             type nat hook prerouting priority dstnat;\n\
             ip daddr {} tcp dport {} dnat ip addr . port to numgen inc mod 2 map \
             {{ 0 : {} . {}, 1 : {} . {} }}\n\
             }}\n}}\n",
            service.ip(),
            service.port(),
            one.ip(),
            one.port(),
            two.ip(),
            two.port()
        );
        router.run(move || run("nft -f -", Some(&rules)));
        network
    }
}
