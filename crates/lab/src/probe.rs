//! Whether a machine can have a lab.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use ringfence_model::object::Objects;

use crate::premises::cgroup2;
use crate::{Lab, LabError, services};

/// Builds the smallest lab, and asks the agent whether it can observe.
///
/// # Errors
/// The first thing that is missing.
pub fn probe(agent: &Path) -> Result<(), LabError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(LabError::NoRoot);
    }
    let nothing = Objects::default();
    let lab = Lab::up(&format!("rf-probe-{}", std::process::id()), &nothing, &[])?;
    lab.load(&services::render(&nothing))?;
    drop(lab);
    let cgroup = cgroup2()?;
    let kill = cgroup.join(format!("rf-probe-{}", std::process::id()));
    fs::create_dir(&kill).map_err(LabError::at(&kill))?;
    let can_kill = kill.join("cgroup.kill").exists();
    fs::remove_dir(&kill).map_err(LabError::at(&kill))?;
    if !can_kill {
        let old = io::Error::other("the kernel cannot end the processes of a cgroup at once");
        return Err(LabError::at(&cgroup)(old));
    }
    let output = Command::new(agent).arg("probe").output().map_err(LabError::at(agent))?;
    let findings = String::from_utf8_lossy(&output.stdout);
    match findings.lines().find(|line| line.starts_with("observes")) {
        Some(how) if how.starts_with("observes by") => Ok(()),
        Some(why) => Err(LabError::Blind(why.to_owned())),
        None => Err(LabError::Blind(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}
