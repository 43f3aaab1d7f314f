//! A phone that somebody else wrote: baresip, without a sound card, driven over its control socket.
//!
//! It must never be told more than a customer would be: a number, a proxy, a user and a password. It plays one tone and
//! keeps what it hears in a file, so that two of them can show that they hear each other.

use std::collections::BTreeSet;
use std::f64::consts::TAU;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::child::Child;
use crate::wait::PATIENCE;
use crate::{ports, wait};

/// Samples a second, of 16 bits each: what PCMU carries.
const RATE: u16 = 8000;
/// A tone is played for so many seconds, and then nothing.
const TONE_S: u16 = 60;
/// The head of a WAV file, in bytes.
const HEAD: usize = 44;

/// A phone that is switched on.
#[derive(Debug)]
pub struct Phone {
    child: Child,
    control: BufReader<TcpStream>,
    dir: PathBuf,
    /// Where it takes calls.
    pub address: SocketAddr,
}

impl Phone {
    /// A phone that calls through `proxy` over `transport` (`udp`, `tcp`) and has a user name and a password of `domain`. It
    /// does not register.
    ///
    /// # Errors
    /// It does not come up.
    pub fn calling(
        dir: &Path,
        name: &str,
        (proxy, transport): (SocketAddr, &str),
        domain: &str,
        (user, password): (&str, &str),
        tone: u16,
    ) -> Result<Phone> {
        let way = format!("outbound=\"sip:{proxy};transport={transport}\"");
        let account = format!("<sip:{user}@{domain}>;auth_user={user};auth_pass={password};{way};regint=0\n");
        Phone::start(dir, name, &account, tone)
    }

    /// A phone that answers when `number` is called.
    ///
    /// # Errors
    /// It does not come up.
    pub fn answering(dir: &Path, name: &str, number: &str, tone: u16) -> Result<Phone> {
        Phone::start(dir, name, &format!("<sip:{number}@127.0.0.1>;answermode=auto;regint=0\n"), tone)
    }

    fn start(dir: &Path, name: &str, account: &str, tone: u16) -> Result<Phone> {
        let dir = dir.join(name);
        fs::create_dir_all(&dir)?;
        let (address, control) = (free_pair()?, ports::free()?);
        fs::write(dir.join("tone.wav"), wav(tone))?;
        fs::write(dir.join("accounts"), account)?;
        // It makes one with an example when there is none.
        fs::write(dir.join("contacts"), "")?;
        // Its own ports for media lie below those that others here are given.
        let config = format!(
            "module_path /usr/lib/baresip/modules\nnet_interface 127.0.0.1\nsip_listen {address}\nrtp_ports 10000-19998\n\
             ctrl_tcp_listen {control}\naudio_source aufile,{tone}\naudio_player aubridge,nobody\naudio_alert aubridge,nobody\n\
             snd_path {dir}\nmodule g711.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nmodule_app account.so\n\
             module_app menu.so\nmodule_app ctrl_tcp.so\n",
            tone = dir.join("tone.wav").display(),
            dir = dir.display(),
        );
        fs::write(dir.join("config"), config)?;
        let arguments = ["-f".into(), dir.clone().into_os_string(), "-s".into()];
        let mut child = Child::spawn(name, Path::new("baresip"), arguments, &dir.join("said"))?;
        let stream = wait::until(&format!("{name} to take commands"), || {
            child.check()?;
            Ok(TcpStream::connect(control).ok())
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Phone { child, control: BufReader::new(stream), dir, address })
    }

    /// Calls somebody.
    ///
    /// # Errors
    /// It does not take the command.
    pub fn dial(&mut self, uri: &str) -> Result<()> {
        self.command(&json!({"command": "dial", "params": uri}))
    }

    /// Hangs up.
    ///
    /// # Errors
    /// It does not take the command.
    pub fn hang_up(&mut self) -> Result<()> {
        self.command(&json!({"command": "hangup"}))
    }

    /// Waits until it tells of an event (`CALL_ESTABLISHED`), and returns what it tells: `id` is the Call-ID.
    ///
    /// # Errors
    /// The call ends without it, or it never comes.
    pub fn event(&mut self, kind: &str) -> Result<Value> {
        loop {
            let told = self.next().with_context(|| format!("waiting for {kind}"))?;
            if told["type"] == kind {
                return Ok(told);
            }
            ensure!(told["type"] != "CALL_CLOSED", "no {kind}: {told}");
        }
    }

    /// Waits until it has heard that tone for a second on end, more than anything else.
    ///
    /// # Errors
    /// It never does.
    pub fn hears(&self, tone: u16) -> Result<()> {
        let mut share = 0.0;
        let heard = wait::until(&format!("a tone of {tone} Hz"), || {
            let heard = self.heard()?;
            let last = heard.len().saturating_sub(usize::from(RATE));
            share = if last == 0 { 0.0 } else { share_of(tone, &heard[last..]) };
            Ok((share > 0.8).then_some(()))
        });
        heard.with_context(|| format!("{share:.2} of what was heard is that tone"))
    }

    /// The CSeq of every request that it has sent or been sent; one that was sent again counts once.
    ///
    /// # Errors
    /// What it says cannot be read.
    pub fn requests(&self) -> Result<BTreeSet<String>> {
        let said = self.child.output()?;
        Ok(said
            .lines()
            .filter_map(|line| line.strip_prefix("CSeq: "))
            .map(|cseq| cseq.trim().to_owned())
            .collect())
    }

    fn heard(&self) -> Result<Vec<i16>> {
        let files = fs::read_dir(&self.dir)?.filter_map(|entry| Some(entry.ok()?.path()));
        // The newest: a name has its time in it.
        let Some(file) = files.filter(|path| path.to_string_lossy().ends_with("-dec.wav")).max() else {
            return Ok(Vec::new());
        };
        let bytes = fs::read(file)?;
        let sample = |pair: &[u8]| i16::from_le_bytes([pair[0], pair[1]]);
        Ok(bytes.get(HEAD..).unwrap_or_default().chunks_exact(2).map(sample).collect())
    }

    /// A netstring of JSON, as its control socket wants it.
    fn command(&mut self, command: &Value) -> Result<()> {
        let text = command.to_string();
        Ok(write!(self.control.get_mut(), "{}:{text},", text.len())?)
    }

    fn next(&mut self) -> Result<Value> {
        let mut length = Vec::new();
        self.control.read_until(b':', &mut length)?;
        let length = String::from_utf8(length)?;
        let length: usize = length.trim_end_matches(':').parse().with_context(|| format!("{length:?}"))?;
        let mut text = vec![0; length + 1];
        self.control.read_exact(&mut text)?;
        serde_json::from_slice(&text[..length]).context("no JSON")
    }
}

/// An address whose next port is free too: it takes that for TLS.
fn free_pair() -> Result<SocketAddr> {
    loop {
        let (one, next) = (ports::free()?, ports::free()?);
        if next.port() == one.port() + 1 && one.ip() == Ipv4Addr::LOCALHOST {
            return Ok(one);
        }
    }
}

/// A tone as a WAV file: PCM, one channel.
fn wav(tone: u16) -> Vec<u8> {
    let samples = u32::from(RATE) * u32::from(TONE_S);
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + 2 * samples).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(u32::from(RATE).to_le_bytes());
    bytes.extend((2 * u32::from(RATE)).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend((2 * samples).to_le_bytes());
    for number in 0..samples {
        #[expect(clippy::cast_possible_truncation, reason = "a sine of this height")]
        let sample = (8000.0 * (TAU * f64::from(tone) * f64::from(number) / f64::from(RATE)).sin()) as i16;
        bytes.extend(sample.to_le_bytes());
    }
    bytes
}

/// How much of the power of some samples lies at one frequency, from 0 to 1.
fn share_of(tone: u16, samples: &[i16]) -> f64 {
    let (mut sine, mut cosine, mut power, mut count) = (0.0, 0.0, 0.0, 0.0);
    for &sample in samples {
        let (value, angle) = (f64::from(sample), TAU * f64::from(tone) * count / f64::from(RATE));
        sine += value * angle.sin();
        cosine += value * angle.cos();
        power += value * value;
        count += 1.0;
    }
    if power == 0.0 { 0.0 } else { 2.0 * (sine * sine + cosine * cosine) / (count * power) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_told_from_another_and_from_silence() {
        let file = wav(440);
        let samples: Vec<i16> =
            file[HEAD..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        let second = &samples[100..8100];
        assert!(share_of(440, second) > 0.99, "{}", share_of(440, second));
        assert!(share_of(880, second) < 0.01, "{}", share_of(880, second));
        assert!(share_of(440, &[0; 8000]) < 0.01);
    }
}
