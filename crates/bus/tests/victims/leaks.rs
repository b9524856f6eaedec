//! What this process has open and mapped, by kind: what is there afterwards and was not before is left over.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// Counts of descriptors, mappings of memory files, and threads, by what they are.
pub(crate) type Holdings = BTreeMap<String, usize>;

pub(crate) fn holdings() -> Holdings {
    of("self")
}

/// The least of some looks: what is just on its way out is not to be there.
pub(crate) fn least_of(process: &str, mut look: impl FnMut()) -> Holdings {
    let mut least = of(process);
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(10));
        look();
        let now = of(process);
        least.retain(|kind, count| {
            *count = (*count).min(now.get(kind).copied().unwrap_or(0));
            *count > 0
        });
    }
    least
}

/// The same of another process.
pub(crate) fn of(process: &str) -> Holdings {
    let mut found = Holdings::new();
    for entry in fs::read_dir(format!("/proc/{process}/fd")).expect("descriptors").flatten() {
        if let Ok(target) = fs::read_link(entry.path()) {
            let target = target.to_string_lossy();
            // Sockets and pipes have a number each, and all pipes are the tests' own.
            let kind = ["socket", "pipe"].into_iter().find(|kind| target.starts_with(kind)).unwrap_or(&target);
            if kind != "pipe" && !kind.starts_with("/proc/") {
                *found.entry(format!("open {kind}")).or_default() += 1;
            }
        }
    }
    for line in fs::read_to_string(format!("/proc/{process}/maps")).expect("mappings").lines() {
        if let Some((_, name)) = line.split_once("/memfd:") {
            *found.entry(format!("mapped {name}")).or_default() += 1;
        }
    }
    found.insert("threads".to_owned(), fs::read_dir(format!("/proc/{process}/task")).expect("threads").count());
    found
}

/// Waits until there is no more than there should be, while `look` has everybody take notice; otherwise what is too much.
pub(crate) fn settle(expected: &Holdings, bound: Duration, look: impl FnMut()) -> Result<(), String> {
    settle_of("self", expected, bound, look)
}

/// The same of another process.
pub(crate) fn settle_of(
    process: &str,
    expected: &Holdings,
    bound: Duration,
    mut look: impl FnMut(),
) -> Result<(), String> {
    let end = Instant::now() + bound;
    loop {
        look();
        let now = of(process);
        let over: Vec<_> = now
            .iter()
            .map(|(kind, &count)| (kind, count, expected.get(kind).copied().unwrap_or(0)))
            .filter(|(_, count, should)| count > should)
            .map(|(kind, count, should)| format!("{kind}: {count} instead of {should}"))
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("left over: {}", over.join(", ")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
