//! Which URLs and which addresses may be sent to. The last word is spoken on the address that is connected to.
//!
//! A customer chooses the URL, so without this the daemon would be anybody's way into the operator's network. Names are
//! looked up by [`super::resolver`], which hands out addresses that are checked here. Hosts that are addresses never
//! reach it; [`UrlRules::check_host`] covers them.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use crate::special::is_public;

/// Longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 500;

/// What a webhook URL may be. The default is strict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlRules {
    /// Networks that may be sent to although they are not public: the operator's own receivers.
    pub allowed: Vec<IpNet>,
    /// Development only: special addresses are as good as others.
    pub allow_private: bool,
    /// Development only: `http:` is as good as `https:`.
    pub allow_http: bool,
}

/// An address that nothing is sent to. Customers read what it says, so it does not say which: names of this network are not
/// to be looked up through us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("where it leads is not a public address")]
pub struct Denied(pub IpAddr);

impl UrlRules {
    /// Checks a URL of at most so many bytes, when it is set and again when it is sent to, and returns it in normal form.
    pub fn check(&self, text: &str, most_bytes: usize) -> Result<String, String> {
        if text.len() > most_bytes {
            return Err(format!("must be at most {most_bytes} bytes"));
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || "\"'`\\<>".contains(c)) {
            return Err("must have no spaces, control characters, quotes or backslashes".into());
        }
        let url = Url::parse(text).map_err(|error| format!("must be a URL: {error}"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            "http" => return Err("must be https (webhooks.dangerous_allow_http is off)".into()),
            _ => return Err("must be an https URL".into()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must hold no user name or password".into());
        }
        if url.fragment().is_some() {
            return Err("must have no fragment".into());
        }
        if url.port() == Some(0) {
            return Err("must not have port 0".into());
        }
        self.check_host(&url).map_err(|denied| denied.to_string())?;
        Ok(url.into())
    }

    /// Checks a host that is an address, in whatever notation it was written: `Url` has normalised it.
    pub fn check_host(&self, url: &Url) -> Result<(), Denied> {
        match url.host() {
            Some(Host::Ipv4(v4)) => self.check_address(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => self.check_address(IpAddr::V6(v6)),
            _ => Ok(()),
        }
    }

    /// Checks an address just before it is connected to.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Denied> {
        let allowed = || self.allowed.iter().any(|network| network.contains(&address));
        if self.allow_private || is_public(address) || allowed() { Ok(()) } else { Err(Denied(address)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_in_every_notation() {
        let strict = UrlRules::default();
        assert_eq!(
            strict.check("https://hooks.example.com/a?b=c", MAX_URL_BYTES).unwrap(),
            "https://hooks.example.com/a?b=c"
        );
        for bad in [
            "",
            "hooks.example.com",
            "http://hooks.example.com/",
            "ftp://hooks.example.com/",
            "https://u:p@hooks.example.com/",
            "https://hooks.example.com/#f",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://0/",
            "https://169.254.169.254/latest/meta-data",
            "https://hooks.example.com/\r\nX: y",
            "https://hooks.example.com:0/",
            "https://127.0.0.1./",
            "https://①②⑦.⓪.⓪.①/",
        ] {
            assert!(strict.check(bad, MAX_URL_BYTES).is_err(), "{bad:?}");
        }
        let open = UrlRules { allow_private: true, allow_http: true, ..strict.clone() };
        assert!(open.check("http://127.0.0.1:9000/hook", MAX_URL_BYTES).is_ok());
        assert!(open.check(&format!("https://h.example/{}", "x".repeat(500)), MAX_URL_BYTES).is_err());
        let allowed = vec!["10.1.0.0/16".parse().unwrap(), "fd00:1::/32".parse().unwrap()];
        let listed = UrlRules { allowed, ..strict };
        for good in ["https://10.1.2.3/", "https://[fd00:1::5]/"] {
            assert!(listed.check(good, MAX_URL_BYTES).is_ok(), "{good}");
        }
        for bad in
            ["https://10.2.0.1/", "https://[::ffff:10.1.2.3]/", "https://[fd00:2::1]/", "http://10.1.2.3/"]
        {
            assert!(listed.check(bad, MAX_URL_BYTES).is_err(), "{bad}");
        }
    }
}
