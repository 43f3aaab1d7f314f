//! The little HTTP that the harness speaks: one request out, one request in.
//!
//! It must never share code with the product's HTTP: both sides of a wire should not have the same idea of it by descent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, bail};

use crate::wait::PATIENCE;

/// Largest head and body that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method and target, e.g. `POST /hook`.
    pub line: String,
    headers: Vec<(String, String)>,
    /// The exact bytes.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of that name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Reads one request, or nothing when the peer has closed.
///
/// # Errors
/// What came is not HTTP/1 with a Content-Length, or too large.
pub fn read_request(stream: &mut BufReader<TcpStream>) -> Result<Option<Request>> {
    let Some((line, headers)) = read_head(stream)? else { return Ok(None) };
    let mut request = Request { line, headers, body: Vec::new() };
    if request.header("transfer-encoding").is_some() {
        bail!("a chunked request body: the sender knows its length");
    }
    let length: u64 = request.header("content-length").unwrap_or("0").parse().context("content-length")?;
    if length > LIMIT {
        bail!("a request body of {length} bytes");
    }
    stream.take(length).read_to_end(&mut request.body)?;
    Ok(Some(request))
}

/// Gets a page: its status and its text.
///
/// # Errors
/// Nobody answers, or not in HTTP.
pub fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    send(address, "GET", path, &[], "")
}

/// Sends a request with these header fields and this body: the answer's status and text.
///
/// # Errors
/// Nobody answers, or not in HTTP.
pub fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}");
    stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())?;
    let mut stream = BufReader::new(stream);
    let Some((line, headers)) = read_head(&mut stream)? else { bail!("{path}: no answer") };
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("a status line")?;
    let mut body = Vec::new();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    if chunked {
        read_chunks(&mut stream, &mut body)?;
    } else {
        stream.take(LIMIT).read_to_end(&mut body)?;
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

type Head = (String, Vec<(String, String)>);

fn read_head(stream: &mut BufReader<TcpStream>) -> Result<Option<Head>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if Read::by_ref(stream).take(LIMIT).read_line(&mut line)? == 0 {
            return if lines.is_empty() { Ok(None) } else { bail!("the peer closed inside the head") };
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    let split = |line: String| {
        line.split_once(':').map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    };
    Ok(Some((first, lines.filter_map(split).collect())))
}

fn read_chunks(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> Result<()> {
    loop {
        let mut size = String::new();
        stream.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim(), 16).context("a chunk size")?;
        if size == 0 {
            return Ok(());
        }
        Read::by_ref(stream).take(size.min(LIMIT)).read_to_end(body)?;
        stream.read_line(&mut String::new())?;
    }
}
