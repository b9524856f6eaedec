//! One side that says more than the other has to hear at a time.

use super::*;

#[test]
fn descriptors_without_a_message_are_bounded() {
    let channel = channel();
    let fds: Vec<_> = (0..MAX_FDS).map(|_| null()).collect();
    let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
    let packets = (limits::DESCRIPTORS_PER_MESSAGE + limits::DESCRIPTORS_IN_FLIGHT_PER_PEER) / MAX_FDS + 1;
    for _ in 0..packets {
        assert!(channel.out.socket.send(&[DESCRIPTORS], &fds).unwrap());
    }
    let (_out, mut inbound) = channel.take_up();
    assert!(inbound.service().is_err());
}

#[test]
fn doorbells_without_end_are_heard_a_few_at_a_time() {
    let mut channel = channel();
    while channel.out.socket.send(&[DOORBELL], &[]).unwrap() {}
    let mut bells = 0;
    while let Received::Packet { .. } = channel.socket.receive(&mut [0; 1]).unwrap() {
        bells += 1;
    }
    assert!(bells > 2 * PACKETS, "the kernel bears more than a visit takes");
    for _ in 0..2 * PACKETS {
        assert!(channel.out.socket.send(&[DOORBELL], &[]).unwrap());
    }
    channel.push(&[], &objects(1)).unwrap();
    let (out, mut inbound) = channel.take_up();
    assert!(matches!(inbound.front(), Ok(Front::News)), "what came with the message is behind them");
    inbound.service().unwrap();
    assert!(inbound.unfinished());
    let Ok(Front::Message) = inbound.front() else { panic!("a message") };
    let mut special = inbound.at.special.take().unwrap();
    assert_eq!(inbound.take_luggage(&mut special).unwrap().unwrap().objects.len(), 1);
    for _ in 0..2 * PACKETS {
        assert!(out.socket.send(&[DOORBELL], &[]).unwrap());
    }
    drop(out);
    inbound.service().unwrap();
    assert!(inbound.ended(), "what one who is gone has sent is all there is");
}

#[test]
fn words_of_room_without_end_are_heard_a_few_at_a_time() {
    let (mut out, inbound, _) = busy(1);
    out.service();
    for _ in 0..2 * PACKETS {
        assert!(inbound.socket.send(&[ROOM], &[]).unwrap());
    }
    assert_eq!((out.service(), out.service()), (Serviced::Progress, Serviced::Progress));
    assert_eq!(out.service(), Serviced::Nothing);
    for _ in 0..2 * PACKETS {
        assert!(inbound.socket.send(&[ROOM], &[]).unwrap());
    }
    drop(inbound);
    assert_eq!(out.service(), Serviced::Ended, "what one who is gone has sent is all there is");
}
