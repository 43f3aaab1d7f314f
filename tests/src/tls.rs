//! SIP over TLS by hand: a certificate that signs itself, and a caller that is `openssl s_client`.
//!
//! It must never trust or verify anything: which certificate was shown is for the test to look at.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::raw::Request;
use crate::sip::Message;
use crate::wait::PATIENCE;

/// Makes key and certificate for `name` in `dir` (again), and the file that tells Kamailio of them.
///
/// # Errors
/// openssl does not make them.
pub fn configure(dir: &Path, name: &str) -> Result<PathBuf> {
    let (key, certificate, config) = (dir.join("key.pem"), dir.join("certificate.pem"), dir.join("tls.cfg"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj"]);
    openssl.arg(format!("/CN={name}")).arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    let made = openssl.output().context("openssl")?;
    ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    let (key, certificate) = (key.display(), certificate.display());
    let text =
        format!("[server:default]\nmethod = TLSv1.2+\nprivate_key = {key}\ncertificate = {certificate}\n");
    fs::write(&config, text)?;
    Ok(config)
}

/// The name in the certificate that a server shows to who comes now.
///
/// # Errors
/// It shows none.
pub fn shown_by(server: SocketAddr) -> Result<String> {
    let client = client(server).stdin(Stdio::null()).stderr(Stdio::null()).output().context("openssl")?;
    let text = String::from_utf8_lossy(&client.stdout).into_owned();
    let subject = text.lines().find_map(|line| line.trim().strip_prefix("subject="));
    let name = subject.and_then(|subject| subject.rsplit('=').next());
    Ok(name.with_context(|| format!("no certificate: {text}"))?.trim().to_owned())
}

/// Ends by itself when nobody answers.
fn client(server: SocketAddr) -> Command {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string());
    command.args(["openssl", "s_client", "-connect", &server.to_string()]);
    command
}

/// A caller with a TLS connection.
#[derive(Debug)]
pub struct TlsAgent {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl TlsAgent {
    /// Connects.
    ///
    /// # Errors
    /// openssl cannot be run.
    pub fn connect(server: SocketAddr) -> Result<TlsAgent> {
        let mut client = client(server);
        client.arg("-quiet").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = client.spawn().context("openssl")?;
        let to = child.stdin.take().context("its input")?;
        let from = BufReader::new(child.stdout.take().context("its output")?);
        Ok(TlsAgent { child, to, from })
    }

    /// Sends a request and returns the final answer to it.
    ///
    /// # Errors
    /// None comes.
    pub fn ask(&mut self, request: &Request) -> Result<Message> {
        // Nobody asks where the connection comes from: answers go back over it.
        let text = request.render(SocketAddr::from(([127, 0, 0, 1], 9)), "TLS");
        self.to.write_all(text.as_bytes())?;
        self.to.flush()?;
        loop {
            let message = self.receive()?;
            if message.call_id() == request.call_id && message.code().is_some_and(|code| code >= 200) {
                return Ok(message);
            }
        }
    }

    fn receive(&mut self) -> Result<Message> {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            ensure!(self.from.read_line(&mut line)? > 0, "the connection is closed after {head:?}");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line.trim().is_empty() && !head.is_empty() {
                break;
            }
            head += &line;
        }
        self.from.read_exact(&mut vec![0; length])?;
        Message::parse(false, &head).context("an empty SIP message")
    }
}

impl Drop for TlsAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
