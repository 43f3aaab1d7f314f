//! Names to addresses that may be connected to.
//!
//! reqwest connects to exactly the addresses that it gets from here, so there is no second look-up to fool. Must never
//! pass on an address that [`super::guard`] denies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::{Denied, UrlRules};

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Names that mean this machine wherever they are looked up, so nobody is asked (RFC 6761 section 6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Looks names up and passes on only addresses that may be reached.
#[derive(Clone, Copy, Debug)]
pub struct GuardedResolver {
    /// The rules in force.
    pub rules: UrlRules,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.rules;
        Box::pin(async move {
            let found: Vec<SocketAddr> = if is_localhost(name.as_str()) {
                LOOPBACK.map(|address| SocketAddr::new(address, 0)).into()
            } else {
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect()
            };
            let (good, bad): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|address| rules.check_address(address.ip()).is_ok());
            match (good.is_empty(), bad.first()) {
                (true, Some(denied)) => Err(Box::new(Denied(denied.ip())).into()),
                _ => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_of_this_machine_need_no_look_up_and_are_not_public() {
        for name in ["localhost", "LOCALHOST.", "a.localhost"] {
            let resolve = |rules| GuardedResolver { rules }.resolve(name.parse().unwrap());
            let refused = resolve(UrlRules::default()).await.err().unwrap().to_string();
            assert!(refused.contains("is not a public address"), "{name}: {refused}");
            let open = UrlRules { allow_private: true, allow_http: true };
            let found: Vec<_> = resolve(open).await.unwrap().map(|address| address.ip()).collect();
            assert_eq!(found, LOOPBACK, "{name}");
        }
        assert!(!is_localhost("localhost.example") && !is_localhost("notlocalhost"));
    }
}
