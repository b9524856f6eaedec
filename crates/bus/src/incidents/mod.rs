//! What is lost, refused or goes short while nobody is there to be told: each is counted, and the first of its kind told.
//!
//! All of it may happen in the core thread, which runs no code of a program. So the first incident of each kind at an
//! endpoint becomes a *notice*, which says what happened and what to do, in a queue of the process; a binding has one thread
//! that sleeps in [`next_notice`] and logs them. Counting is one addition, and nothing here is on the path of a message.
//! No notice holds anything of a message or a token.

mod notices;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use notices::{Level, Notice, close_notices, next_notice, take_notice};

use crate::identity::EndpointId;
use crate::stats::{DropReason, RefuseReason, Shortage};

/// Something that a program would want to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incident {
    Dropped(DropReason),
    Refused(RefuseReason),
    Short(Shortage),
    Expired,
    Redelivered,
    Duplicate,
    Takeover,
    Skipped,
}

const DROPPED: usize = 0;
const REFUSED: usize = DROPPED + DropReason::ALL.len();
const SHORT: usize = REFUSED + RefuseReason::ALL.len();
const OTHERS: usize = SHORT + Shortage::ALL.len();
const KINDS: usize = OTHERS + 5;
// One bit each says whether it was told.
const _: () = assert!(KINDS <= 64);

impl Incident {
    fn place(self) -> usize {
        match self {
            Incident::Dropped(reason) => DROPPED + reason as usize,
            Incident::Refused(reason) => REFUSED + reason as usize,
            Incident::Short(what) => SHORT + what as usize,
            Incident::Expired => OTHERS,
            Incident::Redelivered => OTHERS + 1,
            Incident::Duplicate => OTHERS + 2,
            Incident::Takeover => OTHERS + 3,
            Incident::Skipped => OTHERS + 4,
        }
    }

    /// Whether somebody else is told of it, or nothing is lost by it.
    fn level(self) -> Level {
        match self {
            Incident::Dropped(DropReason::NoRoute | DropReason::Full | DropReason::LateReply)
            | Incident::Short(Shortage::Parking | Shortage::RingGrowth)
            | Incident::Redelivered
            | Incident::Duplicate
            | Incident::Takeover
            | Incident::Skipped => Level::Info,
            Incident::Dropped(_) | Incident::Expired | Incident::Refused(_) | Incident::Short(Shortage::OpenFiles) => {
                Level::Warning
            }
        }
    }

    /// Which of the counters of `stats()` it is, and under which key where that has several.
    fn counter(self) -> (&'static str, Option<&'static str>) {
        match self {
            Incident::Dropped(reason) => ("dropped_by_reason", Some(reason.name())),
            Incident::Refused(reason) => ("refused_by_reason", Some(reason.name())),
            Incident::Short(what) => ("shortages_by_kind", Some(what.name())),
            Incident::Expired => ("expired", None),
            Incident::Redelivered => ("redelivered", None),
            Incident::Duplicate => ("duplicates", None),
            Incident::Takeover => ("takeovers", None),
            Incident::Skipped => ("skipped", None),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Incident::Dropped(reason) => match reason {
                DropReason::NoRoute => {
                    "a message was for nobody on the bus and had no ttl to wait: check its labels, or give a ttl"
                }
                DropReason::Full => {
                    "a message found no room and was dropped, as was asked for: its receiver reads too slowly"
                }
                DropReason::ReceiverGone => {
                    "a message is lost, its receiver died or closed with it unread: start another receiver, or give a ttl"
                }
                DropReason::Closed => {
                    "a message that waited was given up when this endpoint left, for want of room or of a controller: close it later"
                }
                DropReason::SenderGone => {
                    "a message is lost, it waited for a match when its sender died: send it from a process that lives on"
                }
                DropReason::LateReply => "a reply came after its request was given up: give requests a longer timeout",
            },
            Incident::Refused(reason) => match reason {
                RefuseReason::JoinPermission => {
                    "turned away a process of a user who is not admitted: run it as the same user, or have all endpoints admit its user"
                }
                RefuseReason::JoinToken => {
                    "turned away a process that gave another token, or other users: give the same token and users to all endpoints"
                }
                RefuseReason::JoinVersion => {
                    "turned away a process that speaks another version: use the same release of ipmb everywhere"
                }
                RefuseReason::JoinMalformed => {
                    "turned away a process that made no proper request to join: look what connects to this bus"
                }
                RefuseReason::JoinIdInUse => {
                    "turned away a process under the id of another endpoint: have it join again"
                }
                RefuseReason::JoinFull => "turned away a process because the bus is full: close some endpoints",
                RefuseReason::JoinSilent => {
                    "dropped a connection that did not join in time: look for a stopped process, or one that is no endpoint"
                }
                RefuseReason::JoinCrowded => {
                    "dropped a connection for a newer one, too many had not joined: look what connects and does not join"
                }
                RefuseReason::ChannelPermission => {
                    "refused a channel of a user who is not admitted: look what connects to this endpoint"
                }
                RefuseReason::ChannelProof => {
                    "refused a channel of one who is not the member it says it is: look what connects to this endpoint"
                }
                RefuseReason::ChannelMalformed => {
                    "refused a channel that was not properly opened: look what connects to this endpoint"
                }
                RefuseReason::ChannelSilent => {
                    "dropped a connection that opened no channel in time: look for a stopped process, or one that is no endpoint"
                }
                RefuseReason::ChannelCrowded => {
                    "dropped a connection for a newer one, too many had opened no channel: look what connects to this endpoint"
                }
                RefuseReason::Memory => {
                    "cut a channel off whose other side sent memory that could change its size or is none: end that process"
                }
                RefuseReason::Lie => {
                    "cut a member off that broke the protocol, what it sent last is lost: end that process"
                }
                RefuseReason::Impostor => {
                    "sent nothing to somebody who holds the name of another endpoint: end that process"
                }
                RefuseReason::Rejoin => {
                    "the new controller does not admit this endpoint, which tries again: it sees no newcomers meanwhile"
                }
            },
            Incident::Short(what) => match what {
                Shortage::OpenFiles => {
                    "this process has too many open files, others wait for it: close some, or raise ulimit -n"
                }
                Shortage::Parking => {
                    "as many messages wait for a match as may (4096 of one sender, 4 MiB): start their receivers, or give shorter ttls"
                }
                Shortage::RingGrowth => {
                    "a busy channel keeps a small ring, for want of memory or descriptors on either side: its sender waits more often"
                }
            },
            Incident::Expired => {
                "the ttl of a message ended before it was delivered: give a longer ttl, start its receiver earlier, or look why one does not read"
            }
            Incident::Redelivered => {
                "a message went to another receiver, the first died with it unread: look why that one died"
            }
            Incident::Duplicate => {
                "a second copy of a message that had waited was dropped: nothing is lost, nothing to do"
            }
            Incident::Takeover => {
                "the bus has a new controller, nothing is lost by it: if nobody closed the one before, look why it died"
            }
            Incident::Skipped => {
                "a message of a type that is not taken was passed over: have its receiver take the type, or register it there"
            }
        }
    }
}

/// A process as the kernel knows it, for a notice to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
}

impl fmt::Display for Who {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "process {} of user {}", self.pid, self.uid)
    }
}

/// What one endpoint counts beside its messages. It only rises.
#[derive(Debug)]
pub(crate) struct Tally {
    identifier: String,
    id: EndpointId,
    counts: [AtomicU64; KINDS],
    told: AtomicU64,
}

impl Tally {
    pub(crate) fn new(identifier: &str, id: EndpointId) -> Arc<Tally> {
        let counts = [const { AtomicU64::new(0) }; KINDS];
        Arc::new(Tally { identifier: identifier.to_owned(), id, counts, told: AtomicU64::new(0) })
    }

    /// One that only counts.
    #[cfg(test)]
    pub(crate) fn silent() -> Arc<Tally> {
        let counts = [const { AtomicU64::new(0) }; KINDS];
        Arc::new(Tally { identifier: String::new(), id: 0, counts, told: AtomicU64::new(u64::MAX) })
    }

    /// It has happened so many times.
    #[cold]
    pub(crate) fn count(&self, incident: Incident, times: u64) {
        if times > 0 {
            self.counts[incident.place()].fetch_add(times, Ordering::Relaxed);
            self.tell(incident, None);
        }
    }

    /// Somebody was refused, or cut off.
    #[cold]
    pub(crate) fn refuse(&self, reason: RefuseReason, who: Who) {
        let incident = Incident::Refused(reason);
        self.counts[incident.place()].fetch_add(1, Ordering::Relaxed);
        self.tell(incident, Some(&who));
    }

    /// The same with what else there is to say of it.
    #[cold]
    pub(crate) fn count_saying(&self, incident: Incident, detail: &dyn fmt::Display) {
        self.counts[incident.place()].fetch_add(1, Ordering::Relaxed);
        self.tell(incident, Some(detail));
    }

    /// Makes a notice of the first incident of its kind; for what is counted elsewhere.
    #[cold]
    pub(crate) fn tell(&self, incident: Incident, detail: Option<&dyn fmt::Display>) {
        if let Some(notice) = self.first(incident, detail) {
            notices::push(notice);
        }
    }

    fn first(&self, incident: Incident, detail: Option<&dyn fmt::Display>) -> Option<Notice> {
        let bit = 1 << incident.place();
        if self.told.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return None;
        }
        let text = match detail {
            Some(detail) => format!("{} ({detail})", incident.text()),
            None => incident.text().to_owned(),
        };
        Some(Notice {
            identifier: self.identifier.clone(),
            id: self.id,
            level: incident.level(),
            text,
            counter: incident.counter(),
        })
    }

    pub(crate) fn of(&self, incident: Incident) -> u64 {
        self.counts[incident.place()].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_incident_has_a_place_of_its_own_and_says_what_to_do() {
        let all = DropReason::ALL
            .map(Incident::Dropped)
            .into_iter()
            .chain(RefuseReason::ALL.map(Incident::Refused))
            .chain(Shortage::ALL.map(Incident::Short))
            .chain([Incident::Expired, Incident::Redelivered, Incident::Duplicate, Incident::Takeover])
            .chain([Incident::Skipped]);
        let mut places: Vec<_> = all.clone().map(Incident::place).collect();
        places.sort_unstable();
        assert_eq!(places, (0..KINDS).collect::<Vec<_>>());
        for incident in all {
            assert_eq!(incident.text().matches(": ").count(), 1, "{incident:?} says what happened: what to do");
            crate::error::check_neutral(incident.text());
        }
    }

    #[test]
    fn the_first_of_each_kind_is_told_and_all_are_counted() {
        let lost = Incident::Dropped(DropReason::ReceiverGone);
        let tally = Tally::new("bus", 7);
        tally.count(lost, 0);
        let notice = tally.first(lost, None).expect("nothing had happened");
        assert_eq!((&*notice.identifier, notice.id, notice.level), ("bus", 7, Level::Warning));
        tally.count(lost, 3);
        tally.count(lost, 2);
        assert_eq!((tally.of(lost), tally.first(lost, None)), (5, None));
        let token = Incident::Refused(RefuseReason::JoinToken);
        let told = tally.first(token, Some(&Who { pid: 11, uid: 12 })).unwrap();
        assert!(told.text.ends_with("(process 11 of user 12)"), "{}", told.text);
        tally.refuse(RefuseReason::JoinToken, Who { pid: 13, uid: 14 });
        assert_eq!((tally.of(token), tally.first(token, None)), (1, None));
    }
}
