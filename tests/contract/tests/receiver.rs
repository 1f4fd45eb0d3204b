//! Webhook receivers on this machine.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use app::ports::{WebhookAnswer, WebhookRequest};

/// What one of them got.
type Got = Arc<Mutex<Vec<WebhookRequest>>>;

/// All of them, by their URLs.
#[derive(Default)]
pub(crate) struct Receivers(Mutex<BTreeMap<String, Got>>);

impl Receivers {
    /// The URL of a new one, which gives every request this answer, or none.
    pub(crate) fn open(&self, answer: Option<WebhookAnswer>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/hook?a=b", listener.local_addr().expect("bound"));
        let got = Got::default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(url.clone(), Arc::clone(&got));
        let own = url.clone();
        thread::spawn(move || serve(&listener, &own, answer.as_ref(), &got));
        url
    }

    /// What the receiver at this URL got.
    pub(crate) fn got(&self, url: &str) -> Vec<WebhookRequest> {
        let receivers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        receivers[url].lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request a connection, for as long as the test runs.
fn serve(
    listener: &TcpListener,
    url: &str,
    answer: Option<&WebhookAnswer>,
    got: &Mutex<Vec<WebhookRequest>>,
) {
    let mut silent = Vec::new();
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        let request = read(&stream, url);
        got.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        match answer {
            Some(answer) => stream.write_all(told(answer, url).as_bytes()).expect("somebody listens"),
            None => silent.push(stream),
        }
    }
}

/// A request to this URL, to the byte. Anything else breaks the connection.
fn read(stream: &TcpStream, url: &str) -> WebhookRequest {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        match line.trim_end_matches(['\r', '\n']) {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.iter();
    assert_eq!(lines.next().map(String::as_str), Some("POST /hook?a=b HTTP/1.1"));
    let header = |line: &String| {
        let (name, value) = line.split_once(": ").expect("a header");
        (name.to_owned(), value.to_owned())
    };
    let headers: Vec<(String, String)> = lines.map(header).collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.expect("a length").1.parse().expect("a number");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let body = String::from_utf8(body).expect("text");
    WebhookRequest { url: url.to_owned(), headers, body, timeout_millis: 0 }
}

fn told(answer: &WebhookAnswer, url: &str) -> String {
    let WebhookAnswer { status, retry_after } = answer;
    let wait = retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
    let way = if (300..400).contains(status) { format!("Location: {url}\r\n") } else { String::new() };
    format!("HTTP/1.1 {status} Law\r\n{wait}{way}Connection: close\r\n\r\n")
}
