//! Names to addresses that may be connected to.
//!
//! reqwest connects to exactly the addresses that it gets from here, so there is no second look-up to fool. Names are asked
//! for as they stand, never with the search domains of this machine, and without a thread that a dead name server would
//! hold. Must never pass on an address that [`super::guard`] denies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::{Denied, UrlRules};

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
/// How long one name server is waited for; a second one is asked within the time for a connection.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often each is asked.
const TRIES: usize = 2;

/// Names that mean this machine wherever they are looked up, so nobody is asked (RFC 6761 section 6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Looks names up and passes on only addresses that may be reached.
#[derive(Clone)]
pub struct GuardedResolver {
    rules: Arc<UrlRules>,
    names: Arc<TokioResolver>,
}

impl GuardedResolver {
    /// Asks these name servers, or those of the machine if there are none.
    ///
    /// # Errors
    /// If `/etc/resolv.conf` is needed and cannot be read.
    pub fn new(rules: UrlRules, servers: &[SocketAddr]) -> Result<GuardedResolver, NetError> {
        let mut builder = match servers {
            [] => TokioResolver::builder_tokio()?,
            servers => {
                let servers = servers.iter().map(|server| name_server(*server)).collect();
                let config = ResolverConfig::from_parts(None, Vec::new(), servers);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = SERVER_TIMEOUT;
        options.attempts = TRIES;
        Ok(GuardedResolver { rules: Arc::new(rules), names: Arc::new(builder.build()?) })
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut config.connections {
        connection.port = server.port();
    }
    config
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let GuardedResolver { rules, names } = self.clone();
        Box::pin(async move {
            let found: Vec<IpAddr> = if is_localhost(name.as_str()) {
                LOOPBACK.into()
            } else {
                let absolute = format!("{}.", name.as_str().trim_end_matches('.'));
                names.lookup_ip(absolute).await?.iter().collect()
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
            let resolve =
                |rules| GuardedResolver::new(rules, &server).unwrap().resolve(name.parse().unwrap());
            let refused = resolve(UrlRules::default()).await.err().unwrap();
            assert_eq!(refused.downcast_ref(), Some(&Denied(LOOPBACK[0])), "{name}: {refused}");
            assert!(!refused.to_string().contains("127.0.0.1"), "customers read it: {refused}");
            let open = UrlRules { allow_private: true, ..UrlRules::default() };
            let found: Vec<_> = resolve(open).await.unwrap().map(|address| address.ip()).collect();
            assert_eq!(found, LOOPBACK, "{name}");
        }
        assert!(!is_localhost("localhost.example") && !is_localhost("notlocalhost"));
    }
}
