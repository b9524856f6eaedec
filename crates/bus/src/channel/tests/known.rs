//! Regions that come again: named, kept, forgotten, and never used while somebody may read them.

use super::*;

/// A pair whose channel is taken up, and the memory of its payloads.
struct Pair {
    out: Outbound,
    inbound: Inbound,
    routes: RouteTable,
    route: RouteId,
    pool: Pool<()>,
}

const SIZE: usize = 100_000;

fn pair() -> Pair {
    let mut channel = channel();
    let (route, routes) = (channel.route, std::mem::take(&mut channel.routes));
    let (mut out, inbound) = channel.take_up();
    out.service();
    Pair { out, inbound, routes, route, pool: Pool::new("test", Access::ReadOnly) }
}

impl Pair {
    fn push(&mut self, region: &Region) -> Result<(), PushError> {
        let bulk = Bulk { region: region.clone(), offset: 0, len: SIZE };
        let content = Content {
            flags: LARGE,
            type_id: [0; 16],
            extension: &[],
            payload: b"",
            bulk: Some(&bulk),
            regions: &[],
            objects: &[],
        };
        self.out.push(self.routes.get(self.route).unwrap(), self.route, &content)
    }

    /// Sends a payload in memory of the pool, and gives that back.
    fn send(&mut self) {
        let region = self.pool.take(SIZE, "", ()).unwrap();
        self.push(&region).unwrap();
    }

    /// Takes the next message; whether its region was named, and the region.
    fn take(&mut self) -> (bool, Region) {
        let Ok(Front::Message) = self.inbound.front() else { panic!("a message") };
        let mut special = self.inbound.at.special.take().unwrap();
        let named = special.tag.flags & KNOWN != 0;
        let bulk = self.inbound.take_luggage(&mut special).unwrap().unwrap().bulk.unwrap();
        self.inbound.consume(self.inbound.at.record);
        (named, bulk.region)
    }

    /// Has the first message bring a region that the receiver keeps.
    fn acquaint(&mut self) {
        self.send();
        assert!(!self.take().0, "the first brings it along");
    }

    fn held(&self) -> usize {
        self.pool.usage().held
    }
}

#[test]
fn a_region_that_comes_again_is_named_and_held_at_every_moment() {
    let mut pair = pair();
    pair.acquaint();
    for _ in 0..3 {
        pair.out.trim().unwrap();
        assert_eq!(pair.held(), 0, "nobody looks at it");
        pair.send();
        assert!(pair.held() > 0, "it is in flight");
        let (named, region) = pair.take();
        assert!(named);
        pair.out.trim().unwrap();
        assert!(pair.held() > 0, "the receiver has it");
        drop(region);
        assert_eq!(pair.held(), 0);
    }
}

/// Locks byte `at` for writing, as whoever was ever sent the region can.
fn keep_from(region: &Region, at: u64) -> File {
    let share = region.share_read_only(FROM).unwrap();
    let file =
        File::options().read(true).write(true).open(format!("/proc/self/fd/{}", share.as_fd().as_raw_fd())).unwrap();
    let lock = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as nix::libc::c_short,
        l_whence: nix::libc::SEEK_SET as nix::libc::c_short,
        l_start: at as nix::libc::off_t,
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).expect("nobody has it");
    file
}

#[test]
fn who_is_kept_from_holding_what_is_named_gets_a_copy() {
    let mut pair = pair();
    pair.acquaint();
    let region = pair.pool.take(SIZE, "", ()).unwrap();
    region.map(0, SIZE).unwrap().write(0, &[7; SIZE]).unwrap();
    pair.push(&region).unwrap();
    let kept_from = keep_from(&region, TO);
    let (named, came) = pair.take();
    assert!(named && !came.same(&region), "another has locked it");
    region.map(0, SIZE).unwrap().write(0, &[8; SIZE]).unwrap();
    let mut bytes = vec![0; SIZE];
    came.read(0, &mut bytes).unwrap();
    assert!(bytes == [7; SIZE], "as it was when it was taken");
    drop((came, kept_from));
    pair.push(&region).unwrap();
    let (named, came) = pair.take();
    assert!(named && came.same(&region), "nobody is in the way any more");
}

#[test]
fn a_region_that_is_named_goes_to_another_when_its_receiver_is_gone() {
    let mut pair = pair();
    pair.acquaint();
    let region = pair.pool.take(SIZE, "", ()).unwrap();
    pair.push(&region).unwrap();
    let unread = pair.out.unread();
    let [Unread { message: Some(message), .. }] = &unread[..] else { panic!("one message") };
    assert!(message.bulk.as_ref().is_some_and(|bulk| bulk.region.same(&region) && bulk.len == SIZE));
    assert_eq!(message.flags, LARGE);
}

#[test]
fn what_is_named_and_unread_is_never_used_again_when_its_sender_closes() {
    let mut pair = pair();
    pair.acquaint();
    pair.send();
    drop(pair.out);
    let again = pair.pool.take(SIZE, "", ()).unwrap();
    let Ok(Front::Message) = pair.inbound.front() else { panic!("a message") };
    let mut special = pair.inbound.at.special.take().unwrap();
    let bulk = pair.inbound.take_luggage(&mut special).unwrap().unwrap().bulk.unwrap();
    assert!(!bulk.region.same(&again));
}

#[test]
fn who_is_offered_more_than_it_may_keep_goes_on_getting_regions() {
    let mut pair = pair();
    let regions: Vec<_> = (0..2 * limits::KNOWN_REGIONS).map(|_| pair.pool.take(SIZE, "", ()).unwrap()).collect();
    for round in 0..2 {
        for (number, region) in regions.iter().enumerate() {
            pair.push(region).unwrap();
            let (named, came) = pair.take();
            assert!(came.same(region));
            assert_eq!(named, round == 1 && number < limits::KNOWN_REGIONS, "{number}");
        }
    }
    let huge = pair.pool.take(limits::KNOWN_REGION_BYTES + 1, "", ()).unwrap();
    for _ in 0..2 {
        pair.push(&huge).unwrap();
        assert!(!pair.take().0, "it costs little beside filling it");
    }
}

#[test]
fn what_is_not_used_any_more_is_forgotten() {
    let mut pair = pair();
    pair.acquaint();
    let later = sys::now() + limits::KNOWN_REGION_SECONDS * 1_000_000_000;
    pair.send();
    assert!(pair.take().0);
    assert_eq!((pair.out.forget_regions(sys::now()), pair.inbound.tidy()), (1, 1), "in use");
    assert_eq!(pair.out.forget_regions(later + 1_000_000_000), 0);
    assert_eq!(pair.inbound.tidy(), 0);
    pair.acquaint();
    pair.send();
    assert!(pair.take().0);
    pair.out.trim().unwrap();
    pair.pool.trim(u64::MAX);
    assert_eq!((pair.out.forget_regions(sys::now()), pair.inbound.tidy()), (0, 0), "given back");
}

#[test]
fn what_is_kept_of_a_sender_that_is_gone_is_let_go_once_all_is_read() {
    let mut pair = pair();
    pair.acquaint();
    pair.send();
    let Pair { out, mut inbound, .. } = pair;
    assert_eq!(inbound.tidy(), 1);
    drop(out);
    assert_eq!(inbound.tidy(), 1, "a message that is unread names it");
    let Ok(Front::Message) = inbound.front() else { panic!("a message") };
    let mut special = inbound.at.special.take().unwrap();
    assert!(inbound.take_luggage(&mut special).unwrap().unwrap().bulk.is_some());
    inbound.consume(inbound.at.record);
    assert_eq!(inbound.tidy(), 0);
}

#[test]
fn who_waits_for_what_is_in_flight_is_told_when_it_is_taken() {
    let mut pair = pair();
    pair.acquaint();
    pair.out.service();
    pair.out.trim().unwrap();
    pair.send();
    assert!(pair.out.announce_landing());
    assert_eq!(pair.out.service(), Serviced::Nothing);
    drop(pair.take());
    assert_eq!(pair.out.service(), Serviced::Progress, "the receiver says so");
    assert!(!pair.out.announce_landing(), "there is something to drop already");
    pair.out.trim().unwrap();
    assert!(pair.out.announce_landing(), "nothing is in flight, and nothing is told");
    pair.send();
    drop(pair.take());
    assert_eq!(pair.out.service(), Serviced::Nothing);
}
