//! The kernel's name for a network namespace.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::thread;

use crate::sys;

/// The cookie of a network namespace, given an open `/proc/PID/ns/net` or the like: what [`crate::FlowKey`] has.
/// Unlike the inode it is never used again. Entering takes `CAP_SYS_ADMIN`.
pub fn namespace_cookie(namespace: BorrowedFd<'_>) -> io::Result<u64> {
    within(namespace, || {
        sys::cookie_of(UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"))?.as_fd())
    })
}

/// Does something in a network namespace, in a thread that is not used again.
pub(crate) fn within<T: Send>(
    namespace: BorrowedFd<'_>,
    act: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let entered = thread::Builder::new().spawn_scoped(scope, || {
            sys::enter(namespace)?;
            act()
        })?;
        entered.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    })
}
