//! Only what is needed, from when it is no longer needed.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What observing takes after the start: the maps and iterators, and reading whose processes are.
const KEPT: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH);

/// Whether network namespaces are entered after the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entering {
    /// No more: programs see all of them.
    Ends,
    /// Time and again, to look at their sockets: that takes `CAP_SYS_ADMIN`.
    GoesOn,
}

/// Gives up every capability but those, for the calling thread and those that it starts later: to be called before
/// there are others.
pub fn drop_privileges(entering: Entering) -> io::Result<()> {
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
