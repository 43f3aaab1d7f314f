//! Gateways that are given as names: looked up in the background, so that no call and no write waits for a name server.
//!
//! ```text
//! named gateways ▶ lookup (RFC 3263) ▶ addresses, stored with their trunks ▶ published as any change ▶ looked up again by TTL
//! ```
//! The last good answer is stored, so it is in force from the first moment of a start and for as long as name servers are
//! silent or say nothing. Must never take an address away because of a failure.

mod board;
mod lookup;
mod partial;
mod refresh;
pub(crate) mod spread;
mod target;

use std::net::SocketAddr;

pub use board::{Board, Standing};
pub use lookup::{Found, LookupError, look_up};
pub use refresh::{Deps, Refresher};
pub use target::Target;

/// What a revision is called in the store that tells of addresses alone.
pub(crate) const REQUEST_ID: &str = "gateway-addresses";

/// What `[gateways]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name servers; none are those of the machine.
    pub dns_servers: Vec<SocketAddr>,
    /// Whether Kamailio can send to IPv6 addresses.
    pub ipv6: bool,
}
