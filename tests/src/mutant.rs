//! INVITEs that are wrong in every way a generator can think of, the same ones for the same seed.
//!
//! It must never care what comes of one: whoever sends them looks at the proxy.

/// xorshift64*: the same numbers for the same seed, everywhere.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice(seed | 1)
    }

    /// A number below `sides`; 0 for no sides.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or(0).checked_rem(sides).unwrap_or(0)
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }
}

/// Values that a parser may trip over, for any header.
const VALUES: &[&str] = &[
    "",
    " ",
    "0",
    "-1",
    "4294967296",
    "99999999999999999999",
    "1 INVITE INVITE",
    "INVITE 1",
    "1 ACK",
    ";;;;",
    ",,,,",
    "<>",
    "<sip:>",
    "<sip:a@b",
    "sip:a@b>",
    "\"unbalanced <sip:a@b>;tag=x",
    "\"\\\" <sip:a@b>;tag=y",
    "(comment (nested) <sip:a@b>",
    "<sip:a@b>;tag=;tag=;tag=z",
    "<sip:a@b?Replaces=x%3bto-tag%3dy>;tag=q",
    "<sip:%00%ff@b>;tag=n",
    "<sip:a:b:c:d@e:f>",
    "<sip:a@[::1>",
    "<sip:a@[::ffff:999.1.2.3]:70000>",
    "<tel:+1-555;phone-context=;isub=>",
    "SIP/2.0/UDP",
    "SIP/2.0/UDP ;branch=",
    "SIP/9.9/XYZ host:99999;branch=z9hG4bK;rport=;received=999.9.9.9;ttl=x",
    "SIP / 2.0 / UDP\r\n  h : 5 ; branch = z9hG4bKx",
    "Digest",
    "Digest username=\"a",
    "Digest realm=\"x\", realm=\"y\", nonce=\"\", nonce=z, qop=auth, qop=auth-int, nc=1, nc=00000001",
    "Digest username=\"a\",,,=,\"\"=\"\",uri=\"sip:b\",response=\"\"",
    "Q.850;cause=;cause=99999;text=\"",
    "\u{00e4}\u{4e2d}\u{1f4a9}",
];

/// Names of headers that the proxy, its modules or ours read.
const NAMES: &[&str] = &[
    "Via",
    "v",
    "From",
    "f",
    "To",
    "t",
    "Call-ID",
    "i",
    "CSeq",
    "Contact",
    "m",
    "Max-Forwards",
    "Content-Length",
    "l",
    "Content-Type",
    "Route",
    "Record-Route",
    "Proxy-Authorization",
    "Require",
    "Proxy-Require",
    "Supported",
    "Reason",
    "Session-Expires",
    "X-Trunkline-Account",
    "P-Asserted-Identity",
    "Identity",
];

/// Request lines that are not quite right; `{uri}` stands for a good URI.
const LINES: &[&str] = &[
    "INVITE  {uri}  SIP/2.0",
    "INVITE {uri} SIP/2.0 ",
    "INVITE {uri} SIP/3.0",
    "INVITE {uri}",
    "INVITE",
    "invite {uri} SIP/2.0",
    "INVITE <{uri}> SIP/2.0",
    "INVITE {uri};lr;maddr=1.2.3.4;transport=;ttl=300;user=phone;method=BYE SIP/2.0",
    "INVITE {uri}?Subject=x&Route=%3Csip:y%3E SIP/2.0",
    "INVITE sip: SIP/2.0",
    "INVITE sip:@ SIP/2.0",
    "INVITE sips:x@y:0 SIP/2.0",
    "INVITE tel:+15550100 SIP/2.0",
    "INVITE urn:service:sos SIP/2.0",
    "INVITE http://x/ SIP/2.0",
    "INVITE sip:x@[::::::::::] SIP/2.0",
    "INVITE sip:%zz%0d%0a@x SIP/2.0",
    "SIP/2.0 200 OK",
    "SIP/2.0 -1 ?",
    "NEWMETHOD! {uri} SIP/2.0",
];

/// One INVITE to `uri`, made wrong in one to four ways. `mark` makes it a call of its own.
pub fn invite(dice: &mut Dice, uri: &str, own: &str, transport: &str, mark: &str) -> Vec<u8> {
    let mut line = format!("INVITE {uri} SIP/2.0");
    let mut headers: Vec<(String, String)> = [
        ("Via", format!("SIP/2.0/{transport} {own};branch=z9hG4bK{mark};rport")),
        ("From", format!("\"m\" <sip:m@{own}>;tag={mark}")),
        ("To", format!("<{uri}>")),
        ("Call-ID", mark.to_owned()),
        ("CSeq", "1 INVITE".to_owned()),
        ("Contact", format!("<sip:m@{own}>")),
        ("Max-Forwards", "70".to_owned()),
        ("Content-Length", "0".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let mut end = "\r\n".to_owned();
    let mut body = String::new();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(headers.len());
        match dice.roll(12) {
            0 => line = dice.pick(LINES).replace("{uri}", uri),
            1 if !headers.is_empty() => drop(headers.remove(at)),
            2 if !headers.is_empty() => dice.pick(VALUES).clone_into(&mut headers[at].1),
            3 if !headers.is_empty() => headers.insert(at, headers[at].clone()),
            4 => headers.push((dice.pick(NAMES).to_owned(), dice.pick(VALUES).to_owned())),
            5 => headers.insert(at, (dice.pick(NAMES).to_owned(), dice.pick(VALUES).to_owned())),
            6 => headers.push((dice.pick(NAMES).to_owned(), "x".repeat(dice.roll(12_000)))),
            7 => headers.push(("n".repeat(dice.roll(3_000)), dice.pick(VALUES).to_owned())),
            8 if !headers.is_empty() => headers[at].0.push_str(dice.pick(&[" ", "\t", ":", "\r\n", "\0"])),
            9 => body = "v=0\r\n".repeat(dice.roll(500)),
            10 => dice.pick(&["\n", "\r", "\r\n\r\n", "", "\0", "\r\n "]).clone_into(&mut end),
            _ => headers
                .extend(std::iter::repeat_n(("Via".to_owned(), "SIP/2.0/UDP h".to_owned()), dice.roll(60))),
        }
    }
    let mut text = format!("{line}{end}");
    for (name, value) in headers {
        text += &format!("{name}: {value}{end}");
    }
    let mut bytes = (text + &end + &body).into_bytes();
    damage(dice, &mut bytes);
    bytes
}

/// Bytes flipped, put in, or cut off.
fn damage(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let at = dice.roll(bytes.len());
    match dice.roll(8) {
        0 => bytes.truncate(at),
        1 => (0..=dice.roll(20)).for_each(|_| {
            let at = dice.roll(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.roll(8);
            }
        }),
        2 => {
            let noise: Vec<u8> = (0..dice.roll(64)).map(|_| dice.roll(256).to_le_bytes()[0]).collect();
            bytes.splice(at..at, noise);
        }
        _ => {}
    }
    // What UDP carries.
    bytes.truncate(60_000);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_messages_and_they_differ() {
        let some = |seed| -> Vec<Vec<u8>> {
            let mut dice = Dice::new(seed);
            (0..50).map(|_| invite(&mut dice, "sip:1@x", "127.0.0.1:5", "UDP", "m")).collect()
        };
        assert_eq!(some(7), some(7));
        assert_ne!(some(7), some(8));
        let mut distinct = some(7);
        distinct.sort();
        distinct.dedup();
        assert!(distinct.len() > 45, "{}", distinct.len());
    }
}
