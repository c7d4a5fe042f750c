use alloc::vec::Vec;

/// Names an object in a [`Slab`]; stale after the object was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle {
    index: u32,
    generation: u32,
}

impl Handle {
    /// Both parts in one number, for keys and tokens.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The reverse of [`Handle::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        Handle { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// Objects under handles that do not outlive them.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    count: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    next_free: u32,
    value: Option<T>,
}

const NONE: u32 = u32::MAX;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab::new()
    }
}

impl<T> Slab<T> {
    /// An empty slab without memory.
    pub const fn new() -> Self {
        Slab { slots: Vec::new(), free: NONE, count: 0 }
    }

    /// Objects present.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an object.
    pub fn insert(&mut self, value: T) -> Handle {
        self.count += 1;
        if self.free != NONE {
            let index = self.free;
            let slot = &mut self.slots[index as usize];
            self.free = slot.next_free;
            slot.value = Some(value);
            return Handle { index, generation: slot.generation };
        }
        let index = self.slots.len() as u32;
        self.slots.push(Slot { generation: 0, next_free: NONE, value: Some(value) });
        Handle { index, generation: 0 }
    }

    /// The object, unless it was removed.
    pub fn get(&self, handle: Handle) -> Option<&T> {
        let slot = self.slots.get(handle.index as usize)?;
        slot.value.as_ref().filter(|_| slot.generation == handle.generation)
    }

    /// The object for writing, unless it was removed.
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let slot = self.slots.get_mut(handle.index as usize)?;
        slot.value.as_mut().filter(|_| slot.generation == handle.generation)
    }

    /// Takes the object out.
    pub fn remove(&mut self, handle: Handle) -> Option<T> {
        let slot = self.slots.get_mut(handle.index as usize)?;
        if slot.generation != handle.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.next_free = self.free;
        self.free = handle.index;
        self.count -= 1;
        if self.count == 0 && self.slots.len() > 64 {
            // Everything is gone after a burst. The memory goes too; the generation of new
            // slots starts above every old one so that stale handles stay stale.
            let generation = self.slots.iter().map(|slot| slot.generation).max().unwrap_or(0);
            self.slots = Vec::new();
            self.slots.push(Slot { generation, next_free: NONE, value: None });
            self.free = 0;
        }
        Some(value)
    }

    /// All objects with their handles.
    pub fn iter(&self) -> impl Iterator<Item = (Handle, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let handle = Handle { index: index as u32, generation: slot.generation };
            slot.value.as_ref().map(|value| (handle, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_expire() {
        let mut slab = Slab::new();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get(second), Some(&'b'));
        assert_eq!(Handle::from_bits(second.to_bits()), second);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.len(), 1);
    }
}
