use std::io::BufRead;

use super::*;
use crate::view::Broken;

fn content(error: &str) -> Content {
    Content::Broken(Broken { name: "net".to_owned(), error: error.to_owned(), sources: Vec::new() })
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends a raw request and reads until the server closes the connection.
fn send(server: &Server, request: &str) -> String {
    let mut stream = connect(server);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn get(server: &Server, path: &str) -> String {
    send(server, &format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address()))
}

#[test]
fn a_page_its_data_and_nothing_else() {
    let server = Server::start(0, &content("first </script>")).unwrap();
    assert!(server.address().ip().is_loopback());
    let page = get(&server, "/");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html"), "{page}");
    assert!(page.contains("connect-src 'self'") && page.contains("data-live=\"yes\" data-version=\"1\""));
    assert!(page.contains("first \\u003c/script\\u003e"));
    let data = get(&server, "/data?again");
    assert!(data.contains("application/json") && data.ends_with("\"sources\":[]}"), "{data}");
    for path in ["/../Cargo.toml", "/favicon.ico", "//", "http://127.0.0.1/"] {
        assert!(get(&server, path).starts_with("HTTP/1.1 404"), "{path}");
    }
}

#[test]
fn changes_are_announced() {
    let server = Server::start(0, &content("one")).unwrap();
    let mut stream = connect(&server);
    stream.write_all(format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address()).as_bytes()).unwrap();
    let mut lines = io::BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.is_empty()));
    let mut event = || [lines.next(), lines.next(), lines.next()].map(Option::unwrap);
    assert_eq!(event(), ["event: model", "data: 1", ""]);
    // an identical update is not announced
    assert!(!server.update(&content("one")).unwrap());
    assert!(server.update(&content("two")).unwrap());
    assert_eq!(event(), ["event: model", "data: 2", ""]);
    assert!(get(&server, "/data").contains("\"error\":\"two\""));
    drop(server);
    assert_eq!(lines.next(), None);
}

#[test]
fn other_hosts_are_rejected() {
    let server = Server::start(0, &content("")).unwrap();
    let port = server.address().port();
    let ask = |host: &str| send(&server, &format!("GET /data HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    for host in ["evil.example".to_owned(), format!("evil.example:{port}"), "127.0.0.1".to_owned(), "127.0.0.1:1".to_owned()] {
        assert!(ask(&host).starts_with("HTTP/1.1 403"), "{host}");
    }
    for host in [format!("localhost:{port}"), format!("LOCALHOST:{port}"), format!("127.0.0.1:{port}")] {
        assert!(ask(&host).starts_with("HTTP/1.1 200"), "{host}");
    }
    // no Host header, and two of them
    assert!(send(&server, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400"));
    let both = format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\nHost: evil.example\r\n\r\n");
    assert!(send(&server, &both).starts_with("HTTP/1.1 400"));
}

#[test]
fn invalid_requests_are_rejected() {
    let server = Server::start(0, &content("")).unwrap();
    let host = format!("Host: {}\r\n\r\n", server.address());
    assert!(send(&server, &format!("POST / HTTP/1.1\r\n{host}")).starts_with("HTTP/1.1 405"));
    assert!(send(&server, &format!("GET /\r\n{host}")).starts_with("HTTP/1.1 400"));
    assert!(send(&server, &format!("GET / HTTP/2\r\n{host}")).starts_with("HTTP/1.1 400"));
    assert!(send(&server, &format!("\0\u{1}\u{2}\r\n{host}")).starts_with("HTTP/1.1 400"));
    assert!(get(&server, "/").starts_with("HTTP/1.1 200"), "the server keeps running");
}

#[test]
fn large_requests_are_rejected() {
    let server = Server::start(0, &content("")).unwrap();
    let request = format!("GET /{} HTTP/1.1\r\n", "a".repeat(MAX_REQUEST));
    assert!(send(&server, &request).starts_with("HTTP/1.1 431"));
}

#[test]
fn many_open_connections_do_not_stop_the_server() {
    let server = Server::start(0, &content("")).unwrap();
    let idle: Vec<TcpStream> = (0..2 * MAX_CONNECTIONS).map(|_| connect(&server)).collect();
    drop(idle);
    let end = Instant::now() + Duration::from_secs(10);
    while !get(&server, "/data").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < end, "no answer");
    }
}
