//! A local server for one user: the page, its data, and change events.
//!
//! It only listens on 127.0.0.1 and rejects requests for other host names, so that a web page from elsewhere whose name resolves
//! to this machine cannot read anything (DNS rebinding). Requests are limited in size, number and time.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::html::{Live, data, page};
use super::model::Content;

/// Maximum size of a request in bytes; requests have no body.
const MAX_REQUEST: usize = 8 << 10;
/// Maximum number of simultaneous connections.
const MAX_CONNECTIONS: usize = 32;
/// Timeout for receiving a request and for sending a response.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often a waiting client gets a keep-alive message, which reveals whether it is still connected.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Why the server failed.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The port is in use, or not permitted.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The requested port; 0 for any.
        port: u16,
        /// The cause.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The content could not be serialized as JSON.
    #[error("cannot write the page: {0}")]
    Page(#[from] serde_json::Error),
}

/// The served content and its version.
struct Pages {
    version: u64,
    html: Arc<str>,
    json: Arc<str>,
    closed: bool,
}

struct Shared {
    pages: Mutex<Pages>,
    changed: Condvar,
    connections: AtomicUsize,
    address: SocketAddr,
}

/// A server that runs until dropped.
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// Starts serving on a port of 127.0.0.1; port 0 selects any free port.
    pub fn start(port: u16, content: &Content) -> Result<Server, ServeError> {
        let listen = |source| ServeError::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let pages = Mutex::new(pages(1, content)?);
        let shared = Arc::new(Shared { pages, changed: Condvar::new(), connections: AtomicUsize::new(0), address });
        let accepting = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("view".to_owned())
            .spawn(move || accept(&listener, &accepting))
            .map_err(ServeError::Thread)?;
        Ok(Server { shared })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Replaces the content and notifies waiting clients. Returns `false` if it is unchanged.
    pub fn update(&self, content: &Content) -> Result<bool, ServeError> {
        let next = pages(self.lock().version + 1, content)?;
        let mut now = self.lock();
        if now.json == next.json {
            return Ok(false);
        }
        *now = next;
        self.shared.changed.notify_all();
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        lock(&self.shared)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.lock().closed = true;
        self.shared.changed.notify_all();
        // wakes up the accepting thread, which then sees that the server is closed
        let _ = TcpStream::connect_timeout(&self.shared.address, TIMEOUT);
    }
}

fn pages(version: u64, content: &Content) -> Result<Pages, serde_json::Error> {
    let html = page(content, Live::Version(version))?.into();
    Ok(Pages { version, html, json: data(content)?.into(), closed: false })
}

/// The pages. If a thread panicked while it held the lock, they are still consistent.
fn lock(shared: &Shared) -> MutexGuard<'_, Pages> {
    shared.pages.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a connection for as long as it is open.
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if lock(shared).closed {
            return;
        }
        let Ok(stream) = stream else { continue };
        let before = shared.connections.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(shared));
        if before >= MAX_CONNECTIONS {
            continue;
        }
        let connection = move || {
            // a client that disconnects early is not an error
            let _ = answer(stream, &counted.0);
        };
        let _ = std::thread::Builder::new().name("view request".to_owned()).spawn(connection);
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_write_timeout(Some(TIMEOUT))?;
    let Some(head) = read_head(&mut stream)? else {
        return respond(&mut stream, "431 Request Header Fields Too Large", "text/plain", "the request is too large\n");
    };
    let request = match Request::parse(&head) {
        Some(request) if !is_own_host(request.host, shared.address.port()) => {
            return respond(
                &mut stream,
                "403 Forbidden",
                "text/plain",
                "this server only answers requests for 127.0.0.1 and localhost\n",
            );
        }
        Some(request) => request,
        None => return respond(&mut stream, "400 Bad Request", "text/plain", "not a valid HTTP/1.1 request\n"),
    };
    if request.method != "GET" {
        return respond(&mut stream, "405 Method Not Allowed", "text/plain", "only GET is supported\n");
    }
    let (html, json) = {
        let pages = lock(shared);
        (Arc::clone(&pages.html), Arc::clone(&pages.json))
    };
    match request.path {
        "/" => respond(&mut stream, "200 OK", "text/html", &html),
        "/data" => respond(&mut stream, "200 OK", "application/json", &json),
        "/events" => events(&mut stream, shared),
        _ => respond(&mut stream, "404 Not Found", "text/plain", "not found\n"),
    }
}

/// Reads the head of a request; `None` if it is too large. The whole head must arrive before the timeout, however slowly.
fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let end = Instant::now() + TIMEOUT;
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        if head.len() >= MAX_REQUEST {
            return Ok(None);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => head.extend_from_slice(piece.get(..n).unwrap_or(&[])),
        }
    }
    Ok(Some(head))
}

struct Request<'a> {
    method: &'a str,
    path: &'a str,
    host: &'a str,
}

impl Request<'_> {
    fn parse(head: &[u8]) -> Option<Request<'_>> {
        let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        if !version.starts_with("HTTP/1.") || words.next().is_some() {
            return None;
        }
        let mut hosts = lines.filter_map(|line| line.split_once(':')).filter(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = hosts.next()?.1.trim();
        if hosts.next().is_some() {
            return None;
        }
        let path = target.split(['?', '#']).next()?;
        Some(Request { method, path, host })
    }
}

/// Whether the host of a request is this server.
fn is_own_host(host: &str, port: u16) -> bool {
    let (name, at) = host.rsplit_once(':').unwrap_or((host, "80"));
    (name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")) && at.parse() == Ok(port)
}

/// Headers of every response.
const COMMON_HEADERS: &str = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
                      Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n";

fn respond(stream: &mut TcpStream, status: &str, kind: &str, body: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\n{COMMON_HEADERS}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

/// Sends the version of the content, now and after every change.
fn events(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n{COMMON_HEADERS}\r\n");
    stream.write_all(head.as_bytes())?;
    let mut sent = 0;
    loop {
        let (version, closed) = {
            let pages = lock(shared);
            let same = |pages: &mut Pages| pages.version == sent && !pages.closed;
            let waited = shared.changed.wait_timeout_while(pages, HEARTBEAT, same);
            let pages = waited.unwrap_or_else(PoisonError::into_inner).0;
            (pages.version, pages.closed)
        };
        if closed {
            return Ok(());
        }
        if version == sent {
            stream.write_all(b": still here\n\n")?;
        } else {
            stream.write_all(format!("event: model\ndata: {version}\n\n").as_bytes())?;
            sent = version;
        }
        stream.flush()?;
    }
}

#[cfg(test)]
mod tests;
