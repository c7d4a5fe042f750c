//! The seal: a seccomp filter that lets through the gateway's calls, checked, and traps every
//! other one.

use crate::gateway::host_call;
use crate::signal::SIGKICK;
use crate::space::{PROCESS_FLAGS, THREAD_FLAGS};
use crate::{gateway, host, window};

const ALLOW: u32 = 0x7fff_0000;
const TRAP: u32 = 0x0003_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ADDRESS_LOW: u32 = 8;
const ADDRESS_HIGH: u32 = 12;
const fn low(argument: u32) -> u32 {
    16 + 8 * argument
}
const fn high(argument: u32) -> u32 {
    20 + 8 * argument
}

// Classic BPF operations.
const LOAD: u16 = 0x20;
const RETURN: u16 = 0x06;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const SET: u16 = 0x45;
const ADD_X: u16 = 0x0c;
const TO_X: u16 = 0x07;
const ADD: u16 = 0x04;

#[derive(Clone, Copy)]
#[repr(C)]
struct Instruction {
    operation: u16,
    yes: u8,
    no: u8,
    constant: u32,
}

const LONGEST: usize = 250;

/// A filter under construction. Every check falls through when it holds and ends the
/// program otherwise.
struct Filter {
    code: [Instruction; LONGEST],
    len: usize,
}

impl Filter {
    fn add(&mut self, operation: u16, constant: u32, yes: u8, no: u8) {
        self.code[self.len] = Instruction { operation, yes, no, constant };
        self.len += 1;
    }

    fn load(&mut self, offset: u32) {
        self.add(LOAD, offset, 0, 0);
    }

    fn end(&mut self, result: u32) {
        self.add(RETURN, result, 0, 0);
    }

    /// Goes on when the loaded word compares true; otherwise ends with `result`.
    fn require(&mut self, comparison: u16, constant: u32, result: u32) {
        self.add(comparison, constant, 1, 0);
        self.end(result);
    }

    fn refuse(&mut self, comparison: u16, constant: u32, result: u32) {
        self.add(comparison, constant, 0, 1);
        self.end(result);
    }

    /// Runs `checks` and allows when the number (loaded) is `number`; otherwise skips them.
    fn call(&mut self, number: usize, checks: impl FnOnce(&mut Self)) {
        let jump = self.len;
        self.add(EQUAL, number as u32, 0, 0);
        checks(self);
        self.end(ALLOW);
        self.code[jump].no = (self.len - jump - 1) as u8;
    }

    /// Requires that the lower half of an argument has one of these values.
    fn one_of(&mut self, argument: u32, values: &[usize]) {
        self.load(low(argument));
        for (index, &value) in values.iter().enumerate() {
            // Over the others and the end that follows them.
            self.add(EQUAL, value as u32, (values.len() - index) as u8, 0);
        }
        self.end(KILL_PROCESS);
    }

    /// Requires that an argument is zero.
    fn zero(&mut self, argument: u32) {
        self.one_of(argument, &[0]);
        self.load(high(argument));
        self.require(EQUAL, 0, KILL_PROCESS);
    }

    /// Requires that an argument has no bits but these.
    fn only_bits(&mut self, argument: u32, bits: usize) {
        self.load(low(argument));
        self.refuse(SET, !(bits as u32), KILL_PROCESS);
        self.load(high(argument));
        self.require(EQUAL, 0, KILL_PROCESS);
    }

    /// Requires that the range (address and length arguments) keeps clear of the window.
    fn outside_window(&mut self, address: u32, length: u32) {
        let window = window::range();
        let (start, end) = ((window.start >> 32) as u32, (window.end >> 32) as u32);
        self.load(high(length));
        self.refuse(AT_LEAST, 0x8000, KILL_PROCESS);
        self.add(TO_X, 0, 0, 0);
        self.load(high(address));
        self.refuse(AT_LEAST, 0x1_0000, KILL_PROCESS);
        // At or above the end: fine. Otherwise its end, with a carry, is below the start.
        self.add(AT_LEAST, end, 4, 0);
        self.add(ADD_X, 0, 0, 0);
        self.add(ADD, 1, 0, 0);
        self.refuse(AT_LEAST, start, KILL_PROCESS);
    }
}

/// Puts the seal on this process and all that come from it.
pub fn apply() -> Result<(), host::HostError> {
    let mut filter = Filter {
        code: [Instruction { operation: 0, yes: 0, no: 0, constant: 0 }; LONGEST],
        len: 0,
    };
    let gateway = gateway::page();
    filter.load(ADDRESS_HIGH);
    filter.require(EQUAL, (gateway.start >> 32) as u32, TRAP);
    filter.load(ADDRESS_LOW);
    filter.require(AT_LEAST, gateway.start as u32, TRAP);
    filter.refuse(AT_LEAST, gateway.end as u32, TRAP);
    filter.load(ARCHITECTURE);
    filter.require(EQUAL, AUDIT_ARCH_X86_64, KILL_PROCESS);
    filter.load(NUMBER);
    for number in [
        host::WRITEV,
        host::READV,
        host::PREADV2,
        host::PWRITEV2,
        host::PPOLL,
        host::RT_SIGRETURN,
        host::SCHED_YIELD,
        host::CLOCK_GETTIME,
        host::FDATASYNC,
        host::EXIT,
        host::EXIT_GROUP,
    ] {
        filter.call(number, |_| {});
    }
    filter.call(host::FUTEX, |filter| {
        filter.one_of(1, &[host::FUTEX_WAIT_BITSET, host::FUTEX_WAKE]);
    });
    // A thread blocks all its signals before it ends.
    filter.load(NUMBER);
    filter.call(host::RT_SIGPROCMASK, |filter| {
        filter.zero(0);
        filter.zero(2);
    });
    filter.load(NUMBER);
    filter.call(host::SIGALTSTACK, |filter| filter.zero(1));
    filter.load(NUMBER);
    filter.call(host::SCHED_SETAFFINITY, |filter| filter.zero(0));
    filter.load(NUMBER);
    filter.call(host::MEMBARRIER, |filter| filter.one_of(0, &[host::MEMBARRIER_GLOBAL]));
    filter.load(NUMBER);
    filter.call(host::MMAP, |filter| {
        filter.load(low(3));
        filter.require(SET, host::MAP_FIXED as u32, KILL_PROCESS);
        filter.only_bits(3, host::MAP_USED);
        filter.only_bits(2, host::PROT_ALL);
        filter.outside_window(0, 1);
    });
    filter.load(NUMBER);
    filter.call(host::MUNMAP, |filter| filter.outside_window(0, 1));
    filter.load(NUMBER);
    filter.call(host::MPROTECT, |filter| {
        filter.only_bits(2, host::PROT_ALL);
        filter.outside_window(0, 1);
    });
    filter.load(NUMBER);
    filter.call(host::MADVISE, |filter| {
        filter.one_of(2, &[host::MADV_DONTNEED]);
        filter.outside_window(0, 1);
    });
    filter.load(NUMBER);
    filter.call(host::MREMAP, |filter| {
        filter.load(low(3));
        filter.require(EQUAL, (host::MREMAP_MAYMOVE | host::MREMAP_FIXED) as u32, KILL_PROCESS);
        filter.outside_window(0, 1);
        filter.outside_window(4, 2);
    });
    for flags in [THREAD_FLAGS, PROCESS_FLAGS] {
        filter.load(NUMBER);
        filter.add(EQUAL, host::CLONE as u32, 0, 3);
        filter.load(low(0));
        filter.add(EQUAL, flags as u32, 0, 1);
        filter.end(ALLOW);
    }
    filter.load(NUMBER);
    filter.call(host::TGKILL, |filter| {
        filter.load(low(2));
        filter.require(EQUAL, SIGKICK as u32, KILL_PROCESS);
    });
    filter.load(NUMBER);
    filter.call(host::PRCTL, |filter| {
        filter.one_of(0, &[host::PR_SET_PDEATHSIG]);
        filter.one_of(1, &[host::SIGKILL]);
    });
    filter.end(KILL_PROCESS);

    // SAFETY: prctl and seccomp read the program; from here on only the gateway enters the
    // host, which is how this crate is written.
    unsafe {
        host::check(host_call(host::PRCTL, host::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0))?;
        let program = [filter.len, filter.code.as_ptr() as usize];
        let pointer = program.as_ptr() as usize;
        host::check(host_call(host::SECCOMP, 1, 0, pointer, 0, 0, 0))?;
    }
    Ok(())
}
