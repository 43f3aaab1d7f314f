//! Names to addresses that may be connected to.
//!
//! reqwest connects to exactly the addresses that it gets from here, so there is no second look-up to fool. Must never pass on
//! an address that [`super::guard`] denies.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::{Denied, UrlRules};
use crate::dns::{LOOPBACK, NameServers, absolute, is_localhost};

/// How many answers are kept for their time.
const KEPT_ANSWERS: u64 = 1_024;

/// Looks names up and passes on only addresses that may be reached.
#[derive(Clone)]
pub struct GuardedResolver {
    rules: Arc<UrlRules>,
    names: Arc<NameServers>,
}

impl GuardedResolver {
    /// Asks these name servers, or those of the machine if there are none.
    pub fn new(rules: UrlRules, servers: &[SocketAddr]) -> GuardedResolver {
        GuardedResolver { rules: Arc::new(rules), names: Arc::new(NameServers::new(servers, KEPT_ANSWERS)) }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let GuardedResolver { rules, names } = self.clone();
        Box::pin(async move {
            let found: Vec<IpAddr> = if is_localhost(name.as_str()) {
                LOOPBACK.into()
            } else {
                names.resolver()?.lookup_ip(absolute(name.as_str())).await?.iter().collect()
            };
            let (good, bad): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|address| rules.check_address(*address).is_ok());
            match (good.is_empty(), bad.first()) {
                (true, Some(denied)) => Err(Denied(*denied).into()),
                _ => Ok(Box::new(good.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_of_this_machine_need_no_look_up_and_are_not_public() {
        // Nobody is there to be asked.
        let server = [SocketAddr::from(([127, 0, 0, 1], 9))];
        for name in ["localhost", "LOCALHOST.", "a.localhost"] {
            let resolve = |rules| GuardedResolver::new(rules, &server).resolve(name.parse().unwrap());
            let refused = resolve(UrlRules::default()).await.err().unwrap();
            assert_eq!(refused.downcast_ref(), Some(&Denied(LOOPBACK[0])), "{name}: {refused}");
            assert!(!refused.to_string().contains("127.0.0.1"), "customers read it: {refused}");
            let open = UrlRules { allow_private: true, ..UrlRules::default() };
            let found: Vec<_> = resolve(open).await.unwrap().map(|address| address.ip()).collect();
            assert_eq!(found, LOOPBACK, "{name}");
        }
    }
}
