//! The server stage: unmodified servers in guests, reached by real clients through published ports.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{cargo, check, on_path, root};
use crate::test::{Counts, Tier};

/// How long a server may take until its first answer: on an emulated processor that is long.
const START: Duration = Duration::from_secs(240);
/// How long one exchange may take.
const EXCHANGE: Duration = Duration::from_secs(60);

/// A server and what its clients see.
struct Server {
    name: &'static str,
    tier: Tier,
    /// Its port in the guest.
    port: u16,
    /// Memory of the guest.
    memory: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    /// A file that it reads, by name: `@` in an argument stands for its path.
    file: Option<(&'static str, &'static str)>,
    client: fn(u16) -> Result<()>,
}

const NGINX: &str = "\
daemon off; worker_processes 2; error_log stderr; pid /tmp/nginx.pid;
events { worker_connections 512; }
http {
    access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p;
    fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
    server { listen 8080; location / { return 200 \"nginx\\n\"; } }
}
";

const LIGHTTPD: &str = "\
server.document-root = \"/tmp\"
server.port = 8080
server.errorlog = \"/dev/stderr\"
dir-listing.activate = \"enable\"
";

const HAPROXY: &str = "\
global
    maxconn 1000
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend web
    bind :8080
    http-request return status 200 content-type text/plain string haproxy
";

const SERVERS: &[Server] = &[
    Server {
        name: "redis",
        tier: Tier::Default,
        port: 6379,
        memory: "256M",
        program: "/usr/bin/redis-server",
        arguments: &["--save", "", "--appendonly", "no", "--protected-mode", "no"],
        file: None,
        client: redis,
    },
    Server {
        name: "memcached",
        tier: Tier::Default,
        port: 11211,
        memory: "256M",
        program: "/usr/bin/memcached",
        arguments: &["-u", "root", "-l", "0.0.0.0"],
        file: None,
        client: memcached,
    },
    Server {
        name: "nginx, master and workers",
        tier: Tier::Default,
        port: 8080,
        memory: "256M",
        program: "/usr/sbin/nginx",
        arguments: &["-c", "@"],
        file: Some(("nginx.conf", NGINX)),
        client: |port| many_pages(port, "nginx"),
    },
    Server {
        name: "python http.server",
        tier: Tier::Default,
        port: 8000,
        memory: "256M",
        program: "/usr/bin/python3",
        arguments: &["-m", "http.server", "8000"],
        file: None,
        client: |port| page(port, "Directory listing"),
    },
    Server {
        name: "lighttpd",
        tier: Tier::Full,
        port: 8080,
        memory: "256M",
        program: "/usr/sbin/lighttpd",
        arguments: &["-D", "-f", "@"],
        file: Some(("lighttpd.conf", LIGHTTPD)),
        client: |port| page(port, "Index of /"),
    },
    Server {
        name: "haproxy",
        tier: Tier::Full,
        port: 8080,
        memory: "256M",
        program: "/usr/sbin/haproxy",
        arguments: &["-db", "-f", "@"],
        file: Some(("haproxy.cfg", HAPROXY)),
        client: |port| many_pages(port, "haproxy"),
    },
    Server {
        name: "node http",
        tier: Tier::Full,
        port: 8080,
        memory: "1G",
        program: "/usr/bin/node",
        arguments: &[
            "-e",
            "require('http').createServer((q, r) => r.end('node ' + q.url)).listen(8080)",
        ],
        file: None,
        client: |port| many_pages(port, "node /"),
    },
];

const PROVIDERS: &[&str] = &["process", "qemu"];

/// Runs the servers of a tier on all providers.
pub fn stage(tier: Tier) -> Result<Counts> {
    check(cargo().args(["build", "--quiet", "--release", "--package", "drupe"]))?;
    let folder = root().join("target/servers");
    std::fs::create_dir_all(&folder).context("cannot make a folder for the servers' files")?;
    let mut counts = Counts::default();
    for provider in PROVIDERS {
        for server in SERVERS.iter().filter(|server| server.tier <= tier) {
            let start = Instant::now();
            if !Path::new(server.program).exists() {
                println!("{provider}: {} skipped: {} is missing", server.name, server.program);
                counts.skipped += 1;
                continue;
            }
            match serve(provider, server, &folder) {
                Ok(()) => {
                    counts.passed += 1;
                    let time = start.elapsed().as_secs_f64();
                    println!("{provider}: {} ({time:.1} s)", server.name);
                }
                Err(error) => {
                    counts.failed += 1;
                    eprintln!("{provider}: {} failed: {error:#}", server.name);
                }
            }
        }
    }
    Ok(counts)
}

/// A guest, which ends with this value.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        // drupe's death ends everything that belongs to the guest.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(provider: &str, server: &Server, folder: &Path) -> Result<()> {
    let port = free_port()?;
    let publish = format!("127.0.0.1:{port}:{}", server.port);
    let file: Option<PathBuf> = match server.file {
        Some((name, content)) => {
            let path = folder.join(name);
            std::fs::write(&path, content).with_context(|| format!("cannot write {path:?}"))?;
            Some(path)
        }
        None => None,
    };
    let mut command = Command::new(root().join("target/release/drupe"));
    command.args(["run", "--provider", provider, "--cpus", "2", "--timeout", "600"]);
    command.args(["-m", server.memory, "-p", &publish]);
    if let Some(file) = &file {
        command.arg("--include").arg(file);
    }
    command.arg(server.program);
    for argument in server.arguments {
        match (&file, *argument) {
            (Some(file), "@") => command.arg(file),
            (_, argument) => command.arg(argument),
        };
    }
    let log = folder.join(format!("{provider}-{port}.log"));
    let output = std::fs::File::create(&log).context("cannot write the guest's log")?;
    let error = output.try_clone().context("cannot write the guest's log")?;
    let child = command.stdin(Stdio::null()).stdout(output).stderr(error).spawn();
    let mut guest = Guest(child.context("cannot start drupe")?);
    let result = converse(&mut guest, server, port);
    drop(guest);
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(&log);
    result.with_context(|| format!("the guest said:\n{said}"))
}

/// Tries until the server answers for the first time, then holds it to that.
fn converse(guest: &mut Guest, server: &Server, port: u16) -> Result<()> {
    let deadline = Instant::now() + START;
    loop {
        match (server.client)(port) {
            Ok(()) => break,
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => {}
        }
        if let Some(status) = guest.0.try_wait().context("cannot wait for drupe")? {
            bail!("the guest ended with {status}");
        }
        // There is no event to wait for: the port is open before the server is.
        std::thread::sleep(Duration::from_millis(100));
    }
    (server.client)(port)
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr().context("no port is free")?.port())
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).context("cannot connect")?;
    stream.set_read_timeout(Some(EXCHANGE)).context("cannot set a timeout")?;
    Ok(stream)
}

/// Sends a request and gives all that comes back until the end, or until `enough`.
fn exchange(port: u16, request: &str, enough: &str) -> Result<String> {
    let mut stream = connect(port)?;
    stream.write_all(request.as_bytes()).context("cannot send")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer);
        if text.contains(enough) {
            return Ok(text.into_owned());
        }
        match stream.read(&mut buffer).context("cannot receive")? {
            0 => bail!("got {text:?} without {enough:?}"),
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
}

fn page(port: u16, text: &str) -> Result<()> {
    exchange(port, "GET / HTTP/1.1\r\nHost: drupe\r\nConnection: close\r\n\r\n", text).map(drop)
}

/// One page, then a thousand of them from 20 connections at a time, where `ab` is installed.
fn many_pages(port: u16, text: &str) -> Result<()> {
    page(port, text)?;
    if !on_path("ab") {
        return Ok(());
    }
    let url = format!("http://127.0.0.1:{port}/");
    let said = printed("ab", &["-q", "-k", "-n", "1000", "-c", "20", &url])?;
    let complete = said.contains("Complete requests:      1000");
    if !complete || !said.contains("Failed requests:        0") {
        bail!("ab says:\n{said}");
    }
    Ok(())
}

fn memcached(port: u16) -> Result<()> {
    let request = "set key 0 0 5\r\nvalue\r\nget key\r\nquit\r\n";
    exchange(port, request, "VALUE key 0 5\r\nvalue\r\nEND\r\n").map(drop)
}

fn redis(port: u16) -> Result<()> {
    let request = "SET key value\r\nGET key\r\n";
    exchange(port, request, "+OK\r\n$5\r\nvalue\r\n")?;
    if !on_path("redis-benchmark") {
        return Ok(());
    }
    let port = port.to_string();
    let arguments = ["-p", &port, "-q", "-n", "2000", "-c", "50", "-t", "set,get,lpush"];
    let said = printed("redis-benchmark", &arguments)?;
    for test in ["SET: ", "GET: ", "LPUSH: "] {
        if !said.contains(test) {
            bail!("redis-benchmark says:\n{said}");
        }
    }
    Ok(())
}

/// What a program prints; fails when it does.
fn printed(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{program} failed: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(said)
}
