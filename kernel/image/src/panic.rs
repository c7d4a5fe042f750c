//! The end of a kernel that met a contradiction: a report, never a hang.

use alloc::format;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use hal::Report;

/// Exit code of a guest whose kernel died.
const KERNEL_DIED: i32 = 125;

static DYING: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // A panic while panicking, or on two vCPUs at once, is not worth a second report.
    if !DYING.swap(true, Ordering::SeqCst) {
        let place = info.location().map_or(("?", 0), |place| (place.file(), place.line()));
        hal::report(
            Report::Panic,
            0,
            format!("{} at {}:{}", info.message(), place.0, place.1).as_bytes(),
        );
        backtrace();
        last_words();
    }
    hal::exit(KERNEL_DIED)
}

/// What a platform calls when its kernel meets a trap that it has no use for, after its report
/// and before the end; and when the host asks a kernel that does not answer.
pub fn last_words() {
    static SPEAKING: AtomicBool = AtomicBool::new(false);
    // Whoever fails while speaking is silent.
    if !SPEAKING.swap(true, Ordering::SeqCst) {
        linux::dump(true);
        SPEAKING.store(false, Ordering::SeqCst);
    }
}

/// Reports the return addresses on the running stack.
fn backtrace() {
    let mut frame: usize;
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags));
    }
    let base = hal::image_base();
    let mut addresses = [0u8; 8 * 32];
    let mut len = 0;
    while frame != 0 && frame.is_multiple_of(8) && len < addresses.len() {
        // SAFETY: the kernel is built with frame pointers; the outermost frame's is zero.
        let (next, back) = unsafe { (*(frame as *const usize), *((frame + 8) as *const usize)) };
        if back == 0 {
            break;
        }
        addresses[len..len + 8].copy_from_slice(&(back.wrapping_sub(base) as u64).to_le_bytes());
        len += 8;
        if next <= frame {
            break;
        }
        frame = next;
    }
    hal::report(Report::Backtrace, 0, &addresses[..len]);
}
