use ringfence_model::object::{Controller, Objects, Phase, Pod, PodSpec, Service, ServiceType};
use ringfence_model::resolve::Resolver;
use ringfence_model::{Peer, Protocol};

use crate::Inventory;
use crate::fixture::*;

/// Two kinds of backends whose port named `http` differs, one pod without it, and one that has ended.
fn shop() -> Objects {
    let web = |name: &str, address: &str, ports: &str| Pod {
        owner: owner("StatefulSet/web"),
        spec: declares(ports),
        ..pod(name, "app=web", address)
    };
    Objects {
        nodes: vec![node("n1", "192.168.0.1", "10.0.1.0/24")],
        pods: vec![
            web("shop/web-0", "10.0.1.10", "http:TCP/8080 http:UDP/9999"),
            web("shop/web-1", "10.0.1.11", "http:TCP/8080"),
            web("shop/web-2", "10.0.1.12", "other:TCP/1"),
            Pod {
                spec: declares("http:TCP/8888"),
                ..pod("shop/canary", "app=web track=canary", "10.0.1.13")
            },
            Pod {
                phase: Phase::Failed,
                spec: declares("http:TCP/6666"),
                ..pod("shop/ended", "app=web", "10.0.1.14")
            },
            pod("other/web-0", "app=web", "10.0.1.20"),
            Pod {
                spec: PodSpec { host_network: true, ..declares("http:TCP/9100") },
                ..pod("shop/agent", "app=agent", "192.168.0.1")
            },
        ],
        controllers: vec![
            controller("shop/StatefulSet/web", "app=web"),
            Controller {
                replicas: Some(0),
                template: declares("grpc:TCP/5050"),
                ..controller("shop/Deployment/asleep", "app=asleep")
            },
        ],
        ..Objects::default()
    }
}

/// `peer:port ...` behind an address and port, with the Service in front.
fn target(inventory: &Inventory, address: &str, protocol: Protocol, port: u16) -> String {
    match inventory.service(ip(address), protocol, number(port)) {
        None => "none".to_owned(),
        Some(target) => {
            let backends = target.backends.iter().map(|(peer, port)| match peer {
                Peer::Address(ip, class) => format!(" {ip}({class}):{port}"),
                peer => format!(" {peer}:{port}"),
            });
            format!("{} =>{}", target.service, backends.collect::<String>())
        }
    }
}

#[test]
fn ports_lead_to_backends() {
    let external = |mut service: Service, addresses: &str| {
        service.external_ips = ips(addresses);
        service
    };
    let mut objects = shop();
    objects.services = vec![
        external(
            service(
                "shop/web",
                "app=web",
                "10.96.0.1 fd00::1",
                "a:TCP/80->http b:TCP/81->7000 c:UDP/80->http",
            ),
            "198.51.100.7",
        ),
        service("shop/asleep", "app=asleep", "10.96.0.2", "TCP/80->grpc"),
        service("shop/agent", "app=agent", "10.96.0.3", "TCP/80->http"),
        service(
            "shop/sliced",
            "app=web",
            "10.96.0.4",
            "http:TCP/80->http dns:UDP/53->53 spare:TCP/9->9",
        ),
        service("shop/by-hand", "", "10.96.0.5", "TCP/5432->5432"),
        service("default/kubernetes", "", "10.96.0.6", "https:TCP/443->6443"),
        service("shop/nothing", "", "10.96.0.7", "TCP/80->80"),
        Service {
            selector: Some(selects("")),
            ..service("shop/empty", "", "10.96.0.9", "TCP/80->80")
        },
        service("shop/headless", "app=web", "", "TCP/80->http"),
        service("shop/unready", "app=agent", "10.96.0.8", "TCP/80->http"),
    ];
    objects.endpoints = vec![
        endpoints(
            "shop/sliced",
            "10.0.1.10=shop/web-0 10.0.1.77=shop/web-77",
            "http:TCP/8080 dns:UDP/5353",
        ),
        endpoints("shop/sliced", "10.0.1.13=shop/canary", "http:TCP/8888"),
        // The same again, as the Endpoints object of old.
        endpoints("shop/sliced", "10.0.1.10=shop/web-0", "http:TCP/8080"),
        endpoints("shop/by-hand", "203.0.113.5 10.0.1.11 10.0.1.99", "TCP/5432"),
        endpoints("default/kubernetes", "192.168.0.1", "https:TCP/6443"),
        endpoints("shop/unready", "", "TCP/9100"),
    ];
    let inventory = inventory(objects);
    let web = "shop/web:80 => shop/StatefulSet/web:8080 shop/Pod/canary:8888";
    let cases = [
        ("10.96.0.1", Protocol::Tcp, 80, web),
        ("fd00::1", Protocol::Tcp, 80, web),
        ("198.51.100.7", Protocol::Tcp, 80, web),
        ("::ffff:10.96.0.1", Protocol::Tcp, 80, web),
        // A number is the same on every pod; the one that ended and the other namespace do not count.
        (
            "10.96.0.1",
            Protocol::Tcp,
            81,
            "shop/web:81 => shop/StatefulSet/web:7000 shop/Pod/canary:7000",
        ),
        // Names are looked up by protocol too.
        ("10.96.0.1", Protocol::Udp, 80, "shop/web:80 => shop/StatefulSet/web:9999"),
        ("10.96.0.1", Protocol::Udp, 81, "none"),
        ("10.96.0.1", Protocol::Tcp, 82, "none"),
        // Scaled to zero: by the template.
        ("10.96.0.2", Protocol::Tcp, 80, "shop/asleep:80 => shop/Deployment/asleep:5050"),
        ("10.96.0.3", Protocol::Tcp, 80, "shop/agent:80 => Node/n1:9100"),
        // Endpoints first; one names a pod that the dump does not hold.
        (
            "10.96.0.4",
            Protocol::Tcp,
            80,
            "shop/sliced:80 => shop/StatefulSet/web:8080 shop/Pod/canary:8888",
        ),
        ("10.96.0.4", Protocol::Udp, 53, "shop/sliced:53 => shop/StatefulSet/web:5353"),
        (
            "10.96.0.4",
            Protocol::Tcp,
            9,
            "shop/sliced:9 => shop/StatefulSet/web:9 shop/Pod/canary:9",
        ),
        (
            "10.96.0.5",
            Protocol::Tcp,
            5432,
            "shop/by-hand:5432 => shop/StatefulSet/web:5432 10.0.1.99(Internal):5432 203.0.113.5(Unknown):5432",
        ),
        ("10.96.0.6", Protocol::Tcp, 443, "default/kubernetes:443 => Node/n1:6443"),
        ("10.96.0.7", Protocol::Tcp, 80, "shop/nothing:80 =>"),
        ("10.96.0.8", Protocol::Tcp, 80, "shop/unready:80 => Node/n1:9100"),
        // An empty selector is none, unlike anywhere else.
        ("10.96.0.9", Protocol::Tcp, 80, "shop/empty:80 =>"),
        ("192.168.0.1", Protocol::Tcp, 80, "none"),
        ("10.0.1.10", Protocol::Tcp, 8080, "none"),
    ];
    for (address, protocol, port, expected) in cases {
        let got = target(&inventory, address, protocol, port);
        assert_eq!(got, expected, "{protocol} {address}:{port}");
    }

    let headless =
        inventory.services().iter().position(|s| s.reference == service_ref("shop/headless"));
    assert_eq!(
        inventory.backends(headless.unwrap())[0].len(),
        2,
        "headless Services have backends too"
    );
}

#[test]
fn workloads_know_the_services_they_back() {
    let mut objects = shop();
    objects.services = vec![
        service("shop/agent", "app=agent", "10.96.0.3", "TCP/80->http"),
        service("shop/asleep", "app=asleep", "10.96.0.2", "TCP/80->grpc"),
        service("shop/by-hand", "", "10.96.0.5", "TCP/5432->5432"),
        service("shop/web", "app=web", "10.96.0.1", "TCP/80->http"),
    ];
    objects.endpoints =
        vec![endpoints("shop/by-hand", "10.0.1.10=shop/web-0 10.0.1.13=shop/canary", "TCP/5432")];
    let inventory = inventory(objects);
    let cases: [(&str, &[usize]); 5] = [
        ("shop/Pod/agent", &[0]),
        ("shop/Deployment/asleep", &[1]),
        ("shop/StatefulSet/web", &[2, 3]),
        ("shop/Pod/canary", &[2, 3]),
        ("other/Pod/web-0", &[]),
    ];
    for (workload, expected) in cases {
        let workload = inventory.workload(&workload_ref(workload)).unwrap();
        assert_eq!(workload.services, expected, "{}", workload.reference);
    }
}

#[test]
fn services_that_select_nothing_are_told() {
    let alias = |reference| Service {
        kind: ServiceType::ExternalName,
        ..service(reference, "app=typo", "", "TCP/80->80")
    };
    let mut objects = shop();
    objects.services = vec![
        service("shop/typo", "app=wbe", "10.96.0.1", "TCP/80->80"),
        service("else/web", "app=web", "10.96.0.2", "TCP/80->80"),
        service("shop/web", "app=web", "10.96.0.3", "TCP/80->80"),
        service("shop/asleep", "app=asleep", "10.96.0.4", "TCP/80->80"),
        service("shop/by-hand", "", "10.96.0.5", "TCP/80->80"),
        Service { selector: Some(selects("")), ..service("shop/empty", "", "", "TCP/80->80") },
        alias("shop/alias"),
    ];
    let found = findings(objects, "service-selects-nothing");
    assert_eq!(
        found,
        ["else/web: its selector app=web", "shop/typo: its selector app=wbe"].map(|text| format!(
            "dump.yaml:4: warning[service-selects-nothing]: Service {text} matches no pod and no pod template\n  \
             hint: compare it with the labels of the pods it is meant for, in the same namespace"
        ))
    );
}
