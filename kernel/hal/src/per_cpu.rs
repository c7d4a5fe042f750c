//! One value per vCPU.

use crate::{MAX_VCPUS, vcpu_current};

/// One cache-line-aligned `T` per vCPU; made by [`per_cpu!`](crate::per_cpu!).
pub struct PerCpu<T> {
    slots: [Slot<T>; MAX_VCPUS],
}

/// The value of one vCPU.
#[repr(align(64))]
pub struct Slot<T>(pub T);

/// A [`PerCpu`] whose values are all this constant expression's.
#[macro_export]
macro_rules! per_cpu {
    ($value:expr) => {
        $crate::PerCpu::from_slots([const { $crate::Slot($value) }; $crate::MAX_VCPUS])
    };
}

impl<T> PerCpu<T> {
    /// From the value of each vCPU.
    pub const fn from_slots(slots: [Slot<T>; MAX_VCPUS]) -> Self {
        Self { slots }
    }

    /// The value of the vCPU that this code runs on. It stays this vCPU's until the next
    /// yield point.
    #[inline]
    pub fn this(&self) -> &T {
        self.of(vcpu_current())
    }

    /// The value of a vCPU.
    #[inline]
    pub fn of(&self, vcpu: usize) -> &T {
        &self.slots[vcpu].0
    }
}
