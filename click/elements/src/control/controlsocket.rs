//! ControlSocket: lets other programs read and write handlers over a socket.
//!
//! Source: the documentation of ControlSocket, protocol version 1.3.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use click_language::{text, value};
use click_runtime::args::ElementRef;
use click_runtime::element::downcast;
use click_runtime::handler::Call;
use click_runtime::host::{Address, Handle, SocketEvent};
use click_runtime::{Answer, Args, Class, Context, Documentation, Element, Handler};

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ControlSocket",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::<ControlSocket>::default(),
    documentation: Documentation {
        summary: "Lets other programs read and write handlers over a socket.",
        arguments: &[
            ("TYPE", "TCP or UNIX"),
            ("PORT", "for TCP: the port; with a plus sign, the first free one from there on"),
            ("FILE", "for UNIX: the name of the socket"),
            ("READONLY", "whether writing is forbidden, default false"),
            ("PROXY", "not supported"),
            ("VERBOSE", "whether connections are reported, default false"),
            ("LOCALHOST", "for TCP: whether to listen on 127.0.0.1 only, default false"),
            ("RETRIES", "how often to try again, one second apart, default 0"),
            ("RETRY_WARNINGS", "whether to say so, default true"),
        ],
        handlers: &[("port", "the port or file in use")],
    },
};

/// The most bytes of a command or of its data that are kept.
const LONGEST: usize = 1 << 24;

/// The most ports tried for `PORT+`.
const MOST_PORTS: u16 = 100;

#[derive(Default)]
struct Peer {
    received: Vec<u8>,
    answers: Vec<u8>,
    sent: usize,
    closing: bool,
}

#[derive(Default)]
struct ControlSocket {
    address: Option<Address>,
    search: bool,
    read_only: bool,
    verbose: bool,
    retries: i64,
    warn: bool,
    listener: Option<Handle>,
    port: u16,
    peers: BTreeMap<Handle, Peer>,
}

/// The timer by which connections get a look.
const ATTEND: u32 = 1;

/// What to do with a complete command.
enum Command {
    /// More bytes are needed.
    Wait,
    /// A request and its data.
    Do(Vec<String>, Option<String>),
}

impl ControlSocket {
    fn listen(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        let Some(mut address) = self.address.clone() else { return Ok(()) };
        let tries = if self.search { MOST_PORTS } else { 1 };
        let mut result = Err(String::new());
        for _ in 0..tries {
            result = cx.host().listen(&address);
            match &mut address {
                Address::Ip(_, port) if result.is_err() => *port = port.wrapping_add(1),
                _ => break,
            }
        }
        let (handle, port) = result?;
        self.port = port;
        self.listener = Some(handle);
        cx.watch(handle, false);
        Ok(())
    }

    /// Listens, or sees to it that it is tried again.
    fn start(&mut self, cx: &mut Context<'_>) {
        if let Err(error) = self.listen(cx) {
            if self.retries != 0 {
                self.retries -= 1;
                if self.warn {
                    cx.message(&format!("{}: {error}, will try again", cx.name()));
                }
                cx.set_timer_after(0, 1_000_000_000);
            } else {
                cx.error(&format!("bind: {error}"));
            }
        }
    }

    fn accept(&mut self, cx: &mut Context<'_>) {
        let Some(listener) = self.listener else { return };
        while let Ok(Some(handle)) = cx.host().accept(listener) {
            if self.verbose {
                cx.message(&format!("{}: opened connection", cx.name()));
            }
            let mut peer = Peer::default();
            peer.answers.extend_from_slice(b"Click::ControlSocket/1.3\r\n");
            self.peers.insert(handle, peer);
            cx.watch(handle, false);
            self.attend(handle, cx);
        }
    }

    /// Reads, acts and answers on one connection.
    fn attend(&mut self, handle: Handle, cx: &mut Context<'_>) {
        let Some(mut peer) = self.peers.remove(&handle) else { return };
        let mut alive = true;
        let mut buffer = [0; 4096];
        while alive && !peer.closing {
            match cx.host().receive(handle, &mut buffer) {
                Ok(Some(0)) => peer.closing = true,
                Ok(Some(count)) => peer.received.extend_from_slice(&buffer[..count]),
                Ok(None) => break,
                Err(_) => alive = false,
            }
            if peer.received.len() > LONGEST {
                alive = false;
            }
        }
        let ended = peer.closing;
        let mut paused = false;
        loop {
            // What comes next is for the router that takes over.
            paused |= cx.is_replaced();
            if paused || !alive {
                break;
            }
            match next(&mut peer.received, ended) {
                Command::Wait => break,
                Command::Do(words, data) => {
                    if self.act(&words, data, &mut peer.answers, cx) {
                        peer.closing = true;
                        break;
                    }
                }
            }
        }
        while alive && peer.sent < peer.answers.len() {
            match cx.host().send(handle, &peer.answers[peer.sent..]) {
                Ok(Some(count)) => peer.sent += count,
                Ok(None) => break,
                Err(_) => alive = false,
            }
        }
        let waiting = peer.sent < peer.answers.len();
        if !waiting {
            peer.answers.clear();
            peer.sent = 0;
        }
        if !alive || (peer.closing && !waiting && !paused) {
            cx.unwatch(handle);
            cx.host().close(handle);
            if self.verbose {
                cx.message(&format!("{}: closed connection", cx.name()));
            }
        } else {
            cx.watch(handle, waiting);
            self.peers.insert(handle, peer);
        }
    }

    /// Does what a command says. Tells whether the connection is to end.
    fn act(
        &mut self,
        words: &[String],
        data: Option<String>,
        out: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some((verb, arguments)) = words.split_first() else { return false };
        let verb = verb.to_ascii_uppercase();
        let usage = |out: &mut Vec<u8>, what: &str| reply(out, 500, what);
        match (verb.as_str(), arguments) {
            ("READ", [name, rest @ ..]) => self.read_for(name, rest.join(" "), out, cx),
            ("READDATA" | "READUNTIL", [name, _]) => {
                self.read_for(name, data.unwrap_or_default(), out, cx);
            }
            ("WRITE", [name, rest @ ..]) => self.write_for(name, &rest.join(" "), out, cx),
            ("WRITEDATA" | "WRITEUNTIL", [name, _]) => {
                self.write_for(name, &data.unwrap_or_default(), out, cx);
            }
            ("CHECKREAD", [name]) => self.check(name, false, out, cx),
            ("CHECKWRITE", [name]) => self.check(name, true, out, cx),
            ("LLRPC", [_, ..]) => reply(out, 501, "LLRPC not supported"),
            ("QUIT" | "CLOSE", []) => {
                reply(out, 200, "Goodbye!");
                return true;
            }
            ("HELP", _) => reply(
                out,
                200,
                "Commands supported:\nREAD handler [arg...]\nREADDATA handler len\n\
                 READUNTIL handler terminator\nWRITE handler [arg...]\nWRITEDATA handler len\n\
                 WRITEUNTIL handler terminator\nCHECKREAD handler\nCHECKWRITE handler\nQUIT",
            ),
            ("READ" | "WRITE" | "CHECKREAD" | "CHECKWRITE" | "LLRPC" | "QUIT" | "CLOSE", _)
            | ("READDATA" | "READUNTIL" | "WRITEDATA" | "WRITEUNTIL", _) => {
                usage(out, &format!("Wrong number of arguments to '{verb}'"));
            }
            _ => usage(out, &format!("Command '{}' unimplemented", words[0])),
        }
        false
    }

    /// Finds a handler. Otherwise the answer has been given.
    fn find(
        &self,
        name: &str,
        write: bool,
        out: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Option<(Option<usize>, Handler)> {
        let (element, handler) = match name.rsplit_once('.') {
            Some((element, handler)) => {
                let found = cx.router().find(element).or_else(|| {
                    let number: usize = element.parse().ok()?;
                    (1..=cx.router().len()).contains(&number).then(|| number - 1)
                });
                if found.is_none() {
                    reply(out, 510, &format!("No element named '{element}'"));
                    return None;
                }
                (found, handler)
            }
            None => (None, name),
        };
        let known = cx.router().handler(element, handler);
        let Some(known) = known.filter(|known| known.write || !known.private) else {
            reply(out, 511, &format!("No handler named '{name}'"));
            return None;
        };
        if write && !known.write {
            reply(out, 511, &format!("Handler '{name}' read-only"));
        } else if !write && (!known.read || known.private) {
            reply(out, 511, &format!("Handler '{name}' write-only"));
        } else if write && self.read_only {
            reply(out, 530, &format!("Permission denied for '{name}'"));
        } else {
            return Some((element, known));
        }
        None
    }

    fn read_for(&self, name: &str, argument: String, out: &mut Vec<u8>, cx: &mut Context<'_>) {
        let Some((element, handler)) = self.find(name, false, out, cx) else { return };
        if !argument.is_empty() && !handler.parameter {
            reply(out, 520, &format!("Read handler '{name}' does not take parameters"));
            return;
        }
        // The socket itself is acting, so its handlers are read here.
        let answer = if element == Some(cx.id()) && handler.name == "port" {
            Ok(self.shown_port())
        } else {
            let call = Call { element, handler: handler.name.into(), value: argument };
            cx.call_read(&call)
        };
        match answer {
            Ok(answer) => {
                let bytes = text::to_bytes(&answer);
                reply(out, 200, &format!("Read handler '{name}' OK"));
                out.extend_from_slice(format!("DATA {}\r\n", bytes.len()).as_bytes());
                out.extend_from_slice(&bytes);
            }
            Err(error) => failure(out, "Read", name, &error),
        }
    }

    fn write_for(&self, name: &str, argument: &str, out: &mut Vec<u8>, cx: &mut Context<'_>) {
        let Some((element, handler)) = self.find(name, true, out, cx) else { return };
        let call = Call { element, handler: handler.name.into(), value: argument.into() };
        match cx.call_write(&call) {
            Ok(_) => reply(out, 200, &format!("Write handler '{name}' OK")),
            Err(error) => failure(out, "Write", name, &error),
        }
    }

    fn check(&self, name: &str, write: bool, out: &mut Vec<u8>, cx: &mut Context<'_>) {
        let kind = if write { "Write" } else { "Read" };
        if self.find(name, write, out, cx).is_some() {
            reply(out, 200, &format!("{kind} handler '{name}' OK"));
        }
    }

    fn shown_port(&self) -> String {
        match &self.address {
            Some(Address::Unix(file)) => file.clone(),
            _ => self.port.to_string(),
        }
    }
}

/// Takes the next command from what was received.
fn next(received: &mut Vec<u8>, ended: bool) -> Command {
    loop {
        let Some((line, length)) = line(received, ended) else { return Command::Wait };
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        let verb = words.first().map(|verb| verb.to_ascii_uppercase()).unwrap_or_default();
        let mut whole = length;
        let mut data = None;
        match (verb.as_str(), words.get(2)) {
            ("", _) => {
                received.drain(..length);
                continue;
            }
            ("READDATA" | "WRITEDATA" | "LLRPC", Some(count)) => {
                let count = count.parse::<usize>().unwrap_or(0).min(LONGEST);
                if received.len() < length + count {
                    return Command::Wait;
                }
                whole += count;
                data = Some(text::from_bytes(&received[length..whole]));
            }
            ("READUNTIL" | "WRITEUNTIL", Some(end)) => {
                let mut text = String::new();
                loop {
                    let Some((line, more)) = self::line(&received[whole..], ended) else {
                        return Command::Wait;
                    };
                    let raw = &received[whole..whole + more];
                    whole += more;
                    if line.trim_end() == end {
                        break;
                    }
                    text.push_str(&text::from_bytes(raw));
                }
                data = Some(text);
            }
            _ => {}
        }
        received.drain(..whole);
        return Command::Do(words, data);
    }
}

/// The first line without its end, and its length with it.
fn line(bytes: &[u8], ended: bool) -> Option<(String, usize)> {
    let end = bytes.iter().position(|&byte| byte == b'\n' || byte == b'\r');
    let Some(end) = end else {
        let rest = ended && !bytes.is_empty();
        return rest.then(|| (text::from_bytes(bytes), bytes.len()));
    };
    let two = bytes[end] == b'\r' && bytes.get(end + 1) == Some(&b'\n');
    Some((text::from_bytes(&bytes[..end]), end + 1 + usize::from(two)))
}

/// Appends an answer; all its lines but the last have a dash behind the number.
fn reply(out: &mut Vec<u8>, code: u32, message: &str) {
    let mut lines = message.trim_end().split('\n').peekable();
    while let Some(line) = lines.next() {
        let mark = if lines.peek().is_some() { '-' } else { ' ' };
        out.extend_from_slice(&text::to_bytes(&format!("{code}{mark}{line}\r\n")));
    }
}

fn failure(out: &mut Vec<u8>, kind: &str, name: &str, error: &str) {
    reply(out, 520, &format!("{kind} handler '{name}' error:\n{error}"));
}

impl Element for ControlSocket {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut kind = String::new();
        let mut place = String::new();
        let mut proxy = ElementRef(0);
        let mut localhost = false;
        self.warn = true;
        args.required("TYPE", &mut kind);
        args.required("PORT", &mut place);
        args.keyword("READONLY", &mut self.read_only);
        let proxied = args.keyword("PROXY", &mut proxy);
        args.keyword("VERBOSE", &mut self.verbose);
        args.keyword("LOCALHOST", &mut localhost);
        args.keyword("RETRIES", &mut self.retries);
        args.keyword("RETRY_WARNINGS", &mut self.warn);
        args.finish();
        if !args.is_fine() {
            return;
        }
        if proxied {
            args.error("PROXY is not supported");
        }
        match kind.to_ascii_uppercase().as_str() {
            "TCP" => {
                let number = place.strip_suffix('+').unwrap_or(&place);
                self.search = number.len() < place.len();
                let host = if localhost { [127, 0, 0, 1] } else { [0; 4] };
                match value::unsigned(number).and_then(|port| u16::try_from(port).ok()) {
                    Some(port) => self.address = Some(Address::Ip(host, port)),
                    None => args.error("PORT: invalid TCP port"),
                }
            }
            "UNIX" => self.address = Some(Address::Unix(place)),
            _ => args.error(&format!("unknown socket type '{kind}'")),
        }
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        // The socket may still belong to the router that this one replaces.
        if cx.is_replacement() {
            cx.set_timer_after(0, 0);
        } else {
            self.start(cx);
        }
    }

    fn timer(&mut self, number: u32, cx: &mut Context<'_>) {
        if number == ATTEND {
            let peers: Vec<Handle> = self.peers.keys().copied().collect();
            for handle in peers {
                self.attend(handle, cx);
            }
        } else if self.listener.is_none() {
            self.start(cx);
        }
    }

    fn socket(&mut self, event: SocketEvent, cx: &mut Context<'_>) {
        if Some(event.handle) == self.listener {
            self.accept(cx);
        } else {
            self.attend(event.handle, cx);
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("port")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.shown_port())
    }

    fn take_state(&mut self, old: &mut dyn Element, cx: &mut Context<'_>) {
        let Some(old) = downcast::<Self>(old) else { return };
        if old.address != self.address {
            return;
        }
        self.port = old.port;
        self.listener = old.listener.take();
        self.peers = core::mem::take(&mut old.peers);
        for (&handle, peer) in &self.peers {
            cx.watch(handle, peer.sent < peer.answers.len());
        }
        // Commands may have been received already.
        cx.set_timer_after(ATTEND, 0);
        if let Some(listener) = self.listener {
            cx.watch(listener, false);
        }
    }

    fn cleanup(&mut self, cx: &mut Context<'_>) {
        for &handle in self.peers.keys() {
            cx.host().close(handle);
        }
        self.peers.clear();
        if let Some(listener) = self.listener.take() {
            cx.host().close(listener);
        }
    }
}
