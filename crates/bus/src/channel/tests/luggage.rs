//! What travels beside a message: what the kernel does not take, and what a sender that lies cannot do.

use super::*;

#[test]
fn what_strayed_is_dropped_and_the_message_comes_whole_later() {
    let mut channel = channel();
    fill(&channel, 2);
    assert!(matches!(channel.push(&[], &objects(2 * MAX_FDS + 1)), Err(PushError::Full)));
    assert_eq!(channel.out.descriptors_in_flight(), 2 * MAX_FDS);
    let (route, routes) = (channel.route, std::mem::take(&mut channel.routes));
    let (mut out, mut inbound) = channel.take_up();
    while let Ok(Front::News) = inbound.front() {}
    assert!(matches!(inbound.front(), Ok(Front::Empty)));
    out.service();
    out.trim().unwrap();
    assert_eq!(out.descriptors_in_flight(), 0);
    let again = objects(2 * MAX_FDS + 1);
    let content = Content {
        flags: 0,
        type_id: [0; 16],
        extension: &[],
        payload: b"x",
        bulk: None,
        regions: &[],
        objects: &again,
    };
    out.push(routes.get(route).unwrap(), route, &content).unwrap();
    let Ok(Front::Message) = inbound.front() else { panic!("a message") };
    let mut special = inbound.at.special.take().unwrap();
    assert_eq!(inbound.take_luggage(&mut special).unwrap().unwrap().objects.len(), again.len());
}

#[test]
fn strays_are_no_message_when_their_receiver_dies() {
    let mut channel = channel();
    fill(&channel, 1);
    assert!(matches!(channel.push(&[], &objects(MAX_FDS + 1)), Err(PushError::Full)));
    channel.push(&[], &[]).unwrap();
    let unread = channel.out.unread();
    assert!(matches!(&unread[..], [Unread { message: Some(message), .. }] if message.attachments.len() == 0));
    assert_eq!(channel.out.descriptors_in_flight(), 0);
}

#[test]
fn the_unread_keep_what_was_sent_with_them() {
    let mut channel = channel();
    let sent = objects(2);
    channel.push(&[], &sent).unwrap();
    channel.push(&[], &[]).unwrap();
    channel.push(&[], &objects(1)).unwrap();
    let counts: Vec<_> =
        channel.out.unread().into_iter().map(|unread| unread.message.unwrap().attachments.len()).collect();
    assert_eq!(counts, [2, 0, 1]);
}

#[test]
fn a_lie_about_what_travels_with_a_message_ends_its_channel() {
    let sealed = || Region::create("test", 4096).unwrap().share(TO).unwrap();
    let memory = |name: &str| {
        let (memory, fd) = ipmb_transport::memory::OwnMemory::create(name, 4096).unwrap();
        drop(memory);
        fd
    };
    let place = |offset: u64, len: u64| [offset.to_le_bytes(), len.to_le_bytes(), [0; 8]].concat();
    let named = |slot: usize, offer: u32| {
        Bulk { region: Region::create("test", 1).unwrap(), offset: 0, len: 1 }
            .place(Name { slot: slot as u32, offer })
            .to_vec()
    };
    let regions = |regions: u16| Extension { regions, ..Extension::default() };
    let none = Extension::default();
    let message = |flags, count| Tag::message(flags, count);
    /// What is wrong; tag, extension, payload and descriptors of the record.
    type Told = (&'static str, u32, Extension, Vec<u8>, Vec<Fd>);
    let lies: Vec<Told> = vec![
        ("large, with nothing", message(LARGE, 0), none.clone(), place(0, 1), vec![]),
        ("large, and no place", message(LARGE, 1), none.clone(), vec![0; 23], vec![sealed()]),
        ("large, and no memory", message(LARGE, 1), none.clone(), place(0, 1), vec![null()]),
        ("beyond the end", message(LARGE, 1), none.clone(), place(4096, 1), vec![sealed()]),
        ("longer than it is", message(LARGE, 1), none.clone(), place(0, 4097), vec![sealed()]),
        ("around the end", message(LARGE, 1), none.clone(), place(u64::MAX, 2), vec![sealed()]),
        ("memory with holes", message(LARGE, 1), none.clone(), place(0, 1), vec![memory("holes")]),
        ("named, and nothing kept", message(LARGE | KNOWN, 1), none.clone(), named(0, 1), vec![]),
        ("named, and no payload", message(KNOWN, 1), none.clone(), named(0, 1), vec![]),
        ("named, and not counted", message(LARGE | KNOWN, 0), none.clone(), named(0, 1), vec![]),
        ("kept where nothing is", message(LARGE, 1), none.clone(), named(limits::KNOWN_REGIONS, 1), vec![sealed()]),
        ("forgotten, and which", Tag::forget(), none.clone(), vec![0; 3], vec![]),
        ("more regions than descriptors", message(EXTENDED, 1), regions(2), vec![], vec![sealed()]),
        ("a region that is none", message(EXTENDED, 2), regions(2), vec![], vec![sealed(), null()]),
        ("descriptors that never came", message(0, 1), none.clone(), vec![], vec![]),
        ("fewer than it says", message(0, 3), none.clone(), vec![], vec![null(), null()]),
        ("strays, none", Tag::void(0), none.clone(), vec![], vec![]),
        ("strays that never came", Tag::void(1), none.clone(), vec![], vec![]),
        ("strays, one of them named", Tag::void(1) | u32::from(KNOWN) << 8, none.clone(), vec![], vec![]),
        ("a flag that there is not", message(128, 0), none.clone(), vec![], vec![]),
    ];
    for (name, tag, extension, payload, fds) in lies {
        let mut channel = channel();
        channel.lie(tag, &extension, &payload, fds);
        let (_out, mut inbound) = channel.take_up();
        let believed = match inbound.front() {
            Ok(Front::Message) => {
                let mut special = inbound.at.special.take().unwrap();
                inbound.take_luggage(&mut special).is_ok()
            }
            Ok(_) => true,
            Err(Lie) => false,
        };
        assert!(!believed, "{name}");
    }
}

#[test]
fn a_place_is_read_once_and_checked_as_it_was_read() {
    let region = Region::create("test", 4096).unwrap();
    let mut channel = channel();
    let bulk = Bulk { region: region.clone(), offset: 64, len: 4032 };
    channel.lie(
        Tag::message(LARGE, 1),
        &Extension::default(),
        &bulk.place(Name::default()),
        vec![region.share(TO).unwrap()],
    );
    let (_out, mut inbound) = channel.take_up();
    let Ok(Front::Message) = inbound.front() else { panic!("a message") };
    let mut special = inbound.at.special.take().unwrap();
    let came = inbound.take_luggage(&mut special).unwrap().unwrap().bulk.unwrap();
    assert!(came.region.same(&region) && (came.offset, came.len) == (64, 4032));
}
