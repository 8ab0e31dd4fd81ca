//! Resource limits, inherited descriptors, and the last privileges of a process.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capability_is_in_bounding_set,
    clear_ambient_capability_set, configure_capability_in_ambient_set, no_new_privs,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
    set_no_new_privs,
};

use super::spec::Limits;

/// Closes every descriptor but standard input, output and error.
///
/// # Errors
/// When `/proc` cannot be read: nobody knows then what is open.
pub fn close_inherited() -> io::Result<()> {
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        open.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // The one that listed them is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

/// Sets the limits. The number of processes counts against everything else that the user runs,
/// unless a user namespace was entered before.
///
/// # Errors
/// What the kernel gives.
pub fn set(limits: &Limits) -> io::Result<()> {
    let hard = |value: u64| Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    for (resource, value) in [
        (Resource::Nproc, limits.processes),
        (Resource::Nofile, limits.open_files),
        (Resource::Fsize, limits.file_bytes),
        (Resource::As, limits.address_bytes),
        (Resource::Data, limits.data_bytes),
        (Resource::Core, 0),
    ] {
        let had = rustix::process::getrlimit(resource).maximum;
        let value = had.map_or(value, |had| had.min(value));
        setrlimit(resource, hard(value))?;
    }
    // When memory runs out, what runs inside is what the kernel ends first.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

/// Hands the capabilities over the next `execve`, within a user namespace.
///
/// # Errors
/// What the kernel gives.
pub fn keep_capabilities() -> io::Result<()> {
    let mut sets = rustix::thread::capabilities(None)?;
    sets.inheritable = sets.permitted;
    set_capabilities(None, sets)?;
    for capability in sets.permitted.iter() {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

/// Gives up every capability, for this process and all it will ever start, and the right to gain
/// privileges by executing a program.
///
/// # Errors
/// What the kernel gives.
pub fn drop_privileges() -> io::Result<()> {
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    let had = rustix::thread::capabilities(None)?.effective;
    if had.contains(CapabilitySet::SETPCAP) {
        for capability in CapabilitySet::all().iter() {
            // Newer than the kernel: it is not there.
            if capability_is_in_bounding_set(capability).unwrap_or(false) {
                remove_capability_from_bounding_set(capability)?;
            }
        }
        // To be user 0 is worth nothing any more.
        set_capabilities_secure_bits(
            CapabilitiesSecureBits::NO_ROOT
                | CapabilitiesSecureBits::NO_ROOT_LOCKED
                | CapabilitiesSecureBits::NO_SETUID_FIXUP
                | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED,
        )?;
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    set_capabilities(None, sets)?;
    if no_new_privs()? {
        Ok(())
    } else {
        Err(io::Error::other("no_new_privs is not set"))
    }
}
