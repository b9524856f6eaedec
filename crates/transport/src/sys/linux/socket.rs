//! Packet sockets that carry descriptors: the doorbell, the death notice and the handshakes of the bus.
//!
//! `SOCK_SEQPACKET` keeps packets apart, so a byte is a message, and names are abstract, so nothing is left in
//! a file system. Everything is non-blocking, and a closed peer is an error, never SIGPIPE.
//!
//! Receiving is the delicate half. The kernel hands out descriptors as it copies a packet and drops, with the
//! packet, those for which the process has no free number. So a packet is peeked at first: if all its
//! descriptors came, it is taken off the queue with no room for them, by which the kernel gives up its own
//! references and ours remain; if not, those that came are closed and the packet stays where it is, complete,
//! until there are numbers again. One thread at a time may receive from a socket.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use super::descriptor::{Fd, create};
use crate::error::ConnectError;
use crate::fork;

/// Descriptors in one packet at most (`SCM_MAX_FD`).
pub const MAX_FDS: usize = 253;
/// The most descriptors of a packet that opens a connection.
const FEW_FDS: usize = 4;
/// The packet that only says "look": what [`Socket::ring`] sends.
pub const DOORBELL: u8 = b'D';

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Who is on the other side, as the kernel noted when it connected or listened; it stays true after its death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peercred {
    /// Its process, 0 when that is in a namespace we cannot see.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
}

/// What a look at a socket brought.
#[derive(Debug)]
pub enum Received {
    /// A packet, now ours alone.
    Packet {
        /// Bytes of it in the buffer.
        len: usize,
        /// It was longer than the buffer; the rest is lost.
        truncated: bool,
        /// What came with it, in order.
        fds: Vec<Fd>,
    },
    /// Nothing waits.
    Empty,
    /// A packet waits with more descriptors than this process may open now. It stays there; its bytes are in the buffer.
    NoRoomForFds,
    /// Everything was read and the peer is gone (or sent an empty packet, which looks the same and ends it too).
    End,
}

/// A name under which peers connect.
#[derive(Debug)]
pub struct Listener {
    fd: Fd,
}

impl Listener {
    /// Takes an abstract name and listens under it, atomically: the loser of a race gets
    /// [`io::ErrorKind::AddrInUse`].
    pub fn bind(name: &[u8], backlog: i32) -> io::Result<Listener> {
        let fd = new_socket()?;
        rustix::net::bind(&fd, &SocketAddrUnix::new_abstract_name(name)?)?;
        rustix::net::listen(&fd, backlog)?;
        Ok(Listener { fd })
    }

    /// The listener behind a descriptor that a peer sent, or [`io::ErrorKind::InvalidInput`] when it is none.
    pub fn from_fd(fd: Fd) -> io::Result<Listener> {
        use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
        let listens = socket_domain(&fd)? == AddressFamily::UNIX
            && socket_type(&fd)? == SocketType::SEQPACKET
            && socket_acceptconn(&fd)?;
        if !listens {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a listening packet socket"));
        }
        let flags = fcntl_getfl(&fd)?;
        if !flags.contains(OFlags::NONBLOCK) {
            fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
        }
        Ok(Listener { fd })
    }

    /// The next peer that has connected, if any.
    pub fn accept(&self) -> io::Result<Option<Socket>> {
        match create(|| Ok(rustix::net::accept_with(&self.fd, FLAGS)?)) {
            Ok(fd) => {
                refuse_extras(&fd)?;
                Ok(Some(Socket { fd }))
            }
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Listens again, in our own name: from now on those who connect see this process as their peer, and not
    /// the one that handed the listener on.
    pub fn relisten(&self, backlog: i32) -> io::Result<()> {
        Ok(rustix::net::listen(&self.fd, backlog)?)
    }

    /// The descriptor, to wait for or to send on.
    pub fn fd(&self) -> &Fd {
        &self.fd
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Socket {
    fd: Fd,
}

impl Socket {
    /// Connects to an abstract name. The peer need not accept for that: packets wait until it does.
    pub fn connect(name: &[u8]) -> Result<Socket, ConnectError> {
        let address = SocketAddrUnix::new_abstract_name(name).map_err(io::Error::from)?;
        let fd = new_socket()?;
        match rustix::net::connect(&fd, &address) {
            Ok(()) => Ok(Socket { fd }),
            Err(Errno::CONNREFUSED) => Err(ConnectError::Refused),
            Err(Errno::AGAIN) => Err(ConnectError::Busy),
            Err(error) => Err(ConnectError::Io(error.into())),
        }
    }

    /// Two ends that are connected with each other.
    pub fn pair() -> io::Result<(Socket, Socket)> {
        let _guard = fork::guard();
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, FLAGS, None)?;
        Ok((Socket { fd: Fd::adopt(one) }, Socket { fd: Fd::adopt(other) }))
    }

    /// Who is on the other side.
    pub fn peer(&self) -> io::Result<Peercred> {
        credentials(&self.fd)
    }

    /// Sends one packet with up to [`MAX_FDS`] descriptors, all or nothing. False when there is no room: the
    /// queue is full, or this user has too many descriptors in flight. A peer that is gone is
    /// [`io::ErrorKind::BrokenPipe`] or [`io::ErrorKind::ConnectionReset`].
    ///
    /// # Panics
    /// With no bytes: the peer could not tell it from the end.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<bool> {
        assert!(!bytes.is_empty(), "an empty packet looks like the end");
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let result = if fds.is_empty() {
            rustix::net::send(&self.fd, bytes, flags)
        } else {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !control.push(SendAncillaryMessage::ScmRights(fds)) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for a packet"));
            }
            rustix::net::sendmsg(&self.fd, &[IoSlice::new(bytes)], &mut control, flags)
        };
        match result {
            Ok(_) => Ok(true),
            Err(Errno::TOOMANYREFS) => {
                look_for_cycles();
                Ok(false)
            }
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Rings the peer's doorbell. A full queue has bells enough in it, and a dead peer needs none, so it
    /// cannot fail.
    pub fn ring(&self) {
        self.knock(DOORBELL);
    }

    /// Sends one byte for which somebody may wait who looks at nothing else: where the kernel has no memory for it just
    /// now, it is sent again.
    pub fn knock(&self, byte: u8) {
        const TIMES: usize = 1000;
        for _ in 0..TIMES {
            match rustix::net::send(&self.fd, &[byte], SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Err(Errno::NOBUFS | Errno::NOMEM | Errno::INTR) => std::thread::yield_now(),
                _ => return,
            }
        }
    }

    /// Takes the next packet, with all its descriptors or not at all. A doorbell costs two calls.
    pub fn receive(&self, buf: &mut [u8]) -> io::Result<Received> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        self.receive_up_to(buf, &mut space, MAX_FDS)
    }

    /// The same from one who may send no more than four descriptors yet. A packet with more counts as truncated,
    /// and takes no more than that of the process's table for a moment.
    pub fn receive_few(&self, buf: &mut [u8]) -> io::Result<Received> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FEW_FDS))];
        self.receive_up_to(buf, &mut space, FEW_FDS)
    }

    fn receive_up_to(&self, buf: &mut [u8], space: &mut [MaybeUninit<u8>], most: usize) -> io::Result<Received> {
        // New descriptors are adopted before the guard ends.
        let _guard = fork::guard();
        let mut control = RecvAncillaryBuffer::new(space);
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let mut ended = false;
        let peeked = loop {
            let result = rustix::net::recvmsg(&self.fd, &mut [IoSliceMut::new(buf)], &mut control, flags);
            match result {
                // The kernel looks at the queue first and asks then whether the peer is gone, so what the peer sent
                // and closed behind in between is still there. Only a second look, after the end, tells.
                Ok(message) if message.bytes == 0 && !ended => {
                    ended = true;
                    control.drain().for_each(drop);
                }
                Ok(message) => break message,
                Err(Errno::AGAIN) => return Ok(Received::Empty),
                // A peer that closed with packets of ours unread. It is told once, before its own last
                // packets, which are still to be read.
                Err(Errno::CONNRESET | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(came) = message {
                fds.extend(came.map(Fd::adopt));
            }
        }
        if peeked.flags.contains(ReturnFlags::CTRUNC) {
            if most == MAX_FDS || fds.len() < most {
                return Ok(Received::NoRoomForFds);
            }
            self.discard()?;
            return Ok(Received::Packet { len: peeked.bytes, truncated: true, fds: Vec::new() });
        }
        if peeked.bytes == 0 {
            return Ok(Received::End);
        }
        self.discard()?;
        Ok(Received::Packet { len: peeked.bytes, truncated: peeked.flags.contains(ReturnFlags::TRUNC), fds })
    }

    /// Whether the peer sends nothing more. What it has sent may wait still, and stays where it is.
    pub fn has_hung_up(&self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.fd.as_fd(), PollFlags::RDHUP)];
        rustix::event::poll(&mut fds, Some(&Timespec::default())).is_ok_and(|count| count > 0)
    }

    /// Ends the conversation in both directions: both sides are told as if the other had closed.
    pub fn hang_up(&self) {
        // A connection that is over already cannot be ended again, and need not be.
        let _ = rustix::net::shutdown(&self.fd, rustix::net::Shutdown::Both);
    }

    /// Drops the packet that there was just no room for.
    pub fn refuse(&self) -> io::Result<()> {
        self.discard()
    }

    /// Takes the packet that was just peeked at off the queue; the kernel drops its references.
    fn discard(&self) -> io::Result<()> {
        loop {
            match rustix::net::recv(&self.fd, &mut [0_u8; 1], RecvFlags::DONTWAIT) {
                Ok(_) => return Ok(()),
                // The peer closed just now; the packet is still the first in the queue.
                Err(Errno::CONNRESET | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The descriptor, to wait for.
    pub fn fd(&self) -> &Fd {
        &self.fd
    }
}

/// Has the kernel look for sockets that are on their way in each other, whose senders and receivers are gone: they stay
/// in the budget of their user until it does, and it does when a Unix socket is closed, whoever's. On a machine where
/// nobody closes one the budget would stay used up.
#[cold]
fn look_for_cycles() {
    drop(Socket::pair());
}

/// Switches off whatever the kernel would add to our packets by itself. A connection inherits these wishes from
/// the listener, which others may hold too: credentials would take the room of descriptors, and the descriptor
/// of a process that comes unasked with each packet would stay open unnoticed.
fn refuse_extras(fd: &Fd) -> io::Result<()> {
    /// `SO_PASSPIDFD` of Linux 6.5, not in libc yet.
    const PASSPIDFD: libc::c_int = 76;
    for option in [libc::SO_PASSCRED, libc::SO_PASSSEC, PASSPIDFD] {
        let off: libc::c_int = 0;
        let length = mem::size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the kernel reads one integer.
        let result = unsafe { libc::setsockopt(fd.raw(), libc::SOL_SOCKET, option, (&raw const off).cast(), length) };
        if result != 0 {
            let error = io::Error::last_os_error();
            // A kernel that does not know an extra does not add it.
            if !matches!(error.raw_os_error(), Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP)) {
                return Err(error);
            }
        }
    }
    Ok(())
}

fn new_socket() -> io::Result<Fd> {
    create(|| Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, FLAGS, None)?))
}

/// Whom the kernel noted as the other side of a socket.
fn credentials(fd: &Fd) -> io::Result<Peercred> {
    // Not rustix's: its process id cannot be 0, which a peer of another namespace has.
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = mem::size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, and the structure is made of integers.
    let result = unsafe {
        libc::getsockopt(fd.raw(), libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut credentials).cast(), &raw mut length)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Peercred { pid: credentials.pid.unsigned_abs(), uid: credentials.uid })
}
