//! Frames over a descriptor to the host's user-mode network.

use alloc::boxed::Box;
use alloc::sync::Arc;

use abi_guest::{Network, NetworkSource};
use kernel_image::Opened;
use net_service::stack::base::{BufferPool, Chain, Chunk};
use net_service::stack::{Frame, Offloads, Received, ReceivedMeta};
use net_service::{Device, MakeDevice};
use plat_hosted::{Channel, ChannelError};

/// Bytes for small frames, and for what is beyond.
const SMALL: usize = 2048;
const LARGE: usize = 64 << 10;

/// Opens the device behind an interface.
pub fn open(network: &Network) -> Result<Opened, &'static str> {
    let NetworkSource::Descriptor { number } = network.source else {
        return Err("processes have no network devices");
    };
    let channel = Channel::open(number).ok_or("the host refuses a thread for the network")?;
    let in_memory = network.in_memory;
    let driver: MakeDevice = Box::new(move |pool| Box::new(Frames::new(channel, in_memory, pool)));
    let offloads = Offloads { checksum: in_memory, segmentation_v4: false, segmentation_v6: false };
    Ok(Opened { driver, offloads, mac: None })
}

struct Frames {
    channel: Channel,
    in_memory: bool,
    pool: Arc<dyn BufferPool>,
    small: Chunk,
    large: Chunk,
    /// A frame that the channel had no room for.
    waiting: Option<Frame>,
    is_open: bool,
}

impl Frames {
    fn new(channel: Channel, in_memory: bool, pool: Arc<dyn BufferPool>) -> Self {
        let (small, large) = (Chunk::empty(), Chunk::empty());
        Self { channel, in_memory, pool, small, large, waiting: None, is_open: true }
    }

    fn send(&mut self, frame: Frame) {
        let parts = core::iter::once(frame.header.as_slice())
            .chain(frame.payload.chunks().map(Chunk::bytes));
        match self.channel.send(parts) {
            Ok(()) => {}
            Err(ChannelError::WouldBlock) => {
                self.waiting = Some(frame);
                self.channel.watch(true);
            }
            Err(ChannelError::Closed) => self.is_open = false,
        }
    }
}

impl Device for Frames {
    fn receive(&mut self) -> Option<Received> {
        if !self.is_open {
            return None;
        }
        if self.small.spare() < SMALL {
            self.small = self.pool.allocate(SMALL)?;
        }
        if self.large.spare() < LARGE {
            self.large = self.pool.allocate(LARGE)?;
        }
        let mut result = Err(ChannelError::WouldBlock);
        let (small, large, channel) = (&mut self.small, &mut self.large, &self.channel);
        small.fill(SMALL, |first| {
            let room = first.len();
            large.fill(LARGE, |second| {
                result = channel.receive(first, second);
                result.map_or(0, |count| count.saturating_sub(room))
            });
            result.map_or(0, |count| count.min(room))
        });
        match result {
            Ok(count) => {
                let mut data = Chain::from(core::mem::take(&mut self.small));
                if count > SMALL {
                    data.push(core::mem::take(&mut self.large));
                }
                let meta = ReceivedMeta { checksum_valid: self.in_memory, segment_size: 0 };
                Some(Received { data, meta })
            }
            Err(ChannelError::WouldBlock) => None,
            Err(ChannelError::Closed) => {
                self.is_open = false;
                None
            }
        }
    }

    fn has_room(&mut self) -> bool {
        if let Some(frame) = self.waiting.take() {
            self.send(frame);
        }
        self.waiting.is_none()
    }

    fn transmit(&mut self, frame: Frame) {
        if self.is_open {
            self.send(frame);
        }
    }

    fn rest(&mut self) -> bool {
        if self.is_open {
            self.channel.watch(self.waiting.is_some());
        }
        false
    }
}
