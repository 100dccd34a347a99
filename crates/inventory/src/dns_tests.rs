use ringfence_model::object::{Controller, Objects, Pod, PodSpec};

use super::*;
use crate::fixture::*;

fn coredns(namespace: &str, ports: &str) -> Objects {
    let owner = owner("Deployment/coredns");
    Objects {
        pods: vec![Pod {
            owner,
            spec: declares(ports),
            ..pod(&format!("{namespace}/coredns-1"), "k8s-app=kube-dns", "10.0.1.3")
        }],
        controllers: vec![controller(
            &format!("{namespace}/Deployment/coredns"),
            "k8s-app=kube-dns",
        )],
        ..Objects::default()
    }
}

/// `service@addresses protocol/port>peer:port ...` for each DNS Service.
fn found(objects: Objects) -> Vec<String> {
    let inventory = inventory(objects);
    let text = |service: &DnsService| {
        let ports = service.ports.iter().map(|port| {
            let backends: Vec<String> =
                port.backends.iter().map(|(peer, port)| format!("{peer}:{port}")).collect();
            format!(" {}/{}>{}", port.protocol, port.port, backends.join(","))
        });
        format!("{}@{:?}{}", service.service, service.addresses, ports.collect::<String>())
    };
    inventory.dns().services.iter().map(text).collect()
}

#[test]
fn dns_services_by_namespace_name_and_selector() {
    let standard = "dns:UDP/53->dns dns-tcp:TCP/53->dns-tcp metrics:TCP/9153->9153";
    let kube_system = |services| Objects {
        services,
        ..coredns("kube-system", "dns:UDP/53 dns-tcp:TCP/53 metrics:TCP/9153")
    };
    let expected = |name: &str| {
        vec![format!(
            "{name}@[10.96.0.10] UDP/53>kube-system/Deployment/coredns:53 TCP/53>kube-system/Deployment/coredns:53"
        )]
    };
    let select = "k8s-app=kube-dns";
    for name in ["kube-system/kube-dns", "kube-system/rke2-coredns-rke2-coredns"] {
        let got = found(kube_system(vec![service(name, select, "10.96.0.10", standard)]));
        assert_eq!(got, expected(name));
    }
    // Endpoints, when there are, say where it goes.
    let mut sliced =
        kube_system(vec![service("kube-system/kube-dns", select, "10.96.0.10", standard)]);
    sliced.endpoints = vec![endpoints(
        "kube-system/kube-dns",
        "10.0.1.3=kube-system/coredns-1",
        "dns:UDP/53 dns-tcp:TCP/53 metrics:TCP/9153",
    )];
    assert_eq!(found(sliced), expected("kube-system/kube-dns"));

    let openshift = Objects {
        services: vec![service("openshift-dns/dns-default", select, "172.30.0.10", standard)],
        ..coredns("openshift-dns", "dns:UDP/5353 dns-tcp:TCP/5353")
    };
    assert_eq!(
        found(openshift),
        ["openshift-dns/dns-default@[172.30.0.10] UDP/53>openshift-dns/Deployment/coredns:5353 \
          TCP/53>openshift-dns/Deployment/coredns:5353"]
    );
    let elsewhere = |name: &str, select: &str| Objects {
        services: vec![service(name, select, "10.96.0.10", "UDP/53->53")],
        ..coredns("names", "")
    };
    assert_eq!(found(elsewhere("names/coredns", "a=b")), ["names/coredns@[10.96.0.10] UDP/53>"]);
    assert_eq!(
        found(elsewhere("names/resolver", select)),
        ["names/resolver@[10.96.0.10] UDP/53>names/Deployment/coredns:53"]
    );
    // An application's own name server is not the cluster's.
    assert!(found(elsewhere("names/powerdns", "a=b")).is_empty());
    let metrics = service("kube-system/metrics-server", "a=b", "10.96.0.9", "TCP/443->443");
    assert!(found(kube_system(vec![metrics])).is_empty());
}

#[test]
fn node_local_dns_by_name_and_arguments() {
    let cache = |reference: &str, labelled: &str, host_network, command: &str| Objects {
        controllers: vec![Controller {
            template: PodSpec { host_network, ..runs(command) },
            ..controller(reference, labelled)
        }],
        ..Objects::default()
    };
    let both = "/node-cache -localip 169.254.20.10,10.96.0.10 -conf /etc/Corefile";
    let cases = [
        (
            "kube-system/DaemonSet/node-local-dns",
            "a=b",
            true,
            both,
            Some("10.96.0.10 169.254.20.10"),
        ),
        (
            "kube-system/DaemonSet/nodelocaldns",
            "a=b",
            true,
            "c -localip=169.254.25.10",
            Some("169.254.25.10"),
        ),
        (
            "kube-system/DaemonSet/dns",
            "k8s-app=node-local-dns",
            false,
            both,
            Some("10.96.0.10 169.254.20.10"),
        ),
        ("kube-system/DaemonSet/other", "a=b", true, both, None),
    ];
    for (reference, labelled, host_network, command, expected) in cases {
        let dns = inventory(cache(reference, labelled, host_network, command)).dns().clone();
        let expected = expected.map(|addresses| NodeLocalDns {
            workload: workload_ref(reference),
            host_network,
            addresses: ips(addresses),
        });
        assert_eq!(dns.node_local, expected, "{reference}");
    }
    let silent = cache("kube-system/DaemonSet/node-local-dns", "a=b", true, "/node-cache");
    assert_eq!(findings(silent, "node-local-dns-address-unknown").len(), 1);
}
