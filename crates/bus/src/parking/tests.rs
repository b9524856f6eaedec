//! The area of one who lets messages wait, and what somebody else reads in it.

use super::*;
use crate::label_op::LabelOp;
use crate::selector::{Mode, Ttl};

fn parcel(payload: &[u8]) -> Parcel {
    Parcel {
        selector: Arc::new(Selector { op: LabelOp::leaf("a").unwrap(), mode: Mode::Unicast, ttl: Ttl::FOREVER }),
        type_id: [1; 16],
        flags: 0,
        extension: Extension::default(),
        payload: payload.to_vec(),
        bulk: None,
        attachments: Attachments::default(),
        expiry: NEVER,
        claim: None,
    }
}

#[test]
fn what_waits_is_read_by_another_in_order() {
    let (mut parking, descriptor) = Parking::create().unwrap();
    let numbers: Vec<_> = [b"one".as_slice(), b"two", b"three"]
        .iter()
        .map(|payload| parking.park(9, parcel(payload)).ok().unwrap())
        .collect();
    parking.done(numbers[0]);
    parking.claim(numbers[2], 77);
    let remains = remains(&open(&descriptor).unwrap(), 9, false);
    assert_eq!(remains.lost, 0);
    let seen: Vec<_> = remains.parcels.iter().map(|p| (p.payload.clone(), p.claim, p.extension.parked)).collect();
    assert_eq!(seen, [(b"two".to_vec(), None, Some((9, 2))), (b"three".to_vec(), Some(77), Some((9, 3)))]);
    assert_eq!(parking.read(2).unwrap().payload, b"two");
}

#[test]
fn a_large_one_keeps_its_head_apart_and_what_cannot_be_whole_is_lost() {
    let (mut parking, descriptor) = Parking::create().unwrap();
    let with = |head: &[u8], bulk: &[u8]| Parcel { bulk: Some(bulk.to_vec()), ..parcel(head) };
    let number = parking.park(9, with(b"head", &[7; 100_000])).ok().unwrap();
    parking.park(9, with(b"", b"")).ok().unwrap();
    let read = parking.read(number).unwrap();
    assert_eq!((read.payload, read.bulk), (b"head".to_vec(), Some(vec![7; 100_000])));
    // A head that fits no record, and regions that nobody has.
    parking.park(9, with(&vec![1; limits::HEAD_BYTES + 1], b"x")).ok().unwrap();
    let extension = Extension { regions: 1, ..Extension::default() };
    parking.park(9, Parcel { extension, ..parcel(b"x") }).ok().unwrap();
    let remains = remains(&open(&descriptor).unwrap(), 9, false);
    assert_eq!((remains.parcels.len(), remains.lost), (2, 2));
    assert_eq!(remains.parcels[1].bulk, Some(Vec::new()));
}

#[test]
fn room_comes_back_and_the_bound_is_exact() {
    let (mut parking, _descriptor) = Parking::create().unwrap();
    for _ in 0..3 {
        let mut numbers = Vec::new();
        while let Ok(number) = parking.park(9, parcel(&vec![7; 100_000])) {
            numbers.push(number);
        }
        assert!(numbers.len() >= limits::PARKED_BYTES / 100_200, "{}", numbers.len());
        numbers.into_iter().rev().for_each(|number| parking.done(number));
        assert_eq!(parking.free_bytes, BTreeMap::from([(BYTES_AT, limits::PARKED_BYTES)]));
    }
    // What does not fit now and what never will are different things.
    let most = vec![7; limits::PARKED_BYTES - 1000];
    parking.park(9, parcel(&most)).unwrap();
    assert_eq!(parking.park(9, parcel(&most)), Err(Unparked::NoRoom));
    let Err(Unparked::TooLong(length)) = parking.park(9, parcel(&vec![7; limits::PARKED_BYTES])) else { panic!() };
    assert!((limits::PARKED_BYTES + 1..limits::PARKED_BYTES + 200).contains(&(length as usize)), "{length}");
}

#[test]
fn an_area_full_of_lies_is_counted_not_followed() {
    let lies = [(0, 0, 8), (1, u64::MAX, 8), (2, BYTES_AT as u64, u64::MAX), (3, BYTES_AT as u64, 0)];
    let words =
        lies.map(|(slot, offset, length)| [(slot, STATE, WAITING), (slot, OFFSET, offset), (slot, LENGTH, length)]);
    let descriptor = hostile(u64::MAX, words.as_flattened(), &[]);
    let remains = remains(&open(&descriptor).unwrap(), 9, false);
    assert_eq!((remains.parcels.len(), remains.lost), (0, 4));
}
