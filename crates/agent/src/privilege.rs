//! Only what is needed, from when it is no longer needed.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs,
};

/// What the start takes, as `deploy/` says it: the programs, and entering the network namespaces that are there.
pub const AT_START: [&str; 5] = ["BPF", "NET_ADMIN", "PERFMON", "SYS_ADMIN", "SYS_PTRACE"];

/// What observing takes after the start: the maps and iterators, and, to tell whose the network namespaces of further
/// processes are, looking at them.
const KEPT: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::SYS_PTRACE);

/// Whether network namespaces are entered after the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entering {
    /// No more: programs see all of them.
    Ends,
    /// Time and again, to look at their sockets: that takes `CAP_SYS_ADMIN`.
    GoesOn,
}

/// Gives up every capability but those, for good, for the calling thread and those that it starts later: to be called
/// before there are others.
pub fn drop_privileges(entering: Entering) -> io::Result<()> {
    // No program that is started can bring any back.
    set_no_new_privs(true)?;
    let own = capabilities(None)?;
    let needed = match entering {
        Entering::Ends => KEPT,
        Entering::GoesOn => KEPT.union(CapabilitySet::SYS_ADMIN),
    };
    let kept = own.permitted.intersection(needed);
    set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Entering, KEPT, drop_privileges};

    /// The lines of `/proc/thread-self/status` that say what a thread may do.
    fn own() -> Vec<(String, u64)> {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let lines = status.lines().filter_map(|line| {
            let (name, value) = line.split_once(":\t")?;
            let named = ["CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs"].contains(&name);
            named.then(|| (name.to_owned(), u64::from_str_radix(value, 16).unwrap()))
        });
        lines.collect()
    }

    #[test]
    fn what_is_given_up_stays_given_up() {
        let (before, after, inherited) = std::thread::spawn(|| {
            let before = own();
            drop_privileges(Entering::Ends).unwrap();
            (before, own(), std::thread::spawn(own).join().unwrap())
        })
        .join()
        .unwrap();
        assert_eq!(after, inherited, "threads that are started later have no more");
        for ((name, had), (_, has)) in before.into_iter().zip(after) {
            let expected = match name.as_str() {
                "NoNewPrivs" => 1,
                "CapPrm" | "CapEff" => had & KEPT.bits(),
                _ => 0,
            };
            assert_eq!(has, expected, "{name}");
        }
    }
}
