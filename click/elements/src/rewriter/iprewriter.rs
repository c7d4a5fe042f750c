//! IPRewriter: rewrites addresses and ports of TCP and UDP flows.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_language::config;
use click_language::text;
use click_language::value as parse;
use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::Packet;
use click_runtime::Phase;
use click_runtime::args::Annotation;
use click_runtime::args::Ip;
use click_runtime::args::Raw;
use click_runtime::args::Scope;
use click_runtime::args::Time;
use click_runtime::element::downcast;
use click_runtime::names::Kind;
use hashbrown::HashMap;

use crate::common;
use crate::flow;
use crate::nat;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "IPRewriter",
    ports: "1-/1-",
    processing: "h/h",
    flow: "",
    make: || Box::new(Rewriter::new(nat::Flavor::Ports)),
    documentation: Documentation {
        summary: "Rewrites addresses and ports of TCP and UDP flows.",
        arguments: &[
            (
                "INPUTSPEC...",
                "one per input: `drop`, `pass OUTPUT`, `keep FOUTPUT ROUTPUT`, `pattern SADDR SPORT DADDR DPORT FOUTPUT ROUTPUT`, or an element that chooses",
            ),
            ("MAPPING_CAPACITY", "most flows, default 65536, or a rewriter to share with"),
            ("GUARANTEE", "time for which a flow cannot be replaced after a packet, default 5s"),
            (
                "TCP_TIMEOUT, TCP_DONE_TIMEOUT, TCP_NODATA_TIMEOUT",
                "when TCP flows end: default 24h, 4m, 5m",
            ),
            ("UDP_TIMEOUT, UDP_STREAMING_TIMEOUT", "when UDP flows end: default 5m"),
            ("TIMEOUT, STREAMING_TIMEOUT", "the same for rewriters of one kind"),
            ("REAP_INTERVAL", "how often ended flows are removed, default 15m"),
            ("DST_ANNO", "whether to set the destination annotation, default true"),
            ("REPLY_ANNO", "annotation of new flows to put on replies"),
        ],
        handlers: &[
            ("table, tcp_table, udp_table", "the flows"),
            ("patterns", "input specifications"),
            ("pattern0, ...", "changes an input specification"),
            ("lookup, tcp_lookup, udp_lookup", "the identity that a flow is rewritten to"),
            ("size", "number of flows"),
            ("capacity", "most flows"),
            ("mapping_failures", "new flows that found no place"),
            ("clear", "removes all flows"),
        ],
    },
};

use super::roundrobinipmapper::RoundRobinIPMapper;
use crate::nat::flow::{Group, apply, identify};
use crate::nat::sequence::Shifts;
use crate::nat::table::Flow;

const SECOND: i64 = 1_000_000_000;

/// When flows end.
#[derive(Clone, Copy)]
struct Timeouts {
    tcp: i64,
    tcp_done: i64,
    tcp_nodata: i64,
    udp: i64,
    udp_streaming: i64,
    guarantee: i64,
    reap: i64,
}

/// A rewriter of one flavor.
pub(crate) struct Rewriter {
    flavor: nat::Flavor,
    specs: Vec<nat::Spec>,
    table: nat::Table,
    timeouts: Timeouts,
    capacity: usize,
    /// The rewriter whose capacity this one shares.
    owner: Option<usize>,
    owner_name: Option<String>,
    /// Rewriters that share this one's capacity.
    members: Vec<usize>,
    annotate: bool,
    reply_annotation: Option<usize>,
    failures: u64,
    /// All flows last as UDP flows do.
    uniform: bool,
    /// Shifts of sequence numbers by flow number, each with the identity of its flow.
    shifts: HashMap<u32, (nat::FlowId, Shifts)>,
    /// The packets of a batch and their outputs, kept to save allocations.
    seen: Vec<Seen>,
    outputs: Vec<u32>,
    /// Makes sure that entries are read ahead.
    entries: u64,
}

/// Takes note of data and of the ends of a TCP connection.
fn note_tcp(flow: &mut Flow, way: usize, packet: &Packet) {
    let Some(&[offset, flags]) = packet.transport_data().get(12..14) else { return };
    let ip = packet.network_data();
    let headers = wire::header_length(ip) + usize::from(offset >> 4) * 4;
    flow.data[way] |= usize::from(wire::u16_at(ip, 2)) > headers;
    // A reset ends both directions, a FIN its own; a SYN begins anew.
    if flags & 4 != 0 {
        flow.done = [true; 2];
    } else if flags & 1 != 0 {
        flow.done[way] = true;
    } else if flags & 2 != 0 {
        flow.done = [false; 2];
    }
}

/// A packet of a batch on its way through a rewriter.
struct Seen {
    /// What identifies its flow, if it can have one.
    flow: Option<(Group, nat::FlowId)>,
    hash: u32,
    /// The flow, and whether the packet is a reply.
    found: Option<(u32, bool)>,
}

/// Most flows if the configuration does not say.
const CAPACITY: usize = 65536;

impl Rewriter {
    /// A rewriter of a flavor.
    pub(crate) fn new(flavor: nat::Flavor) -> Self {
        Self {
            flavor,
            specs: Vec::new(),
            table: nat::Table::default(),
            timeouts: Timeouts {
                tcp: 86400 * SECOND,
                tcp_done: 240 * SECOND,
                tcp_nodata: 300 * SECOND,
                udp: 300 * SECOND,
                udp_streaming: 300 * SECOND,
                guarantee: 5 * SECOND,
                reap: 900 * SECOND,
            },
            capacity: CAPACITY,
            owner: None,
            owner_name: None,
            members: Vec::new(),
            annotate: true,
            reply_annotation: None,
            failures: 0,
            uniform: flavor != nat::Flavor::Ports,
            shifts: HashMap::new(),
            seen: Vec::new(),
            outputs: Vec::new(),
            entries: 0,
        }
    }

    /// The same, with the timeouts of UDP for all flows.
    #[must_use]
    pub(crate) fn uniform(mut self) -> Self {
        self.uniform = true;
        self
    }

    /// The identity that packets of this one are given.
    pub(crate) fn lookup(
        &mut self,
        group: Group,
        id: nat::FlowId,
    ) -> Option<(nat::FlowId, bool, u16, u8)> {
        let (number, reply) = self.find(group, id)?;
        let flow = self.table.flow_mut(number)?;
        let result = flow.result(reply);
        Some((result, reply, flow.outputs[usize::from(reply)], flow.annotation))
    }

    /// What identifies flows here.
    pub(crate) fn flavor(&self) -> nat::Flavor {
        self.flavor
    }

    fn find(&self, group: Group, id: nat::FlowId) -> Option<(u32, bool)> {
        match self.flavor {
            nat::Flavor::Address => {
                let reply = nat::FlowId { source: [0; 4], ..id };
                self.table.find(group, self.key(id)).or_else(|| self.table.find(group, reply))
            }
            _ => self.table.find(group, id),
        }
    }

    /// The identity under which packets of a flow are looked for first.
    fn key(&self, id: nat::FlowId) -> nat::FlowId {
        match self.flavor {
            nat::Flavor::Address => nat::FlowId { destination: [0; 4], ..id },
            _ => id,
        }
    }

    /// Takes note of a packet of a flow, which prolongs its life or shortens it.
    #[inline]
    fn note(&mut self, number: u32, reply: bool, packet: Option<&Packet>, now: i64) {
        let (timeouts, uniform) = (self.timeouts, self.uniform);
        let Some(flow) = self.table.flow_mut(number) else { return };
        flow.packets = flow.packets.saturating_add(1);
        if flow.group == Group::Tcp
            && let Some(packet) = packet
        {
            note_tcp(flow, usize::from(reply), packet);
        }
        let group = if uniform { Group::Udp } else { flow.group };
        let lifetime = match group {
            Group::Tcp if flow.done == [true; 2] => timeouts.tcp_done,
            Group::Tcp if flow.data == [true; 2] => timeouts.tcp,
            Group::Tcp => timeouts.tcp_nodata,
            _ if flow.packets >= 3 => timeouts.udp_streaming,
            _ => timeouts.udp,
        };
        let before = flow.expiry;
        flow.expiry = now + lifetime;
        flow.guaranteed = now + timeouts.guarantee;
        if flow.expiry < before {
            self.table.shortened(number);
        }
    }

    /// The identity and outputs that a new flow gets at an input.
    fn choose(
        &mut self,
        input: usize,
        group: Group,
        id: nat::FlowId,
        cx: &mut Context<'_>,
    ) -> Option<(nat::FlowId, usize, usize)> {
        let table = &self.table;
        let flavor = self.flavor;
        let is_free = |new: nat::FlowId| {
            let new = if flavor == nat::Flavor::Address {
                nat::FlowId { destination: [0; 4], ..new }
            } else {
                new
            };
            table.find(group, new.reverse()).is_none()
        };
        let choose_by = |spec: &mut nat::Spec, cx: &mut Context<'_>| match spec {
            nat::Spec::Keep(forward, reply) => Some((id, *forward, *reply)),
            nat::Spec::Pattern(pattern, forward, reply) => {
                Some((pattern.rewrite(id, is_free, cx)?, *forward, *reply))
            }
            _ => None,
        };
        match self.specs.get_mut(input)? {
            nat::Spec::Mapper(mapper) => {
                let mapper = *mapper;
                cx.with(mapper, |mapper: &mut RoundRobinIPMapper, cx| {
                    mapper.next().and_then(|spec| choose_by(spec, cx))
                })?
            }
            spec => choose_by(spec, cx),
        }
    }

    /// What packets of this identity become, for which a flow is made if there is none yet,
    /// as if one had come at an input. Replies of a new flow get the annotation.
    pub(crate) fn establish(
        &mut self,
        input: usize,
        (group, id): (Group, nat::FlowId),
        annotation: u8,
        cx: &mut Context<'_>,
    ) -> Option<nat::FlowId> {
        let (number, reply) = match self.find(group, id) {
            Some(found) => found,
            None => (self.begin(input, (group, id), None, cx)?, false),
        };
        let flow = self.table.flow_mut(number)?;
        flow.annotation = annotation;
        Some(flow.result(reply))
    }

    /// Shifts the sequence numbers of a TCP flow from `from` on by some more bytes. The
    /// identity is that of the packet whose length changed.
    pub(crate) fn shift(&mut self, id: nat::FlowId, from: u32, difference: i32) {
        let Some((number, reply)) = self.find(Group::Tcp, id) else { return };
        let Some(flow) = self.table.flow_mut(number) else { return };
        let key = flow.key(false);
        let (known, shifts) = self.shifts.entry(number).or_default();
        if *known != key {
            // Those of a flow that had the number before.
            (*known, *shifts) = (key, Shifts::default());
        }
        shifts.add(reply, from, difference);
    }

    /// Shifts the sequence numbers of a packet whose flow has changed data.
    fn shift_packet(&mut self, number: u32, reply: bool, packet: &mut Packet) {
        let key = self.table.flow_mut(number).map(|flow| flow.key(false));
        if let Some((known, shifts)) = self.shifts.get_mut(&number)
            && Some(*known) == key
        {
            shifts.apply(reply, packet);
        }
    }

    /// Makes a flow, for a packet if there is one; none if there is no place for it.
    fn begin(
        &mut self,
        input: usize,
        (group, id): (Group, nat::FlowId),
        packet: Option<&Packet>,
        cx: &mut Context<'_>,
    ) -> Option<u32> {
        let Some((new, forward, reply)) = self.choose(input, group, id, cx) else {
            self.failures += 1;
            return None;
        };
        let now = cx.time();
        let (mut id, mut new) = (id, new);
        if self.flavor == nat::Flavor::Address {
            id.destination = [0; 4];
            new.destination = [0; 4];
        }
        let flow = Flow {
            group,
            forward: [id, new],
            guaranteed: 0,
            expiry: 0,
            packets: 0,
            data: [false; 2],
            done: [false; 2],
            input: input as u16,
            outputs: [forward as u16, reply as u16],
            annotation: packet
                .zip(self.reply_annotation)
                .map_or(0, |(packet, at)| packet.anno_u8(at)),
        };
        let number = self.table.insert(flow);
        self.note(number, false, packet, now);
        self.make_room(now, number, cx);
        let there = self.table.flow_mut(number).is_some_and(|flow| flow.forward == [id, new]);
        if !there {
            self.failures += 1;
        }
        there.then_some(number)
    }

    /// Removes flows until the capacity is kept: those without a claim that end first, or
    /// else the newest.
    fn make_room(&mut self, now: i64, newest: u32, cx: &mut Context<'_>) {
        let own = cx.id();
        if self.owner.is_none() && self.members.is_empty() && self.table.len() <= self.capacity {
            return;
        }
        let (capacity, sharers) = match self.owner {
            None => (self.capacity, self.members.clone()),
            Some(owner) => {
                let shared =
                    cx.with(owner, |other: &mut Self, _| (other.capacity, other.members.clone()));
                let Some((capacity, mut list)) = shared else { return };
                list.retain(|member| *member != own);
                list.push(owner);
                (capacity, list)
            }
        };
        let others: usize = sharers
            .iter()
            .filter_map(|&sharer| cx.with(sharer, |other: &mut Self, _| other.table.len()))
            .sum();
        if others + self.table.len() <= capacity {
            return;
        }
        loop {
            let mut total = self.table.len();
            let mut weakest = self.table.weakest(now).map(|(expiry, number)| (expiry, own, number));
            for &sharer in &sharers {
                let found = cx.with(sharer, |other: &mut Self, _| {
                    (other.table.len(), other.table.weakest(now))
                });
                let Some((count, candidate)) = found else { continue };
                total += count;
                if let Some((expiry, number)) = candidate
                    && weakest.is_none_or(|(best, ..)| expiry < best)
                {
                    weakest = Some((expiry, sharer, number));
                }
            }
            if total <= capacity {
                return;
            }
            match weakest {
                Some((_, element, number)) if element == own => self.table.remove(number),
                Some((_, element, number)) => {
                    cx.with(element, |other: &mut Self, _| other.table.remove(number));
                }
                // All have a claim to their places.
                None => {
                    self.table.remove(newest);
                    return;
                }
            }
        }
    }

    /// Identifies the packets of a batch and finds their flows. The steps are separate so
    /// that the memory works on the look-ups of all packets at once.
    fn look_ahead(&mut self, batch: &Batch) {
        let mut seen = core::mem::take(&mut self.seen);
        seen.clear();
        let mut entries = 0;
        for packet in batch {
            let flow = identify(self.flavor, packet);
            let hash = flow.map_or(0, |(group, id)| self.table.hash(group, self.key(id)));
            entries ^= self.table.first_entry(hash);
            seen.push(Seen { flow, hash, found: None });
        }
        self.entries = entries;
        for packet in &mut seen {
            if let Some((group, id)) = packet.flow {
                packet.found = self.table.find_hashed(group, self.key(id), packet.hash);
            }
        }
        self.seen = seen;
    }

    /// The output for a packet, which becomes what its flow says; none drops it.
    #[inline]
    fn output(
        &mut self,
        input: usize,
        packet: &mut Packet,
        flow: Option<(Group, nat::FlowId)>,
        found: Option<(u32, bool)>,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        let Some((group, id)) = flow else {
            return match self.specs.get(input) {
                Some(nat::Spec::Pass(output)) => Some(*output),
                _ => None,
            };
        };
        let (number, reply) = match found.or_else(|| self.find(group, id)) {
            Some((number, reply)) => {
                let now = cx.coarse_time();
                self.note(number, reply, Some(packet), now);
                (number, reply)
            }
            None => match self.specs.get(input) {
                Some(nat::Spec::Pass(output)) => return Some(*output),
                Some(nat::Spec::Drop) | None => return None,
                Some(_) => (self.begin(input, (group, id), Some(packet), cx)?, false),
            },
        };
        let flow = self.table.flow_mut(number)?;
        let mut result = flow.result(reply);
        let output = usize::from(flow.outputs[usize::from(reply)]);
        if reply && let Some(at) = self.reply_annotation {
            packet.set_anno_u8(at, flow.annotation);
        }
        if self.flavor == nat::Flavor::Address {
            // Only one of the addresses takes part.
            if reply {
                result.source = id.source;
            } else {
                result.destination = id.destination;
            }
        }
        apply(self.flavor, packet, result, self.annotate);
        if !self.shifts.is_empty() {
            self.shift_packet(number, reply, packet);
        }
        Some(output)
    }

    fn show_table(&self, group: Option<Group>) -> String {
        let mut lines: Vec<String> = Vec::new();
        for flow in self.table.iter() {
            if group.is_some_and(|group| flow.group != group) {
                continue;
            }
            let [forward, reply] = flow.outputs;
            for way in [false, true] {
                let (key, result) = (flow.key(way), flow.result(way));
                let outputs = if way {
                    format!("{forward} *{reply}")
                } else {
                    format!("*{forward} {reply}")
                };
                let line = format!(
                    "{} => {} [{outputs}] i{}",
                    key.unparse(),
                    result.unparse(),
                    flow.input
                );
                lines.push(line + "\n");
            }
        }
        lines.concat()
    }

    fn look_up(&mut self, group: Group, text: &str, cx: &Context<'_>) -> Answer {
        let words = config::split_words(text);
        let [saddr, sport, daddr, dport] = words.as_slice() else {
            return Err("expected SADDR SPORT DADDR DPORT".into());
        };
        let id = nat::FlowId {
            source: common::value::<Ip>(saddr, cx)?.0,
            sport: common::value(sport, cx)?,
            destination: common::value::<Ip>(daddr, cx)?.0,
            dport: common::value(dport, cx)?,
        };
        Ok(match self.lookup(group, id) {
            None => String::new(),
            Some((new, ..)) => format!(
                "{} {} {} {}",
                parse::unparse_ip(new.source),
                new.sport,
                parse::unparse_ip(new.destination),
                new.dport
            ),
        })
    }

    fn set_spec(&mut self, input: usize, text: &str, cx: &Context<'_>) -> Answer {
        let scope = cx.scope();
        let named = |name: &str| named_pattern(name, &scope);
        let spec = nat::Spec::parse(text, self.flavor, cx.outputs(), &scope, &named)?;
        match self.specs.get_mut(input) {
            Some(slot) => *slot = spec,
            None => return Err("no such input".into()),
        }
        // Flows that the old specification made go with it.
        self.table.remove_if(|flow| usize::from(flow.input) == input);
        common::done()
    }
}

fn named_pattern(name: &str, scope: &Scope<'_>) -> Option<nat::Pattern> {
    let text = text::from_bytes(scope.names.find(scope.element, Kind::Pattern, name)?);
    nat::Pattern::parse(&config::split_words(&text), nat::Flavor::Ports, scope).ok()
}

impl Element for Rewriter {
    fn phase(&self) -> Phase {
        Phase::Late
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        let mut capacity = Raw::default();
        if args.keyword("MAPPING_CAPACITY", &mut capacity)
            || args.keyword("CAPACITY", &mut capacity)
        {
            match (parse::unsigned(&capacity.0), args.element(&capacity.0)) {
                (Some(number), _) => self.capacity = usize::try_from(number).unwrap_or(usize::MAX),
                (None, Some(owner)) => {
                    self.owner = Some(owner);
                    self.owner_name = Some(capacity.0);
                }
                _ => args.error("MAPPING_CAPACITY: expected number or rewriter"),
            }
        }
        let mut times = [None::<Time>; 9];
        let names = [
            "TCP_TIMEOUT",
            "TCP_DONE_TIMEOUT",
            "TCP_NODATA_TIMEOUT",
            "UDP_TIMEOUT",
            "UDP_STREAMING_TIMEOUT",
            "GUARANTEE",
            "REAP_INTERVAL",
            "TIMEOUT",
            "STREAMING_TIMEOUT",
        ];
        for (name, time) in names.into_iter().zip(&mut times) {
            args.keyword(name, time);
        }
        for name in ["TCP_GUARANTEE", "UDP_GUARANTEE"] {
            args.keyword(name, &mut times[5]);
        }
        let set = |slot: &mut i64, time: Option<Time>| *slot = time.map_or(*slot, |time| time.0);
        let timeouts = &mut self.timeouts;
        set(&mut timeouts.tcp, times[0].or(times[7]));
        set(&mut timeouts.tcp_done, times[1]);
        set(&mut timeouts.tcp_nodata, times[2]);
        set(&mut timeouts.udp, times[3].or(times[7]));
        timeouts.udp_streaming = timeouts.udp;
        set(&mut timeouts.udp_streaming, times[4].or(times[8]));
        set(&mut timeouts.guarantee, times[5]);
        set(&mut timeouts.reap, times[6]);
        // A rewriter of one kind applies its timeouts to all that passes through it.
        if times[7].is_some() {
            timeouts.tcp_nodata = timeouts.udp;
            timeouts.tcp = timeouts.udp_streaming;
        }
        args.keyword("DST_ANNO", &mut self.annotate);
        let mut annotation = None::<Annotation<1>>;
        if args.keyword("REPLY_ANNO", &mut annotation) {
            self.reply_annotation = annotation.map(|annotation| annotation.0.offset);
        }
        let specs = args.rest();
        if specs.len() != args.inputs {
            args.error(&format!("need {} arguments, one per input port", args.inputs));
            return;
        }
        let scope = args.scope;
        let named = |name: &str| named_pattern(name, &scope);
        for (number, text) in specs.iter().enumerate() {
            match nat::Spec::parse(text, self.flavor, args.outputs, &scope, &named) {
                Ok(spec) => self.specs.push(spec),
                Err(error) => args.error(&format!("input spec {number}: {error}")),
            }
        }
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        let own = cx.id();
        let mut key = || u64::from(cx.host().seed()) << 32 | u64::from(cx.host().seed());
        self.table.set_keys([key(), key()]);
        if let Some(owner) = self.owner {
            let joined = cx.with(owner, |other: &mut Self, _| other.members.push(own));
            if joined.is_none() {
                let name = self.owner_name.clone().unwrap_or_default();
                cx.error(&format!("MAPPING_CAPACITY: '{name}' is no rewriter of this kind"));
            }
        }
        cx.set_timer_after(0, self.timeouts.reap.max(SECOND));
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        let now = cx.time();
        self.table.remove_if(|flow| flow.expiry <= now && flow.guaranteed <= now);
        let table = &mut self.table;
        self.shifts.retain(|number, (known, _)| {
            table.flow_mut(*number).is_some_and(|flow| flow.key(false) == *known)
        });
        cx.set_timer_after(0, self.timeouts.reap.max(SECOND));
    }

    fn push(&mut self, port: usize, batch: Batch, cx: &mut Context<'_>) {
        self.look_ahead(&batch);
        let version = self.table.version();
        let seen = core::mem::take(&mut self.seen);
        let mut outputs = core::mem::take(&mut self.outputs);
        outputs.resize(batch.len(), 0);
        let mut batch = batch;
        for ((packet, seen), slot) in batch.iter_mut().zip(&seen).zip(&mut outputs) {
            // Flows that came or went since may be those of later packets.
            let found = if self.table.version() == version { seen.found } else { None };
            let output = self.output(port, packet, seen.flow, found, cx);
            *slot = output.map_or(u32::MAX, |output| output as u32);
        }
        flow::distribute_to(batch, &outputs, cx);
        (self.seen, self.outputs) = (seen, outputs);
    }

    fn handlers(&self) -> Vec<Handler> {
        let mut list = vec![
            Handler::read("table"),
            Handler::read("tcp_table"),
            Handler::read("udp_table"),
            Handler::read("patterns"),
            Handler::query("lookup"),
            Handler::query("tcp_lookup"),
            Handler::query("udp_lookup"),
            Handler::read("size"),
            Handler::read("nmappings"),
            Handler::both("capacity"),
            Handler::read("mapping_failures"),
            Handler::button("clear"),
        ];
        for input in 0..self.specs.len() {
            list.push(Handler::write("").named(format!("pattern{input}")));
        }
        list
    }

    fn read(&mut self, handler: &str, parameter: &str, cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "table" => self.show_table(None),
            "tcp_table" => self.show_table(Some(Group::Tcp)),
            "udp_table" => self.show_table(Some(Group::Udp)),
            "tcp_lookup" => return self.look_up(Group::Tcp, parameter, cx),
            "udp_lookup" => return self.look_up(Group::Udp, parameter, cx),
            "lookup" => return self.look_up(Group::Other, parameter, cx),
            "size" | "nmappings" => self.table.len().to_string(),
            "capacity" => self.capacity.to_string(),
            "mapping_failures" => self.failures.to_string(),
            _ => {
                let mut out = String::new();
                for (input, spec) in self.specs.iter().enumerate() {
                    let made =
                        self.table.iter().filter(|flow| usize::from(flow.input) == input).count();
                    let made = if made > 0 { format!(" [{made}]") } else { String::new() };
                    out.push_str(&format!("{}{made}\n", spec.unparse(self.flavor)));
                }
                out
            }
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        match handler {
            "capacity" => {
                self.capacity = common::value(value, cx)?;
                let now = cx.time();
                while self.table.len() > self.capacity {
                    let weakest = self.table.weakest(now).or_else(|| self.table.weakest(i64::MAX));
                    match weakest {
                        Some((_, number)) => self.table.remove(number),
                        None => break,
                    }
                }
                common::done()
            }
            "clear" => {
                self.table.remove_if(|_| true);
                common::done()
            }
            _ => {
                let input = handler.trim_start_matches("pattern").parse().unwrap_or(usize::MAX);
                self.set_spec(input, value, cx)
            }
        }
    }

    fn take_state(&mut self, old: &mut dyn Element, _cx: &mut Context<'_>) {
        if let Some(old) = downcast::<Self>(old)
            && old.flavor == self.flavor
        {
            self.table = core::mem::take(&mut old.table);
            self.shifts = core::mem::take(&mut old.shifts);
        }
    }
}
