//! Structures as programs lay them out: little-endian, with the padding of x86-64.

/// A value with a fixed layout in user memory.
pub trait Layout: Sized {
    /// Its length in bytes.
    const SIZE: usize;

    /// Reads it from exactly [`SIZE`](Self::SIZE) bytes.
    fn decode(bytes: &[u8]) -> Self;

    /// Writes it to exactly [`SIZE`](Self::SIZE) bytes.
    fn encode(&self, bytes: &mut [u8]);
}

macro_rules! integers {
    ($($type:ty)*) => { $(
        impl Layout for $type {
            const SIZE: usize = size_of::<$type>();

            fn decode(bytes: &[u8]) -> Self {
                let mut array = [0; size_of::<$type>()];
                array.copy_from_slice(&bytes[..size_of::<$type>()]);
                Self::from_le_bytes(array)
            }

            fn encode(&self, bytes: &mut [u8]) {
                bytes[..size_of::<$type>()].copy_from_slice(&self.to_le_bytes());
            }
        }
    )* };
}

integers! { u8 u16 u32 u64 i8 i16 i32 i64 }

impl<T: Layout + Copy + Default, const N: usize> Layout for [T; N] {
    const SIZE: usize = N * T::SIZE;

    fn decode(bytes: &[u8]) -> Self {
        let mut array = [T::default(); N];
        for (value, chunk) in array.iter_mut().zip(bytes.chunks(T::SIZE)) {
            *value = T::decode(chunk);
        }
        array
    }

    fn encode(&self, bytes: &mut [u8]) {
        for (value, chunk) in self.iter().zip(bytes.chunks_mut(T::SIZE)) {
            value.encode(chunk);
        }
    }
}

/// Defines structures whose fields follow each other without gaps; padding is a field.
#[macro_export]
macro_rules! layout {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* })*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl $crate::abi::Layout for $name {
            const SIZE: usize = 0 $(+ <$type as $crate::abi::Layout>::SIZE)*;

            fn decode(bytes: &[u8]) -> Self {
                let mut rest = bytes;
                $(
                    let $field = <$type as $crate::abi::Layout>::decode(rest);
                    rest = &rest[<$type as $crate::abi::Layout>::SIZE..];
                )*
                let _ = rest;
                Self { $($field,)* }
            }

            fn encode(&self, bytes: &mut [u8]) {
                let mut rest = bytes;
                $(
                    let (head, tail) = rest.split_at_mut(<$type as $crate::abi::Layout>::SIZE);
                    $crate::abi::Layout::encode(&self.$field, head);
                    rest = tail;
                )*
                let _ = rest;
            }
        }
    )* };
}

layout! {
    /// `struct timespec`.
    pub struct Timespec {
        pub seconds: i64,
        pub nanoseconds: i64,
    }

    /// `struct timeval`.
    pub struct Timeval {
        pub seconds: i64,
        pub microseconds: i64,
    }

    /// `struct iovec`.
    pub struct IoVec {
        pub base: u64,
        pub length: u64,
    }
}

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

impl Timespec {
    /// From nanoseconds.
    pub fn from_nanoseconds(time: u64) -> Self {
        Self { seconds: (time / SECOND) as i64, nanoseconds: (time % SECOND) as i64 }
    }

    /// As nanoseconds, saturating; `None` when it is no valid duration.
    pub fn nanoseconds(self) -> Option<u64> {
        let fraction = u64::try_from(self.nanoseconds).ok().filter(|value| *value < SECOND)?;
        let seconds = u64::try_from(self.seconds).ok()?;
        Some(seconds.saturating_mul(SECOND).saturating_add(fraction))
    }
}

impl Timeval {
    /// From nanoseconds.
    pub fn from_nanoseconds(time: u64) -> Self {
        Self { seconds: (time / SECOND) as i64, microseconds: (time % SECOND / 1000) as i64 }
    }

    /// As nanoseconds, saturating; `None` when it is no valid duration.
    pub fn nanoseconds(self) -> Option<u64> {
        let fraction = u64::try_from(self.microseconds).ok().filter(|value| *value < 1_000_000)?;
        let seconds = u64::try_from(self.seconds).ok()?;
        Some(seconds.saturating_mul(SECOND).saturating_add(fraction * 1000))
    }
}
