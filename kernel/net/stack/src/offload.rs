//! What devices with offloads do, in software: for devices that lack them, for captures and
//! for tests.

use alloc::vec::Vec;

use crate::checksum::Sum;
use crate::frame::Frame;

impl Frame {
    /// Computes the checksum that was left to the device.
    pub fn complete_checksum(&mut self) {
        let Some(request) = self.checksum.take() else { return };
        let (start, offset) = (usize::from(request.start), usize::from(request.offset));
        let header = self.header.as_mut_slice();
        let Some(covered) = header.get(start..) else { return };
        let mut sum = Sum::default();
        sum.add(covered);
        // The transport header has an even length, so the payload starts at an even offset.
        sum.add_chain(&self.payload);
        let value = match sum.finish() {
            0 => 0xffff,
            value => value,
        };
        if let Some(field) = header.get_mut(start + offset..start + offset + 2) {
            field.copy_from_slice(&value.to_be_bytes());
        }
    }

    /// Cuts a frame with more data than a segment carries; other frames come back as they are.
    /// Checksums of the pieces are left to the device, or to [`Frame::complete_checksum`].
    pub fn cut(mut self) -> Vec<Frame> {
        let Some(segmentation) = self.segmentation.take() else { return alloc::vec![self] };
        let size = usize::from(segmentation.size).max(1);
        let Some(request) = self.checksum else { return alloc::vec![self] };
        let transport = usize::from(request.start);
        let network_length = if segmentation.ipv6 { 40 } else { 20 };
        let network = transport.saturating_sub(network_length);
        let total = self.payload.len();
        let mut frames = Vec::with_capacity(total.div_ceil(size));
        let mut offset = 0;
        while offset < total {
            let payload = self.payload.split_to(size);
            let (length, last) = (payload.len(), self.payload.is_empty());
            let mut frame = Frame {
                header: self.header.clone(),
                payload,
                checksum: self.checksum,
                segmentation: None,
                flow_hash: self.flow_hash,
            };
            let header = frame.header.as_mut_slice();
            let transport_length = header.len() - transport;
            fix_transport(&mut header[transport..], offset, last, total, length);
            fix_network(&mut header[network..], segmentation.ipv6, transport_length + length);
            offset += length;
            frames.push(frame);
        }
        frames
    }
}

/// Sequence number, flags, and the pseudo header's share of the length.
fn fix_transport(tcp: &mut [u8], offset: usize, last: bool, total: usize, length: usize) {
    if tcp.len() < 20 {
        return;
    }
    let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]).wrapping_add(offset as u32);
    tcp[4..8].copy_from_slice(&seq.to_be_bytes());
    if !last {
        // FIN and PSH belong to the last one.
        tcp[13] &= !0x09;
    }
    let before = u16::from_be_bytes([tcp[16], tcp[17]]);
    let mut sum = Sum::default();
    sum.add_word(before);
    // One's complement subtraction of the lengths' difference.
    sum.add_word(!((total - length) as u16));
    tcp[16..18].copy_from_slice(&sum.partial().to_be_bytes());
}

fn fix_network(network: &mut [u8], ipv6: bool, length: usize) {
    if ipv6 {
        if let Some(field) = network.get_mut(4..6) {
            field.copy_from_slice(&(length as u16).to_be_bytes());
        }
        return;
    }
    if network.len() < 20 {
        return;
    }
    network[2..4].copy_from_slice(&((length + 20) as u16).to_be_bytes());
    network[10..12].fill(0);
    let mut sum = Sum::default();
    sum.add(&network[..20]);
    network[10..12].copy_from_slice(&sum.finish().to_be_bytes());
}
