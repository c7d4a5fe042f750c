//! The vector unit: saving and restoring x87, SSE, AVX and AVX-512 state (Intel SDM volume 1,
//! chapter 13).

use core::arch::asm;

use super::cpu::{cpuid, cpuid_leaves};

/// State components that are saved: x87, SSE, AVX, and the three of AVX-512. Not PKRU, which
/// the platform manages, nor AMX, which a program would have to ask for.
const COMPONENTS: u64 = 0b1110_0111;

/// Room for all [`COMPONENTS`] in the standard format: 2688 bytes.
const AREA_LEN: usize = 2688;

/// Offset of the XSAVE header, whose first word says which components are in use.
const HEADER: usize = 512;

/// A saved state, in the standard (not compacted) format that signal frames use.
#[derive(Clone)]
#[repr(C, align(64))]
pub struct VectorState {
    bytes: [u8; AREA_LEN],
}

impl VectorState {
    /// The state that a program starts with: all registers zero, exceptions masked.
    pub const fn initial() -> Self {
        let mut bytes = [0; AREA_LEN];
        // FCW = 0x037f, MXCSR = 0x1f80: every exception masked, round to nearest.
        (bytes[0], bytes[1]) = (0x7f, 0x03);
        (bytes[24], bytes[25]) = (0x80, 0x1f);
        // x87 and SSE are present, so that the two words above are loaded.
        bytes[HEADER] = 0b11;
        Self { bytes }
    }

    /// The saved bytes; how many of them mean something is the [`VectorUnit`]'s length.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Replaces the state by one that a program supplied: bits that would fault when loaded are
    /// cleared, a short image (`FXSAVE` only) loads the legacy part.
    pub fn load(&mut self, unit: &VectorUnit, bytes: &[u8]) {
        let length = bytes.len().min(unit.length);
        self.bytes = [0; AREA_LEN];
        self.bytes[..length].copy_from_slice(&bytes[..length]);
        if length < HEADER + 64 {
            self.bytes[HEADER..HEADER + 64].fill(0);
            self.bytes[HEADER] = 0b11;
        }
        // Reserved bits of MXCSR fault.
        let mxcsr =
            u32::from_le_bytes([self.bytes[24], self.bytes[25], self.bytes[26], self.bytes[27]]);
        self.bytes[24..28].copy_from_slice(&(mxcsr & 0xffff).to_le_bytes());
        let mut header = [0; 8];
        header.copy_from_slice(&self.bytes[HEADER..HEADER + 8]);
        let present = u64::from_le_bytes(header) & unit.components;
        self.bytes[HEADER..HEADER + 64].fill(0);
        self.bytes[HEADER..HEADER + 8].copy_from_slice(&present.to_le_bytes());
    }
}

/// What the vector unit of this processor has, as the system enabled it.
#[derive(Clone, Copy, Debug)]
pub struct VectorUnit {
    /// The components that are saved, a subset of XCR0.
    pub components: u64,
    /// Bytes of a [`VectorState`] that are used.
    pub length: usize,
    /// Whether XSAVE is there; without it FXSAVE serves.
    xsave: bool,
}

impl VectorUnit {
    /// Looks at the processor; XCR0 must have its final value.
    pub fn probe() -> Self {
        const OSXSAVE: u32 = 1 << 27;
        if cpuid(1, 0).ecx & OSXSAVE == 0 || cpuid_leaves().0 < 13 {
            return Self { components: 0b11, length: HEADER, xsave: false };
        }
        let (low, high): (u32, u32);
        // SAFETY: OSXSAVE says that XGETBV is there.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
        }
        let components = (u64::from(high) << 32 | u64::from(low)) & COMPONENTS;
        let mut length = HEADER + 64;
        for component in 2..8 {
            if components & 1 << component != 0 {
                let part = cpuid(13, component);
                length = length.max((part.ebx + part.eax) as usize);
            }
        }
        Self { components, length: length.min(AREA_LEN), xsave: true }
    }

    /// Components that this processor could save, for XCR0.
    pub fn available() -> u64 {
        let part = cpuid(13, 0);
        (u64::from(part.edx) << 32 | u64::from(part.eax)) & COMPONENTS
    }

    /// Saves the live registers.
    #[inline]
    pub fn save(&self, state: &mut VectorState) {
        let area = state.bytes.as_mut_ptr();
        let (low, high) = (self.components as u32, (self.components >> 32) as u32);
        // SAFETY: the area is 64-byte aligned and long enough for the enabled components.
        unsafe {
            if self.xsave {
                asm!("xsave64 [{}]", in(reg) area, in("eax") low, in("edx") high, options(nostack, preserves_flags));
            } else {
                asm!("fxsave64 [{}]", in(reg) area, options(nostack, preserves_flags));
            }
        }
    }

    /// Loads the live registers.
    #[inline]
    pub fn restore(&self, state: &VectorState) {
        // SAFETY: the area is 64-byte aligned; its content was saved here or cleaned by `load`.
        unsafe { self.restore_raw(state.bytes.as_ptr()) }
    }

    /// Loads the live registers from an area of another origin.
    ///
    /// # Safety
    /// `area` is 64-byte aligned, readable, and its header and MXCSR are valid.
    #[inline]
    pub unsafe fn restore_raw(&self, area: *const u8) {
        let (low, high) = (self.components as u32, (self.components >> 32) as u32);
        // SAFETY: the caller's.
        unsafe {
            if self.xsave {
                asm!("xrstor64 [{}]", in(reg) area, in("eax") low, in("edx") high, options(nostack, preserves_flags));
            } else {
                asm!("fxrstor64 [{}]", in(reg) area, options(nostack, preserves_flags));
            }
        }
    }
}
