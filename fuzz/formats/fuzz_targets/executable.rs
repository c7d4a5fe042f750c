//! Any bytes as a program for a guest: whoever maps the segments needs no further checks.
#![no_main]

use executable::{Executable, NotExecutable};
use libfuzzer_sys::fuzz_target;

const LIMIT: u64 = 0x7fff_ffff_f000;

fuzz_target!(|bytes: &[u8]| {
    let read = Executable::read(LIMIT, |offset, length| {
        let start = usize::try_from(offset).map_err(|_| NotExecutable)?;
        let part = bytes.get(start..).and_then(|rest| rest.get(..length));
        part.map(<[u8]>::to_vec).ok_or(NotExecutable)
    });
    let Ok(executable) = read else { return };
    let mut previous = 0;
    for segment in &executable.segments {
        assert!(segment.address >= previous && segment.file_size <= segment.memory_size);
        assert!(segment.offset.checked_add(segment.file_size).is_some());
        assert_eq!(segment.address % 4096, segment.offset % 4096);
        previous = segment.end();
        assert!(previous < LIMIT);
    }
    let (first, length) = executable.extent();
    assert!(first + length <= LIMIT);
    assert!(executable.interpreter.is_none_or(|path| path.len() < 4096));
});
