//! Which errors a system call can end with, as its manual says, and what is left alone.

use nix::libc as c;

use crate::victims::tracer::Call;

/// The errors that a call may be made to fail with; none for calls that cannot fail, or whose failure is not the bus's to
/// handle.
pub(crate) fn plausible(call: Call) -> &'static [i32] {
    // What the allocator maps for itself is its own affair; without memory a program ends.
    let anonymous = call.arguments[3] & c::MAP_ANONYMOUS as u64 != 0;
    match call.number {
        c::SYS_socket => &[c::EMFILE, c::ENFILE, c::ENOBUFS],
        c::SYS_connect => &[c::EAGAIN, c::ENOMEM],
        c::SYS_bind => &[c::ENOMEM],
        c::SYS_listen => &[c::EADDRINUSE],
        c::SYS_accept4 => &[c::EMFILE, c::ENFILE, c::ENOBUFS, c::ECONNABORTED, c::EINTR],
        c::SYS_sendmsg => &[c::ENOBUFS, c::ENOMEM, c::ETOOMANYREFS, c::EINTR, c::EAGAIN],
        // A doorbell finds no room only where there are bells enough.
        c::SYS_sendto if call.arguments[2] == 1 => &[c::ENOBUFS, c::ENOMEM],
        c::SYS_sendto => &[c::ENOBUFS, c::ENOMEM, c::EINTR, c::EAGAIN],
        c::SYS_recvmsg => &[c::ENOMEM, c::EINTR],
        c::SYS_recvfrom => &[c::ENOMEM, c::EINTR],
        c::SYS_memfd_create => &[c::EMFILE, c::ENFILE, c::ENOMEM],
        c::SYS_ftruncate | c::SYS_fallocate => &[c::ENOMEM, c::EINTR, c::EIO],
        c::SYS_fcntl => match call.arguments[1] as i32 {
            c::F_DUPFD_CLOEXEC => &[c::EMFILE],
            c::F_ADD_SEALS => &[c::EBUSY],
            c::F_OFD_SETLK => &[c::EAGAIN, c::ENOLCK],
            _ => &[],
        },
        c::SYS_mmap if !anonymous => &[c::ENOMEM, c::ENFILE],
        c::SYS_madvise => &[c::EAGAIN],
        c::SYS_epoll_create1 | c::SYS_eventfd2 => &[c::EMFILE, c::ENFILE, c::ENOMEM],
        c::SYS_epoll_ctl => &[c::ENOMEM, c::ENOSPC],
        c::SYS_epoll_wait | c::SYS_epoll_pwait => &[c::EINTR],
        c::SYS_ppoll | c::SYS_poll => &[c::EINTR, c::ENOMEM],
        // Counters of events, which never wait: they cannot fail. What else is written is the test's own.
        c::SYS_flock => &[c::EINTR, c::ENOLCK, c::EWOULDBLOCK],
        c::SYS_clone3 => &[c::EAGAIN],
        c::SYS_openat => &[c::EMFILE, c::ENFILE, c::ENOENT],
        c::SYS_getrandom => &[c::EINTR],
        c::SYS_prlimit64 => &[c::EPERM],
        c::SYS_close => &[c::EINTR],
        _ => &[],
    }
}

/// The name of a call, for people.
pub(crate) fn name(number: i64) -> String {
    let names: &[(i64, &str)] = &[
        (c::SYS_socket, "socket"),
        (c::SYS_connect, "connect"),
        (c::SYS_bind, "bind"),
        (c::SYS_listen, "listen"),
        (c::SYS_accept4, "accept4"),
        (c::SYS_sendmsg, "sendmsg"),
        (c::SYS_sendto, "sendto"),
        (c::SYS_recvmsg, "recvmsg"),
        (c::SYS_recvfrom, "recvfrom"),
        (c::SYS_getsockopt, "getsockopt"),
        (c::SYS_setsockopt, "setsockopt"),
        (c::SYS_memfd_create, "memfd_create"),
        (c::SYS_ftruncate, "ftruncate"),
        (c::SYS_fallocate, "fallocate"),
        (c::SYS_fcntl, "fcntl"),
        (c::SYS_mmap, "mmap"),
        (c::SYS_madvise, "madvise"),
        (c::SYS_epoll_create1, "epoll_create1"),
        (c::SYS_eventfd2, "eventfd2"),
        (c::SYS_epoll_ctl, "epoll_ctl"),
        (c::SYS_epoll_wait, "epoll_wait"),
        (c::SYS_ppoll, "ppoll"),
        (c::SYS_read, "read"),
        (c::SYS_write, "write"),
        (c::SYS_flock, "flock"),
        (c::SYS_clone3, "clone3"),
        (c::SYS_openat, "openat"),
        (c::SYS_close, "close"),
    ];
    names.iter().find(|known| known.0 == number).map_or_else(|| format!("call {number}"), |known| known.1.to_owned())
}
