//! How much memory the machine can still give.
//!
//! Asked for more than that, the kernel does not say no: it kills a process, ours first. So a large request is held
//! against what is there before it is made. What we may use of it is also bounded by the control group, which is how
//! containers are limited. All of it is an estimate, as others allocate too; it stops the absurd, not the unlucky.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Requests below this are made without a look: no single one of them matters, and looking costs more than they do.
const LARGE: u64 = 16 << 20;

/// Whether `bytes` more can be had.
///
/// # Errors
/// [`io::ErrorKind::OutOfMemory`], with the figures.
pub(crate) fn check_memory(bytes: usize) -> io::Result<()> {
    let bytes = bytes as u64;
    if bytes < LARGE {
        return Ok(());
    }
    let room = of_the_machine().min(of_the_group());
    if bytes <= room {
        return Ok(());
    }
    let text = format!("{bytes} bytes of memory were asked for, and there are {room} left");
    Err(io::Error::new(io::ErrorKind::OutOfMemory, text))
}

/// What is free, or would be if caches were dropped, swap included.
fn of_the_machine() -> u64 {
    if let Ok(text) = fs::read_to_string("/proc/meminfo")
        && let Some(available) = field(&text, "MemAvailable:")
    {
        return (available + field(&text, "SwapFree:").unwrap_or(0)).saturating_mul(1024);
    }
    let info = rustix::system::sysinfo();
    // Without /proc the size of the caches is not known; all of the memory is then the bound.
    (info.totalram as u64).saturating_add(info.totalswap as u64).saturating_mul(u64::from(info.mem_unit.max(1)))
}

/// What the control groups that we are in leave us, the tightest of them.
fn of_the_group() -> u64 {
    let Ok(text) = fs::read_to_string("/proc/self/cgroup") else { return u64::MAX };
    let Some(path) = text.lines().find_map(|line| line.strip_prefix("0::/")) else { return u64::MAX };
    let root = Path::new("/sys/fs/cgroup");
    let groups = PathBuf::from(path);
    groups.ancestors().filter_map(|group| room_in(&root.join(group))).min().unwrap_or(u64::MAX)
}

/// The limit of one group less what it cannot drop.
fn room_in(group: &Path) -> Option<u64> {
    let number = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    let limit = number("memory.max")?;
    let used = number("memory.current").unwrap_or(0);
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let caches = field(&stat, "file").unwrap_or(0).saturating_sub(field(&stat, "shmem").unwrap_or(0));
    Some(limit.saturating_sub(used.saturating_sub(caches)))
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut words = text.lines().map(str::split_ascii_whitespace);
    let mut found = words.find(|words| words.clone().next() == Some(name))?;
    found.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "file_mapped 3\nfile 42\nMemAvailable:   17 kB\n";
        assert_eq!(field(text, "file"), Some(42));
        assert_eq!(field(text, "MemAvailable:"), Some(17));
        assert_eq!(field(text, "Mem"), None);
    }

    #[test]
    fn the_absurd_is_refused_and_the_ordinary_is_not() {
        assert!(check_memory(1 << 20).is_ok());
        let refused = check_memory(1 << 50).expect_err("no machine has that");
        assert_eq!(refused.kind(), io::ErrorKind::OutOfMemory);
        assert!(refused.to_string().contains("1125899906842624 bytes"), "{refused}");
    }
}
