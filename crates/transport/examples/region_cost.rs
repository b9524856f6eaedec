//! What regions cost: `cargo run --release -p ipmb-transport --example region_cost`.

use std::time::Instant;

use ipmb_transport::region::{Access, Pool, Region};

fn measure<R>(name: &str, rounds: u32, mut work: impl FnMut() -> R) {
    for _ in 0..rounds / 10 {
        work();
    }
    let start = Instant::now();
    for _ in 0..rounds {
        work();
    }
    println!("{name}: {:.2} us", start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
}

fn main() {
    ipmb_transport::sys::raise_descriptor_limit();
    const MIB: usize = 1 << 20;
    for access in [Access::ReadOnly, Access::Shared] {
        let pool: Pool<()> = Pool::new("cost", access);
        measure(&format!("take a warm region, {access:?}"), 100_000, || pool.take(MIB, "", ()).unwrap());
        let region = pool.take(MIB, "", ()).unwrap();
        measure("share it", 100_000, || region.share(1).unwrap());
        measure("share and open it", 100_000, || Region::open(region.share(1).unwrap(), 1).unwrap());
        measure("share, open and map it", 50_000, || {
            Region::open(region.share(1).unwrap(), 1).unwrap().map(0, MIB).unwrap()
        });
        let holders: Vec<_> = (2..12).map(|holder| region.share(holder).unwrap()).collect();
        measure("count ten other holders", 50_000, || region.ref_count().unwrap());
        drop(holders);
        let bytes = vec![7; MIB];
        measure("fill 1 MiB, warm", 2000, || {
            pool.take(MIB, "", ()).unwrap().map(0, MIB).unwrap().write(0, &bytes).unwrap();
        });
    }
    let bytes = vec![7; MIB];
    measure("fill 1 MiB, new each time", 300, || {
        Region::create("cost", MIB).unwrap().map(0, MIB).unwrap().write(0, &bytes).unwrap();
    });
    let pool: Pool<()> = Pool::new("cost", Access::ReadOnly);
    let many: Vec<_> = (0..1000).map(|_| pool.take(16 << 10, "", ()).unwrap()).collect();
    measure("take one beside a thousand that are held here", 10_000, || pool.take(16 << 10, "", ()).unwrap());
    let shares: Vec<_> = many.iter().map(|region| region.share(1).unwrap()).collect();
    drop(many);
    measure("take one beside a thousand that are held elsewhere", 10_000, || pool.take(16 << 10, "", ()).unwrap());
    drop(shares);
}
