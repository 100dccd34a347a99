//! A machine outside Kubernetes as it describes itself.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// A machine outside Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The addresses under which others may know it, sorted.
    pub addresses: Vec<IpAddr>,
    /// What its operator says of it.
    pub tags: BTreeMap<String, String>,
    /// Its operating system, for people; empty when it does not say.
    pub system: String,
}

impl Host {
    /// The machine as it is now. The agent has to run in its network namespace.
    pub fn now(tags: &BTreeMap<String, String>) -> io::Result<Self> {
        let release = ["/etc/os-release", "/usr/lib/os-release"];
        let release = release.into_iter().find_map(|path| fs::read_to_string(path).ok());
        let system = release.as_deref().and_then(system).unwrap_or_default();
        Ok(Self { addresses: addresses(Path::new("/sys/class/net"))?, tags: tags.clone(), system })
    }
}

/// The addresses of the interfaces that are up: neither loopback nor link-local ones, nor those that only containers
/// on this machine see, which other machines have too.
fn addresses(interfaces: &Path) -> io::Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    for interface in getifaddrs()? {
        let is_up = interface.flags.contains(InterfaceFlags::IFF_UP)
            && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        if !is_up || is_for_containers(&interfaces.join(&interface.interface_name)) {
            continue;
        }
        let Some(address) = interface.address else { continue };
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        let v6 = address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()));
        found.extend(v4.or(v6).filter(|ip| !is_local(*ip)));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

const fn is_local(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    link_local || ip.is_loopback()
}

/// Whether an interface is a bridge with nothing behind it but virtual ports, as container engines make them. A bridge
/// to the network has a device or, through bonds and VLANs, an interface that stands on one among its ports.
fn is_for_containers(interface: &Path) -> bool {
    let Ok(ports) = fs::read_dir(interface.join("brif")) else { return false };
    let leads_out = |port: &Path| {
        let is_lower = |name: &str| name == "device" || name.starts_with("lower_");
        let entries = fs::read_dir(port).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| is_lower(&name))
    };
    let beside = |port: fs::DirEntry| interface.with_file_name(port.file_name());
    !ports.flatten().any(|port| leads_out(&beside(port)))
}

const QUOTES: [char; 2] = ['"', '\''];

/// `PRETTY_NAME` of the release file (freedesktop.org, os-release).
fn system(release: &str) -> Option<String> {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?.trim();
    let bare = name.strip_prefix(QUOTES).and_then(|name| name.strip_suffix(QUOTES)).unwrap_or(name);
    (!bare.is_empty()).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridges_for_containers_are_told_from_those_to_the_network() {
        let net = tempfile::tempdir().unwrap();
        let make = |path: &str| fs::create_dir_all(net.path().join(path)).unwrap();
        for made in
            ["eth0/device", "veth1/power", "bond0/lower_eth1", "docker0/brif/veth1", "virbr0/brif"]
        {
            make(made);
        }
        make("br0/brif/eth0");
        make("br0/brif/veth1");
        make("br1/brif/bond0");
        for (interface, expected) in [
            ("eth0", false),
            ("docker0", true),
            ("virbr0", true),
            ("br0", false),
            ("br1", false),
            ("gone", false),
        ] {
            assert_eq!(is_for_containers(&net.path().join(interface)), expected, "{interface}");
        }
    }

    #[test]
    fn the_release_file_names_the_system() {
        let debian = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n";
        assert_eq!(system(debian).as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(system("PRETTY_NAME='X 1'").as_deref(), Some("X 1"));
        assert_eq!(system("PRETTY_NAME=X").as_deref(), Some("X"));
        assert_eq!(system("PRETTY_NAME=\"\"\n"), None);
        assert_eq!(system("ID=x\n"), None);
    }

    #[test]
    fn this_machine_has_no_address_that_everybody_has() {
        let host = Host::now(&BTreeMap::new()).unwrap();
        assert!(host.addresses.is_sorted() && !host.addresses.iter().any(|ip| is_local(*ip)));
    }
}
