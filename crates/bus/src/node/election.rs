//! How an endpoint comes to play controller: by taking a name that is free, or a lock that the kernel gave back.

use std::io;
use std::sync::Arc;

use ipmb_transport::sys::{self, Listener, LockFile};

use super::Node;
use super::host::Host;
use super::member::Membership;
use super::succession::{self, Claim};
use crate::directory::Snapshot;
use crate::limits;
use crate::names;
use crate::reactor::lock;

impl Node {
    /// Takes the free name of the bus. Somebody else may be quicker, which is no error.
    pub(super) fn found(self: &Arc<Node>, member: &mut Membership) -> io::Result<()> {
        let listener = match Listener::bind(&names::rendezvous(&self.me.identifier), limits::LISTEN_BACKLOG) {
            Ok(listener) => listener,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(()),
            Err(error) => return Err(error),
        };
        let election = Arc::new(LockFile::create()?);
        if !election.try_lock()? {
            return Ok(());
        }
        self.rule(member, listener, election, None)
    }

    /// Asks for the role when the controller is gone. The kernel gives it to one.
    pub(super) fn try_to_succeed(self: &Arc<Node>, member: &mut Membership) {
        let (Some(election), Some(listener)) = (&member.lock, &member.listener) else { return };
        if self.is_controller() || self.has_left() || !election.try_lock().unwrap_or(false) {
            return;
        }
        let election = election.clone();
        let seed = lock(&self.view).reader().and_then(|reader| reader.read().ok());
        // It may have been a liar, whose numbers nobody would follow us to.
        let seed = seed.map(|seed| Snapshot { term: succession::believed(member.last_term, seed.term.into()), ..seed });
        let listener = listener.fd().try_clone().and_then(Listener::from_fd);
        match member.succession.claim(seed.as_ref(), election.left(), sys::now()) {
            Claim::Heir => {}
            Claim::Wait => return election.unlock(),
            Claim::Stranger => member.predecessor = None,
        }
        if listener.and_then(|listener| self.rule(member, listener, election.clone(), seed)).is_err() {
            // Out of descriptors or memory: another member may do better, and we try again.
            election.unlock();
        }
    }

    fn rule(
        self: &Arc<Node>,
        member: &mut Membership,
        listener: Listener,
        election: Arc<LockFile>,
        seed: Option<Snapshot>,
    ) -> io::Result<()> {
        let known = member.last_term.max(seed.as_ref().map_or(0, |seed| seed.term));
        let term = succession::later(known, election.left());
        let mut host = Host::start(self, listener, election, term, seed)?;
        host.follow(member.predecessor.take());
        *lock(&self.host) = Some(host);
        self.serve_first();
        Ok(())
    }
}
