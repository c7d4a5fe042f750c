//! The PVH start information (Xen's `hvm_start_info`, versions 0 and 1).

/// `struct hvm_start_info`.
#[repr(C)]
pub struct StartInfo {
    magic: u32,
    version: u32,
    _flags: u32,
    module_count: u32,
    modules: u64,
    _command_line: u64,
    _rsdp: u64,
    // From version 1 on.
    map: u64,
    map_count: u32,
}

const MAGIC: u32 = 0x336e_c578;
const RAM: u32 = 1;
const MAX_REGIONS: usize = 16;

/// `struct hvm_modlist_entry`, the part that is used.
#[repr(C)]
struct Module {
    address: u64,
    length: u64,
}

/// `struct hvm_memmap_table_entry`.
#[repr(C)]
struct Region {
    address: u64,
    length: u64,
    kind: u32,
    _reserved: u32,
}

/// What the loader says about memory.
#[derive(Clone, Copy)]
pub struct Memory {
    regions: [(u64, u64); MAX_REGIONS],
    count: usize,
    /// Physical address and length of the boot module.
    pub module: Option<(u64, u64)>,
    /// Physical address of the image.
    pub image_start: u64,
}

impl StartInfo {
    /// Copies what is needed; without a usable map there is no memory, which ends the boot later.
    ///
    /// # Safety
    /// `address` is what the loader gave; physical memory is mapped at its own addresses.
    pub unsafe fn read(address: u64) -> Memory {
        unsafe extern "C" {
            static __image_start: u8;
        }
        let mut memory = Memory { image_start: (&raw const __image_start) as u64, ..Memory::NONE };
        // SAFETY: the structures are where the loader says.
        unsafe {
            let info = &*(address as *const Self);
            if info.magic != MAGIC {
                return memory;
            }
            if info.module_count > 0 {
                let module = &*(info.modules as *const Module);
                memory.module = Some((module.address, module.length));
            }
            if info.version >= 1 {
                for index in 0..info.map_count as usize {
                    let region = &*(info.map as *const Region).add(index);
                    if region.kind == RAM && memory.count < MAX_REGIONS {
                        memory.regions[memory.count] =
                            (region.address, region.address + region.length);
                        memory.count += 1;
                    }
                }
            }
        }
        memory
    }
}

impl Memory {
    /// No memory at all.
    pub const NONE: Self =
        Self { regions: [(0, 0); MAX_REGIONS], count: 0, module: None, image_start: 0 };

    /// The end of the highest memory.
    pub fn end(&self) -> u64 {
        self.regions[..self.count].iter().map(|region| region.1).max().unwrap_or(0)
    }

    /// Writes the memory that is not `taken` to `free`, and gives the number of regions.
    pub fn free_regions(&self, taken: &[(u64, u64)], free: &mut [(u64, u64)]) -> usize {
        let mut count = 0;
        for &(start, end) in &self.regions[..self.count] {
            let mut position = start;
            while position < end {
                // The next taken part at or after the position.
                let next = taken
                    .iter()
                    .filter(|part| part.1 > position && part.0 < end)
                    .min_by_key(|part| part.0);
                let until = next.map_or(end, |part| part.0.max(position));
                if until > position && count < free.len() {
                    free[count] = (position, until);
                    count += 1;
                }
                position = next.map_or(end, |part| part.1);
            }
        }
        free[..count].sort_unstable();
        count
    }
}
