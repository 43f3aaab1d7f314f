//! How often somebody may ask: per token, per address, and per address for what is not proved.
//!
//! Bounded in memory, whoever asks: an IPv6 caller counts with its whole /64, and beyond [`MAX_KEYS`] callers the rest
//! share one limit.

use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use uuid::Uuid;

use super::problem::Refusal;

/// Most callers that are counted apart.
const MAX_KEYS: usize = 50_000;
/// Least time between two looks at who may be dropped.
const SWEEP: Duration = Duration::from_secs(1);
/// Requests of one address with tokens that are not proved yet: each may cost a hash.
const UNPROVED: Rate = Rate { per_second: NonZeroU32::new(10).unwrap(), burst: NonZeroU32::new(50).unwrap() };

/// So many requests each second, and so many at once after silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Each second.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// The limits of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one token.
    pub token: Rate,
    /// Of one address.
    pub address: Rate,
}

/// Who asked how often.
pub(super) struct Limiter {
    tokens: Keyed<Uuid>,
    addresses: Keyed<IpAddr>,
    unproved: Keyed<IpAddr>,
}

impl Limiter {
    /// Nobody asked yet.
    pub(super) fn new(limits: Limits) -> Limiter {
        let shared = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Limiter {
            tokens: Keyed::new(limits.token, Uuid::nil()),
            addresses: Keyed::new(limits.address, shared),
            unproved: Keyed::new(UNPROVED, shared),
        }
    }

    /// Counts a request from an address.
    pub(super) fn address(&self, address: IpAddr) -> Result<(), Refusal> {
        self.addresses.check(neighbourhood(address))
    }

    /// Counts a request with a token that is not proved yet.
    pub(super) fn unproved(&self, address: IpAddr) -> Result<(), Refusal> {
        self.unproved.check(neighbourhood(address))
    }

    /// Counts a request with a token.
    pub(super) fn token(&self, token: Uuid) -> Result<(), Refusal> {
        self.tokens.check(token)
    }
}

struct Keyed<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    shared: K,
    /// When those were dropped last who asked nothing for long enough.
    swept: Mutex<Instant>,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    fn new(rate: Rate, shared: K) -> Keyed<K> {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Keyed { limiter: RateLimiter::keyed(quota), shared, swept: Mutex::new(Instant::now()) }
    }

    fn check(&self, key: K) -> Result<(), Refusal> {
        let key = if self.has_room() { &key } else { &self.shared };
        self.limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            // Whole seconds, rounded up: who comes back at this time is served.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let detail = "there are too many requests; try again after the seconds in Retry-After";
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(seconds.max(1))
        })
    }

    /// Whether another caller can be counted apart. Those who asked nothing for long enough are dropped when it gets
    /// tight, but not at each request: that is when there are many.
    fn has_room(&self) -> bool {
        if self.limiter.len() < MAX_KEYS {
            return true;
        }
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.elapsed() >= SWEEP {
            self.limiter.retain_recent();
            *swept = Instant::now();
        }
        self.limiter.len() < MAX_KEYS
    }
}

/// What one customer has for itself: an IPv4 address, or the /64 of an IPv6 one.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate { per_second: NonZeroU32::new(per_second).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
    }

    #[test]
    fn each_caller_has_its_burst_and_a_refused_one_is_told_when() {
        let limiter = Limiter::new(Limits { token: rate(1, 2), address: rate(1, 1) });
        let (one, two) = (Uuid::from_bytes([1; 16]), Uuid::from_bytes([2; 16]));
        assert!(limiter.token(one).is_ok() && limiter.token(one).is_ok());
        let refusal = limiter.token(one).unwrap_err();
        assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refusal.render("").headers()["retry-after"], "1");
        assert!(limiter.token(two).is_ok());
    }

    #[test]
    fn an_ipv6_caller_counts_with_its_network() {
        let limiter = Limiter::new(Limits { token: rate(1, 1), address: rate(1, 1) });
        assert!(limiter.address("2001:db8::1".parse().unwrap()).is_ok());
        assert!(limiter.address("2001:db8::2".parse().unwrap()).is_err());
        assert!(limiter.address("2001:db8:0:1::1".parse().unwrap()).is_ok());
        assert!(limiter.address("192.0.2.1".parse().unwrap()).is_ok());
        assert!(limiter.address("::ffff:192.0.2.1".parse().unwrap()).is_err());
        assert!(limiter.address("192.0.2.2".parse().unwrap()).is_ok());
    }
}
