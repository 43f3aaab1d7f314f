//! Name servers: those that were named, or those of the machine, which may change at any time.
//!
//! Names are asked for as they stand, never with the search domains of this machine, and without a thread that a dead name
//! server would hold. Must never keep anybody from starting: a machine without name servers still has addresses.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;
use tokio::time::Instant;

/// Where names lead that mean this machine wherever they are looked up.
pub(crate) const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
/// Where the machine names its name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Whom to ask when it names none: as every program of this machine does then.
const LOCAL_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);
/// How long what the machine says is believed.
const REREAD: Duration = Duration::from_secs(60);
/// How long one name server is waited for; a second one is asked within the time for a connection.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often each is asked.
const TRIES: usize = 2;

/// Whether a name means this machine wherever it is looked up, so that nobody is asked (RFC 6761 section 6.3).
pub(crate) fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// A name as it stands: with a dot behind it, no search domain is tried.
pub(crate) fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

/// Whoever asks name servers.
pub(crate) struct NameServers {
    /// Empty: those of `resolv_conf`.
    servers: Vec<SocketAddr>,
    resolv_conf: PathBuf,
    /// How many answers are kept for their time.
    kept: u64,
    built: Mutex<Option<Built>>,
}

struct Built {
    resolver: TokioResolver,
    at: Instant,
    /// Whether the machine's file could be read.
    readable: bool,
}

impl NameServers {
    /// Asks these, or those of the machine if there are none. `kept` answers at most are remembered.
    pub(crate) fn new(servers: &[SocketAddr], kept: u64) -> NameServers {
        let resolv_conf = PathBuf::from(RESOLV_CONF);
        NameServers { servers: servers.to_vec(), resolv_conf, kept, built: Mutex::new(None) }
    }

    /// Whom to ask now.
    ///
    /// # Errors
    /// Only if the library cannot be used at all.
    pub(crate) fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Built { resolver, at, .. }) = &*built
            && (!self.servers.is_empty() || at.elapsed() < REREAD)
        {
            return Ok(resolver.clone());
        }
        let was_readable = built.as_ref().is_none_or(|before| before.readable);
        let (config, options, readable) = self.settings(was_readable);
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider).with_options(options);
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = SERVER_TIMEOUT;
        options.attempts = TRIES;
        options.cache_size = self.kept;
        let resolver = builder.build()?;
        *built = Some(Built { resolver: resolver.clone(), at: Instant::now(), readable });
        Ok(resolver)
    }

    fn settings(&self, was_readable: bool) -> (ResolverConfig, ResolverOpts, bool) {
        let named = |servers: &[SocketAddr]| {
            let servers = servers.iter().map(|server| name_server(*server)).collect();
            ResolverConfig::from_parts(None, Vec::new(), servers)
        };
        if !self.servers.is_empty() {
            return (named(&self.servers), ResolverOpts::default(), true);
        }
        let read = fs::read(&self.resolv_conf).map_err(|error| error.to_string());
        match read.and_then(|text| parse_resolv_conf(text).map_err(|error| error.to_string())) {
            Ok((config, options)) => (config, options, true),
            Err(error) => {
                if was_readable {
                    let file = self.resolv_conf.display();
                    tracing::error!(
                        "{file}: {error}; names are asked for at {LOCAL_SERVER} until it can be read"
                    );
                }
                (named(&[LOCAL_SERVER]), ResolverOpts::default(), false)
            }
        }
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut config.connections {
        connection.port = server.port();
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        for name in ["localhost", "LOCALHOST.", "a.localhost"] {
            assert!(is_localhost(name), "{name}");
        }
        assert!(!is_localhost("localhost.example") && !is_localhost("notlocalhost"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_of_name_servers_that_cannot_be_read_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut servers = NameServers::new(&[], 0);
        servers.resolv_conf = dir.path().join("resolv.conf");
        let asked = |servers: &NameServers| {
            let (config, _, readable) = servers.settings(false);
            let addresses: Vec<_> =
                config.name_servers().iter().map(|server| server.ip.to_string()).collect();
            (addresses, readable)
        };
        assert_eq!(asked(&servers), (vec!["127.0.0.1".to_owned()], false));
        servers.resolver().unwrap();
        assert!(!servers.built.lock().unwrap().as_ref().unwrap().readable);
        fs::write(&servers.resolv_conf, "nameserver 192.0.2.53\nsearch example.net\n").unwrap();
        tokio::time::advance(REREAD).await;
        servers.resolver().unwrap();
        assert!(servers.built.lock().unwrap().as_ref().unwrap().readable);
        assert_eq!(asked(&servers), (vec!["192.0.2.53".to_owned()], true));
    }
}
