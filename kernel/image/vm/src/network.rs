//! Virtio network devices, on PCI or with registers in memory.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi_guest::{Network, NetworkSource};
use hal::{PAGE_SIZE, PhysAddr};
use kernel_image::Opened;
use mm::frames;
use net_service::stack::base::{BufferPool, Chain, Chunk};
use net_service::stack::{Frame, Offloads, Received, ReceivedMeta};
use net_service::{Device, MakeDevice};
use plat_vm::devices::{self, PciFunction};
use virtio::{
    ConfigSpace, Failure, Header, Memory, Mmio, Net, Part, Pci, Queue, Segments, Transport,
};

/// The kind of a network device.
const NETWORK: u32 = 1;

/// Where QEMU's microvm has its devices, how many there can be, and the first one's interrupt.
const MICROVM: u64 = 0xfeb0_0000;
const MICROVM_SLOTS: u64 = 8;
const MICROVM_INPUT: u8 = 5;

const NO_MEMORY: &str = "too little memory for a network device";

/// Opens the device behind an interface.
pub fn open(network: &Network) -> Result<Opened, &'static str> {
    let NetworkSource::Device { index } = network.source else {
        return Err("a machine has no descriptors");
    };
    let transport = find(index as usize).map_err(Failure::text)?;
    let transport = transport.ok_or("the machine has no such network device")?;
    let (receive, transmit) = (queue_memory()?, queue_memory()?);
    // SAFETY: fresh frames that are never given back.
    let net = unsafe { Net::new(transport, receive, transmit) }.map_err(Failure::text)?;
    let headers = run(usize::from(net.transmit.size()) * SLOT)?;
    let (v4, v6) = net.cuts_segments();
    let checksum = network.in_memory || net.computes_checksums();
    let offloads = Offloads { checksum, segmentation_v4: v4, segmentation_v6: v6 };
    let mac = net.mac();
    let in_memory = network.in_memory;
    let driver: MakeDevice = Box::new(move |pool| {
        let mut frames = Frames::new(net, headers, in_memory, pool);
        frames.refill();
        Box::new(frames)
    });
    Ok(Opened { driver, offloads, mac })
}

/// Zeroed memory for good.
fn run(bytes: usize) -> Result<Memory, &'static str> {
    let count = bytes.div_ceil(PAGE_SIZE as usize);
    let address = frames::allocate_run(count).ok_or(NO_MEMORY)?;
    frames::zero(address, count * PAGE_SIZE as usize);
    Ok(Memory { pointer: address.pointer(), physical: address.0, length: bytes })
}

fn queue_memory() -> Result<Memory, &'static str> {
    run(Queue::MEMORY)
}

/// The network device with a number: on PCI, or where there is none in the microvm's places.
fn find(index: usize) -> Result<Option<Box<dyn Transport>>, Failure> {
    let mut functions = PciFunction::all().peekable();
    if functions.peek().is_some() {
        let found =
            functions.filter(|function| Pci::kind(function.read(0)) == Some(NETWORK)).nth(index);
        let Some(function) = found else { return Ok(None) };
        let device = Pci::new(&mut Function(function), devices::message())?;
        return Ok(Some(Box::new(device)));
    }
    let mut number = 0;
    // The device that was named first is in the last place.
    for slot in (0..MICROVM_SLOTS).rev() {
        let address = MICROVM + slot * Mmio::LENGTH as u64;
        let Some(registers) = devices::map(address, Mmio::LENGTH as u64) else { return Ok(None) };
        // SAFETY: registers of the microvm's devices; an empty place has no magic number.
        let Some((device, NETWORK)) = (unsafe { Mmio::probe(registers) })? else { continue };
        if number == index {
            return Ok(devices::route(MICROVM_INPUT + slot as u8).map(|()| Box::new(device) as _));
        }
        number += 1;
    }
    Ok(None)
}

/// A function's configuration space.
struct Function(PciFunction);

impl ConfigSpace for Function {
    fn read(&mut self, offset: u16) -> u32 {
        self.0.read(offset)
    }

    fn write(&mut self, offset: u16, value: u32) {
        self.0.write(offset, value);
    }

    fn map(&mut self, physical: u64, length: u64) -> Option<*mut u8> {
        devices::map(physical, length)
    }
}

/// Bytes of a receive buffer.
const BUFFER: usize = 2048;
/// Bytes for the headers of a sent frame: the device's own, and those of all layers.
const SLOT: usize = 192;
/// Descriptors that a frame takes at most.
const MOST_PARTS: usize = 20;

struct Frames {
    net: Net,
    pool: Arc<dyn BufferPool>,
    in_memory: bool,
    /// Buffers that the device has, by their name.
    buffers: Vec<Chunk>,
    /// Frames that the device is sending, by their name.
    sending: Vec<Option<Frame>>,
    headers: Memory,
}

/// Where the device sees memory of the kernel's heap, which lies in frames in a row.
fn physical(pointer: *const u8) -> u64 {
    (pointer as u64).wrapping_sub(PhysAddr(0).pointer() as u64)
}

impl Frames {
    fn new(net: Net, headers: Memory, in_memory: bool, pool: Arc<dyn BufferPool>) -> Self {
        let buffers = (0..net.receive.size()).map(|_| Chunk::empty()).collect();
        let sending = (0..net.transmit.size()).map(|_| None).collect();
        Self { net, pool, in_memory, buffers, sending, headers }
    }

    /// Gives the device buffers to fill.
    fn refill(&mut self) {
        while self.net.receive.room() > 0 {
            let Some(mut chunk) = self.pool.allocate(BUFFER) else { break };
            let mut place = None;
            chunk.fill(BUFFER, |spare| {
                place = Some((physical(spare.as_ptr()), spare.len() as u32));
                0
            });
            let Some((address, length)) = place else { break };
            let Some(name) = self.net.post(address, length) else { break };
            self.buffers[usize::from(name)] = chunk;
        }
        self.net.publish_buffers();
    }

    /// The next buffer that the device has filled.
    fn filled(&mut self) -> Option<Chunk> {
        let (name, length) = self.net.receive.take()?;
        let mut chunk = core::mem::take(&mut self.buffers[usize::from(name)]);
        // The device has written that much, or claims so: what is beyond is old, but ours.
        chunk.fill(length as usize, |spare| spare.len());
        Some(chunk)
    }

    /// Takes back what the device has sent.
    fn reclaim(&mut self) {
        while let Some((name, _)) = self.net.transmit.take() {
            self.sending[usize::from(name)] = None;
        }
    }
}

impl Device for Frames {
    fn receive(&mut self) -> Option<Received> {
        loop {
            let Some(mut first) = self.filled() else {
                self.refill();
                return None;
            };
            let Some(bytes) = first.bytes().first_chunk::<{ Header::LENGTH }>() else { continue };
            let header = Header::decode(bytes);
            first.advance(Header::LENGTH);
            let mut data = Chain::from(first);
            let count = if self.net.is_mergeable() { header.buffers.max(1) } else { 1 };
            for _ in 1..count {
                match self.filled() {
                    Some(chunk) => data.push(chunk),
                    None => break,
                }
            }
            if self.net.receive.room() >= usize::from(self.net.receive.size()) / 2 {
                self.refill();
            }
            let checksum_valid = self.in_memory || header.checked || header.checksum.is_some();
            let segment_size = header.segments.map_or(0, |segments| segments.size);
            return Some(Received { data, meta: ReceivedMeta { checksum_valid, segment_size } });
        }
    }

    fn has_room(&mut self) -> bool {
        if self.net.transmit.room() < MOST_PARTS {
            self.reclaim();
        }
        self.net.transmit.room() >= MOST_PARTS
    }

    fn transmit(&mut self, frame: Frame) {
        let segments = frame.segmentation.map(|segmentation| Segments {
            size: segmentation.size,
            ipv6: segmentation.ipv6,
            header_length: segmentation.header_length,
        });
        let checksum = frame.checksum.map(|request| (request.start, request.offset));
        let checksum = checksum.filter(|_| self.net.computes_checksums());
        let header = Header { checksum, segments, ..Header::default() };
        let slot = usize::from(self.net.transmit.next_head()) * SLOT;
        let length = Header::LENGTH + frame.header.len();
        if length > SLOT || slot + SLOT > self.headers.length {
            return;
        }
        // SAFETY: the slot of a chain that the device does not have.
        unsafe {
            let to = self.headers.pointer.add(slot);
            to.copy_from_nonoverlapping(header.encode().as_ptr(), Header::LENGTH);
            to.add(Header::LENGTH)
                .copy_from_nonoverlapping(frame.header.as_slice().as_ptr(), frame.header.len());
        }
        let part = |physical, length: usize| Part {
            physical,
            length: length as u32,
            device_writes: false,
        };
        let mut parts = Vec::with_capacity(MOST_PARTS);
        parts.push(part(self.headers.physical + slot as u64, length));
        for chunk in frame.payload.chunks() {
            parts.push(part(physical(chunk.bytes().as_ptr()), chunk.len()));
        }
        if let Some(name) = self.net.transmit.add(parts.into_iter()) {
            self.sending[usize::from(name)] = Some(frame);
        }
    }

    fn flush(&mut self) {
        self.net.publish_frames();
    }

    fn rest(&mut self) -> bool {
        self.net.acknowledge();
        // Room for frames is looked at when there are some: sent ones need no interrupt as long as
        // there is enough.
        let full = self.net.transmit.room() < MOST_PARTS;
        let sent = full && self.net.transmit.enable_interrupts();
        if !full {
            self.reclaim();
            self.net.transmit.disable_interrupts();
        }
        self.net.receive.enable_interrupts() || sent
    }
}
