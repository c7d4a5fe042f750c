//! `drupe click read` and `drupe click write`: handlers of a running router, over its
//! control socket.
//!
//! Source: the documentation of ControlSocket, "Server Commands" and "Reply Codes".

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use click_language::text::to_bytes;

use crate::files::path;
use crate::host::reason;
use crate::options::{self, Argument, Known, Takes, known};

const LIST: &[Known] = &[
    known("port", 'p', Takes::Value),
    known("unix-socket", 'u', Takes::Value),
    known("help", ' ', Takes::Nothing),
];

const HELP: &str = "\
Reads or writes handlers of a running router.

Usage: drupe click read  {-p [HOST:]PORT | -u FILE} HANDLER...
       drupe click write {-p [HOST:]PORT | -u FILE} HANDLER [VALUE]

  -p, --port [HOST:]PORT   The port that the router was given with -p (HOST is 127.0.0.1).
  -u, --unix-socket FILE   The socket that it was given with -u.

A handler is named ELEMENT.HANDLER, or HANDLER for those of the router. Without VALUE
the value to write is read from standard input.
";

/// Longest value that is accepted from a router.
const LONGEST: u64 = 1 << 30;

/// What a router answered.
struct Answer {
    code: u32,
    text: String,
    data: Vec<u8>,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

struct Client(BufReader<Box<dyn Stream>>);

impl Client {
    fn connect(address: &Address) -> Result<Self, String> {
        let (name, stream): (&str, std::io::Result<Box<dyn Stream>>) = match address {
            Address::Port(name) => (name, TcpStream::connect(name).map(|s| Box::new(s) as _)),
            Address::File(name) => {
                (name, UnixStream::connect(path(name)).map(|s| Box::new(s) as _))
            }
        };
        let stream = stream.map_err(|error| {
            format!("{name}: {}; is a router running with this control socket?", reason(&error))
        })?;
        let mut client = Self(BufReader::new(stream));
        let banner = client.line()?;
        if !banner.starts_with("Click::ControlSocket/") {
            return Err(format!("{name}: not the control socket of a router"));
        }
        Ok(client)
    }

    fn line(&mut self) -> Result<String, String> {
        let mut bytes = Vec::new();
        let count = self.0.read_until(b'\n', &mut bytes).map_err(|error| reason(&error))?;
        if count == 0 {
            return Err("the router closed the connection".into());
        }
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    fn ask(&mut self, request: &[u8]) -> Result<Answer, String> {
        let stream = self.0.get_mut();
        stream.write_all(request).and_then(|()| stream.flush()).map_err(|error| reason(&error))?;
        let mut text = String::new();
        loop {
            // `200 Text`, or `200-Text` if more lines follow.
            let line = self.line()?;
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code: u32 = code.ok_or_else(|| format!("the router answered '{line}'"))?;
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(line.get(4..).unwrap_or_default());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Answer { code, text, data: Vec::new() });
            }
        }
    }

    fn read(&mut self, handler: &str) -> Result<Answer, String> {
        let mut answer = self.ask(&to_bytes(&format!("READ {handler}\r\n")))?;
        if answer.code == 200 {
            let line = self.line()?;
            let length = line.strip_prefix("DATA ").and_then(|length| length.parse::<u64>().ok());
            let length = length.filter(|length| *length <= LONGEST);
            let length = length.ok_or_else(|| format!("the router answered '{line}'"))?;
            (&mut self.0)
                .take(length)
                .read_to_end(&mut answer.data)
                .map_err(|error| reason(&error))?;
        }
        Ok(answer)
    }

    fn write(&mut self, handler: &str, value: &[u8]) -> Result<Answer, String> {
        let mut request = to_bytes(&format!("WRITEDATA {handler} {}\r\n", value.len()));
        request.extend_from_slice(value);
        self.ask(&request)
    }
}

enum Address {
    Port(String),
    File(String),
}

struct Request {
    address: Address,
    words: Vec<String>,
}

fn parse(program: &str, arguments: &[String]) -> Result<Request, u8> {
    let fail = |error: String| {
        eprintln!("{program}: {error}\nTry '{program} --help' for more information.");
        1
    };
    let (mut address, mut words) = (None, Vec::new());
    for argument in options::parse(arguments, LIST).map_err(fail)? {
        match argument {
            Argument::Plain(word) => words.push(word),
            Argument::Option(index, value, _) => {
                let value = value.unwrap_or_default();
                match LIST[index].long {
                    "port" if value.contains(':') => address = Some(Address::Port(value)),
                    "port" => address = Some(Address::Port(format!("127.0.0.1:{value}"))),
                    "unix-socket" => address = Some(Address::File(value)),
                    _ => {
                        print!("{HELP}");
                        return Err(0);
                    }
                }
            }
        }
    }
    let address = address.ok_or_else(|| fail("say where the router is with -p or -u".into()))?;
    if words.is_empty() {
        return Err(fail("name a handler, such as 'list' or 'ELEMENT.count'".into()));
    }
    Ok(Request { address, words })
}

/// Prints the values of handlers.
pub fn read(arguments: &[String]) -> u8 {
    let request = match parse("click-read", arguments) {
        Ok(request) => request,
        Err(status) => return status,
    };
    finish("click-read", read_all(&request))
}

fn read_all(request: &Request) -> Result<(), String> {
    let mut client = Client::connect(&request.address)?;
    for handler in &request.words {
        let answer = client.read(handler)?;
        if answer.code != 200 {
            return Err(format!("{handler}: {}", answer.text));
        }
        let mut out = std::io::stdout().lock();
        if request.words.len() > 1 {
            writeln!(out, "{handler}:").map_err(|error| reason(&error))?;
        }
        out.write_all(&answer.data).map_err(|error| reason(&error))?;
        if !answer.data.is_empty() && !answer.data.ends_with(b"\n") {
            writeln!(out).map_err(|error| reason(&error))?;
        }
    }
    Ok(())
}

/// Writes a handler.
pub fn write(arguments: &[String]) -> u8 {
    let request = match parse("click-write", arguments) {
        Ok(request) => request,
        Err(status) => return status,
    };
    finish("click-write", write_one(&request))
}

fn write_one(request: &Request) -> Result<(), String> {
    let (handler, value) = match request.words.as_slice() {
        [handler] => {
            let mut value = Vec::new();
            std::io::stdin().read_to_end(&mut value).map_err(|error| reason(&error))?;
            (handler, value)
        }
        [handler, value @ ..] => (handler, to_bytes(&value.join(" "))),
        [] => return Ok(()),
    };
    let answer = Client::connect(&request.address)?.write(handler, &value)?;
    match answer.code {
        // 220: fine, but the router had something to say.
        200 => Ok(()),
        220 => {
            eprintln!("{}", answer.text);
            Ok(())
        }
        _ => Err(format!("{handler}: {}", answer.text)),
    }
}

fn finish(program: &str, result: Result<(), String>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{program}: {error}");
            1
        }
    }
}
