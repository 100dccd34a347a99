//! The system calls that `aya` does not offer. Every `unsafe` of the workspace is here.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

// Commands of bpf(2), from the kernel's interface (include/uapi/linux/bpf.h).
const MAP_CREATE: u32 = 0;
const MAP_LOOKUP_ELEM: u32 = 1;
const MAP_UPDATE_ELEM: u32 = 2;
const MAP_LOOKUP_BATCH: u32 = 24;
const MAP_DELETE_BATCH: u32 = 27;
const LINK_CREATE: u32 = 28;
const ITER_CREATE: u32 = 33;

const TYPE_ARRAY_OF_MAPS: u32 = 12;
const ATTACH_ITER: u32 = 28;

/// Elements that one call reads or deletes. A bucket of a hash table must fit.
const BATCH: usize = 4096;

/// The part of `union bpf_attr` that creates maps.
#[repr(C)]
#[derive(Default)]
struct CreateMap {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map: u32,
}

/// The part that is about one element.
#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The part that is about many.
#[repr(C)]
struct Batch {
    from: u64,
    to: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// The part that attaches an iterator.
#[repr(C)]
struct CreateLink {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    information: u64,
    information_length: u32,
    padding: u32,
}

/// The part that opens one.
#[repr(C)]
struct CreateIterator {
    link: u32,
    flags: u32,
}

/// Calls bpf(2).
///
/// # Safety
///
/// `attributes` must be the part of `union bpf_attr` that belongs to `command`, and the pointers in it valid for it.
unsafe fn bpf<T>(command: u32, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: the caller vouches for the attributes, and their size is given to the kernel.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>())
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd().cast_unsigned()
}

fn address<T>(slice: &[T]) -> u64 {
    slice.as_ptr() as u64
}

/// Owns the descriptor that a call returned.
fn own(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just made it for this call, so that nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The value of one key. `value` must be as long as the map's values, and the key as its keys.
pub(crate) fn lookup(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> io::Result<()> {
    let mut attributes = Element {
        map: number(map),
        padding: 0,
        key: address(key),
        value: value.as_mut_ptr() as u64,
        flags: 0,
    };
    // SAFETY: both slices outlive the call; their lengths are those of the map, which `tables` takes from `records.h`.
    unsafe { bpf(MAP_LOOKUP_ELEM, &mut attributes) }.map(drop)
}

/// Sets the value of one key, as long as the map's values and keys.
pub(crate) fn update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attributes = Element {
        map: number(map),
        padding: 0,
        key: address(key),
        value: address(value),
        flags: 0,
    };
    // SAFETY: as in `lookup`; the kernel only reads.
    unsafe { bpf(MAP_UPDATE_ELEM, &mut attributes) }.map(drop)
}

/// Hands all elements of a hash table to `visit`, keys and values in rows of these sizes. The order is the table's.
pub(crate) fn read_all(
    map: BorrowedFd<'_>,
    key_size: usize,
    value_size: usize,
    mut visit: impl FnMut(&[u8], &[u8]),
) -> io::Result<()> {
    let mut keys = vec![0_u8; BATCH * key_size];
    let mut values = vec![0_u8; BATCH * value_size];
    // A place in a hash table is the number of a bucket, of four bytes.
    let mut place = [0_u32; 1];
    let mut next = [0_u32; 1];
    let mut begun = false;
    loop {
        let mut attributes = Batch {
            from: if begun { address(&place) } else { 0 },
            to: next.as_mut_ptr() as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(BATCH).map_err(io::Error::other)?,
            map: number(map),
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: the buffers have room for `count` elements of the map's sizes and outlive the call.
        let outcome = unsafe { bpf(MAP_LOOKUP_BATCH, &mut attributes) };
        let last = match outcome {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
        };
        let read = attributes.count as usize;
        for (key, value) in
            keys.chunks_exact(key_size).zip(values.chunks_exact(value_size)).take(read)
        {
            visit(key, value);
        }
        if last {
            return Ok(());
        }
        place = next;
        begun = true;
    }
}

/// Deletes these keys, which must all be in the map.
pub(crate) fn delete_all(map: BorrowedFd<'_>, keys: &[u8], key_size: usize) -> io::Result<()> {
    for keys in keys.chunks(BATCH * key_size) {
        let mut attributes = Batch {
            from: 0,
            to: 0,
            keys: address(keys),
            values: 0,
            count: u32::try_from(keys.len() / key_size).map_err(io::Error::other)?,
            map: number(map),
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: the slice holds `count` keys and outlives the call.
        unsafe { bpf(MAP_DELETE_BATCH, &mut attributes) }?;
    }
    Ok(())
}

/// Makes the array of one map that [`wait_for_programs`] needs.
pub(crate) fn create_barrier(inner: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attributes = CreateMap {
        kind: TYPE_ARRAY_OF_MAPS,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        flags: 0,
        inner_map: number(inner),
    };
    // SAFETY: no pointers in these attributes.
    unsafe { bpf(MAP_CREATE, &mut attributes) }.map(own)
}

/// Returns when every program that was running when it was called has ended: the kernel promises that to whoever
/// replaces a map inside of another.
pub(crate) fn wait_for_programs(barrier: BorrowedFd<'_>, inner: BorrowedFd<'_>) -> io::Result<()> {
    update(barrier, &0_u32.to_ne_bytes(), &number(inner).to_ne_bytes())
}

/// Runs an iterator program over the elements of a map.
pub(crate) fn iterate_map(program: BorrowedFd<'_>, map: BorrowedFd<'_>) -> io::Result<()> {
    // `union bpf_iter_link_info`: the map comes first, and all of its other members are shorter than 16 bytes.
    let information = [number(map), 0, 0, 0];
    let mut attributes = CreateLink {
        program: number(program),
        target: 0,
        attach_type: ATTACH_ITER,
        flags: 0,
        information: address(&information),
        information_length: 16,
        padding: 0,
    };
    // SAFETY: `information` is as long as said and outlives the call.
    let link = unsafe { bpf(LINK_CREATE, &mut attributes) }.map(own)?;
    run_iterator(link.as_fd())
}

/// Runs an iterator program over what the calling thread's network namespace has.
pub(crate) fn iterate(program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = CreateLink {
        program: number(program),
        target: 0,
        attach_type: ATTACH_ITER,
        flags: 0,
        information: 0,
        information_length: 0,
        padding: 0,
    };
    // SAFETY: no pointers in these attributes.
    let link = unsafe { bpf(LINK_CREATE, &mut attributes) }.map(own)?;
    run_iterator(link.as_fd())
}

fn run_iterator(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = CreateIterator { link: number(link), flags: 0 };
    // SAFETY: no pointers in these attributes.
    let iterator = unsafe { bpf(ITER_CREATE, &mut attributes) }.map(own)?;
    // The programs write nothing; reading to the end is what runs them.
    io::copy(&mut std::fs::File::from(iterator), &mut io::sink()).map(drop)
}

/// Moves the calling thread into a network namespace.
pub(crate) fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The cookie of the network namespace of a socket.
pub(crate) fn cookie_of(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length: libc::socklen_t = 8;
    // SAFETY: the kernel writes at most `length` bytes, the size of the cookie.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            std::ptr::from_mut(&mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}
