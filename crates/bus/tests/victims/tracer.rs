//! Follows one thread of a victim by ptrace: to a system call, and from there instruction by instruction.
//!
//! A place is named by system calls passed since the beginning and instructions after the last of them. Counted like that
//! it stands still from one run to the next, although what the kernel answers, and when, does not.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A thread that does not come back from a call for so long waits for somebody.
const BLOCKED: Duration = Duration::from_millis(1);
/// Bound for everything.
const BOUND: Duration = Duration::from_secs(20);

/// How far to go: so many system calls, then so many instructions, or into the next call if it blocks there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) calls: usize,
    pub(crate) steps: Steps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    Instructions(usize),
    Asleep,
}

/// What lies between two system calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) instructions: usize,
    /// Whether the thread slept in the call that ends it.
    pub(crate) sleeps: bool,
}

/// Where a run has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    There,
    /// The operation ended sooner.
    Over,
}

/// What the one who follows does meanwhile, in the same thread.
pub(crate) trait Meanwhile {
    /// The thread waits for somebody. `false`: the operation is over, it may wait for ever.
    fn blocked(&mut self) -> bool;
    /// Between two instructions, half way to where it ends.
    fn half_way(&mut self) {}
}

/// A system call: its number, and what its arguments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) number: i64,
    pub(crate) arguments: [u64; 4],
}

/// Whoever is followed dies with it.
pub(crate) struct Tracer {
    process: Pid,
    thread: Pid,
    /// Whether the instruction at an address calls the kernel.
    code: HashMap<u64, bool>,
    /// The call that begins and ends what is looked at.
    mark: Option<u64>,
}

impl Tracer {
    /// Stops the thread, wherever it is. With `mark` what is looked at stands between two such calls.
    pub(crate) fn seize(process: Pid, thread: i32, mark: Option<u64>) -> Tracer {
        let tracer = Tracer { process, thread: Pid::from_raw(thread), code: HashMap::new(), mark };
        ptrace::seize(tracer.thread, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL).expect("seize");
        ptrace::interrupt(tracer.thread).expect("interrupt");
        tracer
    }

    /// Leaves a thread that sleeps in a call where it is about to make that call again.
    pub(crate) fn hold(&mut self, meanwhile: &mut impl Meanwhile) {
        self.wait(meanwhile, true).expect("the thread stops");
        // It was taken out of the call and would go back into it: an instruction that cannot be told from others.
        self.enter(meanwhile).expect("the call");
    }

    /// Lets it go on until the operation begins: at a mark, or when a thread that is held comes back.
    pub(crate) fn begin(&mut self, meanwhile: &mut impl Meanwhile) -> Reached {
        if let Some(mark) = self.mark {
            self.wait(meanwhile, true).expect("the thread stops");
            while self.enter(meanwhile) != Some(mark) {
                self.leave(meanwhile);
            }
        }
        if self.leave(meanwhile) { Reached::There } else { Reached::Over }
    }

    /// Goes through all of it and notes what there is; how long stretches are, up to `most` instructions.
    pub(crate) fn learn(&mut self, most: usize, meanwhile: &mut impl Meanwhile) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        loop {
            let instructions = self.step_to_call(most);
            let number = self.enter(meanwhile);
            if number == self.mark && number.is_some() {
                stretches.push(Stretch { instructions, sleeps: false });
                return stretches;
            }
            ptrace::syscall(self.thread, None).expect("syscall");
            let mut sleeps = false;
            let mut noted = Noting { inner: meanwhile, sleeps: &mut sleeps };
            let back = self.wait(&mut noted, false);
            stretches.push(Stretch { instructions, sleeps });
            if back.is_none() {
                return stretches;
            }
        }
    }

    /// Goes to a place.
    pub(crate) fn go(&mut self, point: Point, meanwhile: &mut impl Meanwhile) -> Reached {
        for _ in 0..point.calls {
            let number = self.enter(meanwhile);
            if (number.is_some() && number == self.mark) || !self.leave(meanwhile) {
                return Reached::Over;
            }
        }
        match point.steps {
            Steps::Instructions(steps) => match self.step_on(steps / 2, meanwhile) {
                Reached::There => {
                    meanwhile.half_way();
                    self.step_on(steps - steps / 2, meanwhile)
                }
                Reached::Over => Reached::Over,
            },
            Steps::Asleep => {
                if self.enter(meanwhile) == self.mark {
                    return Reached::Over;
                }
                ptrace::syscall(self.thread, None).expect("syscall");
                match self.wait(&mut Leaving, false) {
                    Some(()) => Reached::Over,
                    None => Reached::There,
                }
            }
        }
    }

    /// So many instructions; calls that are on the way are made.
    fn step_on(&mut self, mut steps: usize, meanwhile: &mut impl Meanwhile) -> Reached {
        loop {
            steps -= self.step_to_call(steps);
            if steps == 0 {
                return Reached::There;
            }
            let number = self.enter(meanwhile);
            if (number.is_some() && number == self.mark) || !self.leave(meanwhile) {
                return Reached::Over;
            }
        }
    }

    /// Notes all system calls of the operation, and whether each could be made to fail without more ado.
    pub(crate) fn calls(&mut self, meanwhile: &mut impl Meanwhile) -> Vec<Call> {
        let mut calls = Vec::new();
        while let Some(number) = self.enter(meanwhile)
            && Some(number) != self.mark
        {
            calls.push(arch::call(&ptrace::getregs(self.thread).expect("registers")));
            if !self.leave(meanwhile) {
                break;
            }
        }
        calls
    }

    /// Has one call fail that is so many calls away, and lets the thread go. What call it was, if there are so many and it
    /// can fail in that way.
    pub(crate) fn fail(
        mut self,
        at: usize,
        errno: i32,
        plausible: impl Fn(Call) -> bool,
        meanwhile: &mut impl Meanwhile,
    ) -> Option<Call> {
        let mut failed = None;
        for _ in 0..at {
            if self.enter(meanwhile).is_none_or(|number| Some(number) == self.mark) || !self.leave(meanwhile) {
                self.let_go();
                return None;
            }
        }
        if self.enter(meanwhile).is_some_and(|number| Some(number) != self.mark) {
            let mut registers = ptrace::getregs(self.thread).expect("registers");
            if !plausible(arch::call(&registers)) {
                self.let_go();
                return None;
            }
            failed = Some(arch::call(&registers));
            // What is closed is closed, whatever the kernel says.
            if registers.orig_rax != nix::libc::SYS_close as u64 {
                registers.orig_rax = u64::MAX;
                ptrace::setregs(self.thread, registers).expect("registers");
            }
            self.leave(meanwhile);
            let mut registers = ptrace::getregs(self.thread).expect("registers");
            registers.rax = i64::from(-errno) as u64;
            ptrace::setregs(self.thread, registers).expect("registers");
        }
        self.let_go();
        failed
    }

    /// Follows it no more.
    pub(crate) fn let_go(self) {
        if ptrace::detach(self.thread, None).is_err() {
            // It is blocked, not stopped.
            ptrace::interrupt(self.thread).expect("interrupt");
            let _ = waitpid(self.thread, Some(WaitPidFlag::__WALL));
            ptrace::detach(self.thread, None).expect("detach");
        }
        std::mem::forget(self);
    }

    /// Single-steps, at most so often, to the instruction that calls the kernel. How many steps that was.
    fn step_to_call(&mut self, most: usize) -> usize {
        let mut done = 0;
        while done < most && !self.at_call() {
            ptrace::step(self.thread, None).expect("step");
            match waitpid(self.thread, Some(WaitPidFlag::__WALL)).expect("waitpid") {
                WaitStatus::Stopped(..) => {}
                other => panic!("after a step: {other:?}"),
            }
            done += 1;
        }
        done
    }

    fn at_call(&mut self) -> bool {
        let place = arch::place(&ptrace::getregs(self.thread).expect("registers"));
        let thread = self.thread;
        *self.code.entry(place).or_insert_with(|| {
            let word = ptrace::read(thread, std::ptr::without_provenance_mut(place as usize)).expect("code");
            arch::calls_kernel(word)
        })
    }

    /// Runs into the next system call, before the kernel does anything. Its number.
    fn enter(&mut self, meanwhile: &mut impl Meanwhile) -> Option<u64> {
        ptrace::syscall(self.thread, None).expect("syscall");
        self.wait(meanwhile, true)?;
        Some(arch::number(&ptrace::getregs(self.thread).expect("registers")))
    }

    /// Runs to the end of the call. `false`: it may never come back.
    fn leave(&mut self, meanwhile: &mut impl Meanwhile) -> bool {
        ptrace::syscall(self.thread, None).expect("syscall");
        self.wait(meanwhile, false).is_some()
    }

    /// Waits until the thread stops. `None`: it is blocked, and that may be for ever.
    fn wait(&mut self, meanwhile: &mut impl Meanwhile, must: bool) -> Option<()> {
        let begun = Instant::now();
        loop {
            match waitpid(self.thread, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => {}
                Ok(WaitStatus::PtraceSyscall(_) | WaitStatus::PtraceEvent(..)) => return Some(()),
                Ok(WaitStatus::Stopped(_, signal)) => {
                    // Not ours: it is delivered.
                    ptrace::syscall(self.thread, signal).expect("syscall");
                }
                Ok(other) => panic!("the thread ended: {other:?}"),
                Err(Errno::EINTR) => {}
                Err(error) => panic!("waitpid: {error}"),
            }
            if begun.elapsed() < BLOCKED {
                std::thread::yield_now();
                continue;
            }
            if !meanwhile.blocked() && !must {
                return None;
            }
            assert!(begun.elapsed() < BOUND, "the thread does not come back");
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = kill(self.process, Signal::SIGKILL);
        // Its end is told to nobody else before it is told to whoever follows it.
        while let Ok(WaitStatus::Stopped(..) | WaitStatus::PtraceEvent(..) | WaitStatus::PtraceSyscall(_)) =
            waitpid(self.thread, Some(WaitPidFlag::__WALL))
        {}
    }
}

/// Notes that somebody was waited for.
struct Noting<'a, M> {
    inner: &'a mut M,
    sleeps: &'a mut bool,
}

impl<M: Meanwhile> Meanwhile for Noting<'_, M> {
    fn blocked(&mut self) -> bool {
        *self.sleeps = true;
        self.inner.blocked()
    }
}

/// Does nothing for it.
struct Leaving;

impl Meanwhile for Leaving {
    fn blocked(&mut self) -> bool {
        false
    }
}

mod arch {
    use nix::libc::user_regs_struct;

    pub(super) const GETPPID: u64 = nix::libc::SYS_getppid as u64;

    pub(super) fn place(registers: &user_regs_struct) -> u64 {
        registers.rip
    }

    pub(super) fn number(registers: &user_regs_struct) -> u64 {
        registers.orig_rax
    }

    pub(super) fn call(registers: &user_regs_struct) -> super::Call {
        let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
        super::Call { number: registers.orig_rax as i64, arguments }
    }

    /// `syscall`
    pub(super) fn calls_kernel(word: i64) -> bool {
        word.to_le_bytes()[..2] == [0x0f, 0x05]
    }
}

/// The call that nothing else makes.
pub(crate) const MARK: u64 = arch::GETPPID;
