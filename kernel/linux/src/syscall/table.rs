//! What serves each system call: the kernel's view of [`abi_linux`]'s list.

use super::Handler;
use crate::{
    administration, exec, file, futex, ipc, memory, process, signal, socket, system, time,
};

macro_rules! handlers {
    ($($number:literal $name:ident($($argument:ident),*) $(-> $pointer:ident)? = $handler:path $(, partial $why:literal)?;)*) => {
        /// The handlers by number.
        pub static HANDLERS: [Option<Handler>; abi_linux::LENGTH] = {
            let mut table: [Option<Handler>; abi_linux::LENGTH] = [None; abi_linux::LENGTH];
            $(table[$number] = Some($handler);)*
            table
        };
    };
}

abi_linux::with_system_calls!(handlers);
