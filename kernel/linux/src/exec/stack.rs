//! The initial stack: arguments, environment, auxiliary vector (System V ABI, section 3.4.1).

use alloc::vec::Vec;

use super::{Loaded, Start};
use crate::error::Result;
use crate::memory::{Layout, Memory, StartedWith, joined};
use crate::process::Identity;
use crate::{random, user};

/// Strings and words, growing down.
struct Builder {
    position: u64,
}

impl Builder {
    fn bytes(&mut self, bytes: &[u8]) -> Result<u64> {
        self.position -= bytes.len() as u64;
        user::write_bytes(self.position, bytes)?;
        Ok(self.position)
    }

    fn string(&mut self, text: &[u8]) -> Result<u64> {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text);
        bytes.push(0);
        self.bytes(&bytes)
    }
}

/// Lays the stack and gives the stack pointer.
pub fn build(
    start: &Start,
    loaded: &Loaded,
    memory: &Memory,
    layout: &mut Layout,
    (identity, is_secure): (&Identity, bool),
) -> Result<u64> {
    let mut builder = Builder { position: layout.stack_top - 8 };
    let name = builder.string(&start.name)?;
    let environment_end = builder.position;
    let mut environment = Vec::with_capacity(start.environment.len());
    for variable in start.environment.iter().rev() {
        environment.push(builder.string(variable)?);
    }
    layout.environment = (builder.position, environment_end);
    let arguments_end = builder.position;
    let mut arguments = Vec::with_capacity(start.arguments.len());
    for argument in start.arguments.iter().rev() {
        arguments.push(builder.string(argument)?);
    }
    layout.arguments = (builder.position, arguments_end);
    let platform = builder.string(b"x86_64")?;
    let mut seed = [0; 16];
    random::fill(&mut seed);
    let random = builder.bytes(&seed)?;

    let features = arch::cpu::cpuid(1, 0).edx;
    let auxiliary: [(u64, u64); 19] = [
        (33, loaded.vdso),                       // AT_SYSINFO_EHDR
        (6, 4096),                               // AT_PAGESZ
        (16, u64::from(features)),               // AT_HWCAP
        (17, crate::time::TICKS),                // AT_CLKTCK
        (3, loaded.headers.0),                   // AT_PHDR
        (4, 56),                                 // AT_PHENT
        (5, loaded.headers.1),                   // AT_PHNUM
        (7, loaded.interpreter_base),            // AT_BASE
        (8, 0),                                  // AT_FLAGS
        (9, loaded.program_entry),               // AT_ENTRY
        (11, u64::from(identity.uid)),           // AT_UID
        (12, u64::from(identity.effective_uid)), // AT_EUID
        (13, u64::from(identity.gid)),           // AT_GID
        (14, u64::from(identity.effective_gid)), // AT_EGID
        (23, u64::from(is_secure)),              // AT_SECURE
        (25, random),                            // AT_RANDOM
        (31, name),                              // AT_EXECFN
        (15, platform),                          // AT_PLATFORM
        (0, 0),
    ];
    memory.set_started_with(StartedWith {
        arguments: joined(&start.arguments),
        environment: joined(&start.environment),
        auxiliary: auxiliary
            .iter()
            .flat_map(|(kind, value)| [kind.to_le_bytes(), value.to_le_bytes()])
            .flatten()
            .collect(),
    });
    let mut words = Vec::new();
    words.push(arguments.len() as u64);
    words.extend(arguments.iter().rev());
    words.push(0);
    words.extend(environment.iter().rev());
    words.push(0);
    words.extend(auxiliary.iter().flat_map(|(kind, value)| [*kind, *value]));
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let stack_pointer = (builder.position - bytes.len() as u64) & !15;
    user::write_bytes(stack_pointer, &bytes)?;
    layout.stack_start = stack_pointer;
    Ok(stack_pointer)
}
