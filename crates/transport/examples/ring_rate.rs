//! How fast the bare ring is between two threads: one way, records of 16 bytes to 16 KiB, staged one by one or in
//! bursts, the round trip while both sides spin, and what a push and a pop cost by themselves.
//! `cargo run --release -p ipmb-transport --example ring_rate`.

use std::hint::spin_loop;
use std::thread;
use std::time::{Duration, Instant};

use ipmb_transport::ring::{Consumer, Producer, PushError};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(200);

fn ring(capacity: usize) -> (Producer, Consumer) {
    let (mut producer, file) = Producer::create(capacity).expect("a ring");
    let (consumer, back) = Consumer::open(&file).expect("its reader");
    producer.attach(&back).expect("the reader's memory");
    (producer, consumer)
}

/// Waits a little; on two cores that are shared with others, longer waits have to let them run.
fn pause(turns: &mut u32) {
    *turns = turns.wrapping_add(1);
    if turns.is_multiple_of(1000) { thread::yield_now() } else { spin_loop() }
}

fn push(producer: &mut Producer, tag: u32, body: &[u8]) {
    let mut turns = 0;
    while let Err(error) = producer.push(tag, &[body]) {
        assert_eq!(error, PushError::Full);
        pause(&mut turns);
    }
}

fn pop(consumer: &mut Consumer, buf: &mut [u8]) -> u32 {
    let mut turns = 0;
    let record = loop {
        match consumer.peek().expect("an honest producer") {
            Some(record) => break record,
            None => pause(&mut turns),
        }
    };
    consumer.copy_out(&record, 0, &mut buf[..record.len]);
    consumer.consume(record);
    record.tag
}

/// Records a second.
fn one_way(capacity: usize, len: usize, burst: u32) -> f64 {
    let (mut producer, mut consumer) = ring(capacity);
    let reader = thread::spawn(move || {
        let mut buf = vec![0; len];
        let mut count = 0_u64;
        while pop(&mut consumer, &mut buf) == 0 {
            count += 1;
        }
        count
    });
    let body = vec![7; len];
    let start = Instant::now();
    while start.elapsed() < ROUND {
        for _ in 0..256 / burst {
            for _ in 0..burst {
                let mut turns = 0;
                while producer.stage(0, &[&body]).is_err() {
                    // A full ring becomes free only if the consumer sees what is in it.
                    let _ = producer.publish();
                    pause(&mut turns);
                }
            }
            let _ = producer.publish();
        }
    }
    push(&mut producer, 1, &[]);
    let count = reader.join().expect("the reader");
    count as f64 / start.elapsed().as_secs_f64()
}

/// Nanoseconds there and back.
fn round_trip(len: usize) -> f64 {
    const TRIPS: u32 = 20_000;
    let (mut there, mut arrives) = ring(65536);
    let (mut back, mut returns) = ring(65536);
    let body = vec![7; len];
    let echo = body.clone();
    let mirror = thread::spawn(move || {
        let mut buf = vec![0; echo.len()];
        while pop(&mut arrives, &mut buf) == 0 {
            push(&mut back, 0, &echo);
        }
    });
    let mut buf = vec![0; len];
    let start = Instant::now();
    for _ in 0..TRIPS {
        push(&mut there, 0, &body);
        pop(&mut returns, &mut buf);
    }
    let time = start.elapsed().as_nanos() as f64 / f64::from(TRIPS);
    push(&mut there, 1, &body);
    mirror.join().expect("the mirror");
    time
}

/// Nanoseconds of one push and of one pop, the other core not taking part: the best of many short runs, which
/// other load on the machine disturbs least.
fn alone(len: usize) -> (f64, f64) {
    let (mut producer, mut consumer) = ring(65536);
    let (body, mut buf) = (vec![7; len], vec![0; len]);
    let count = 60_000 / (len as u32 + 16);
    let (mut pushing, mut popping) = (Duration::MAX, Duration::MAX);
    for _ in 0..2000 {
        let start = Instant::now();
        for _ in 0..count {
            push(&mut producer, 0, &body);
        }
        let filled = Instant::now();
        for _ in 0..count {
            pop(&mut consumer, &mut buf);
        }
        pushing = pushing.min(filled - start);
        popping = popping.min(filled.elapsed());
    }
    let each = |time: Duration| time.as_nanos() as f64 / f64::from(count);
    (each(pushing), each(popping))
}

fn median_and_best(mut values: Vec<f64>, lower_is_better: bool) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let best = if lower_is_better { values.first() } else { values.last() };
    (values[values.len() / 2], *best.expect("rounds"))
}

fn main() {
    for len in [16, 64, 1024] {
        let (push, pop) = alone(len);
        println!("one thread, body {len:4} B: push {push:.1} ns, pop {pop:.1} ns");
    }
    for capacity in [64 << 10, 1 << 20] {
        for len in [16, 64, 1024, 16 << 10] {
            for burst in [1, 32] {
                let rates = (0..ROUNDS).map(|_| one_way(capacity, len, burst)).collect();
                let (median, best) = median_and_best(rates, false);
                let (kib, median, best) = (capacity >> 10, median / 1e6, best / 1e6);
                println!("ring {kib:4} KiB, body {len:5} B, burst {burst:2}: {median:6.2} M/s (best {best:.2})");
            }
        }
    }
    for len in [16, 1024] {
        let (median, best) = median_and_best((0..ROUNDS).map(|_| round_trip(len)).collect(), true);
        println!("round trip, body {len:4} B: {median:.0} ns (best {best:.0})");
    }
}
