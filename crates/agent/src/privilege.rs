//! Only what is needed, from when it is no longer needed.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What observing takes after the start: the maps and iterators, and reading whose processes are.
const KEPT: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH);

/// Gives up every capability but those, for the calling thread and those that it starts later: to be called before
/// there are others. Entering further network namespaces is over with it.
pub fn drop_privileges() -> io::Result<()> {
    let own = capabilities(None)?;
    let kept = own.permitted.intersection(KEPT);
    set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )?;
    Ok(())
}
