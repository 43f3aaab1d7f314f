//! What is known of an object beside what was configured: when it came, when it changed, at which revision.
//!
//! Pure but for new ids. The same rule serves the store, which keeps the stamps, and whoever must know before a write
//! what they will be.

use std::collections::HashMap;
use std::hash::Hash;

use trunk_admission::model::Kind;
use uuid::Uuid;

use super::compare::{PARTS, trunk_fields};
use super::{Account, Credential, IpAcl, Millis, OriginationUri, RatePlan, Token, Trunk};

/// Times and revision of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// When it was made.
    pub created_ms: Millis,
    /// When it changed last.
    pub updated_ms: Millis,
    /// The configuration revision that changed it last; what its ETag is made of.
    pub revision: i64,
}

impl Stamp {
    /// Of something that is made now.
    pub fn new(now_ms: Millis, revision: i64) -> Stamp {
        Stamp { created_ms: now_ms, updated_ms: now_ms, revision }
    }
}

/// What bears a stamp.
pub trait Stamped: PartialEq {
    /// Its stamp.
    fn stamp(&self) -> Stamp;
    /// Its stamp, to be set.
    fn stamp_mut(&mut self) -> &mut Stamp;
}

/// What lies below a trunk.
pub trait Part: Stamped {
    /// What it is known by within its trunk.
    type Key: Eq + Hash;
    /// Its id.
    fn id(&self) -> Uuid;
    /// Its id, to be set.
    fn id_mut(&mut self) -> &mut Uuid;
    /// Its natural key.
    fn key(&self) -> Self::Key;
}

macro_rules! stamped {
    ($($name:ty),*) => {$(
        impl Stamped for $name {
            fn stamp(&self) -> Stamp {
                self.stamp
            }
            fn stamp_mut(&mut self) -> &mut Stamp {
                &mut self.stamp
            }
        }
    )*};
}

stamped!(Account, Trunk, Token, RatePlan, IpAcl, Credential, OriginationUri);

macro_rules! part {
    ($($name:ty, $key:ty, $field:ident);*) => {$(
        impl Part for $name {
            type Key = $key;
            fn id(&self) -> Uuid {
                self.id
            }
            fn id_mut(&mut self) -> &mut Uuid {
                &mut self.id
            }
            fn key(&self) -> $key {
                self.$field.clone()
            }
        }
    )*};
}

part!(IpAcl, ipnet::IpNet, network; Credential, String, username; OriginationUri, String, uri);

/// Stamps `after`, which takes the place of `before`: what did not change keeps its stamp, `now` is a new thing's.
pub fn settle<T: Stamped>(after: &mut T, before: Option<&T>, now: Stamp) {
    *after.stamp_mut() = before.map_or(now, Stamped::stamp);
    if before.is_some_and(|before| *after != *before) {
        touch(after, now);
    }
}

/// As [`settle`], for a trunk with all its parts; parts that have no id get one.
pub fn settle_trunk(after: &mut Trunk, before: Option<&Trunk>, now: Stamp) {
    settle_parts(&mut after.ip_acls, before.map_or(&[], |trunk| &trunk.ip_acls), now);
    settle_parts(&mut after.credentials, before.map_or(&[], |trunk| &trunk.credentials), now);
    settle_parts(&mut after.origination_uris, before.map_or(&[], |trunk| &trunk.origination_uris), now);
    after.stamp = before.map_or(now, |trunk| trunk.stamp);
    let Some(before) = before else { return };
    let changed = trunk_fields(before, after);
    let own = |field: &&str| after.kind == Kind::Application || !PARTS.contains(field);
    if changed.iter().any(own) {
        touch(after, now);
    }
}

fn touch(after: &mut impl Stamped, now: Stamp) {
    let stamp = after.stamp_mut();
    (stamp.updated_ms, stamp.revision) = (now.updated_ms, now.revision);
}

fn settle_parts<T: Part>(after: &mut [T], before: &[T], now: Stamp) {
    let by_id: HashMap<Uuid, &T> = before.iter().map(|part| (part.id(), part)).collect();
    let by_key: HashMap<T::Key, &T> = before.iter().map(|part| (part.key(), part)).collect();
    for part in after {
        let known = match part.id() {
            id if id.is_nil() => by_key.get(&part.key()),
            id => by_id.get(&id),
        };
        if part.id().is_nil() {
            *part.id_mut() = known.map_or_else(Uuid::now_v7, |known| known.id());
        }
        settle(part, known.copied(), now);
    }
}
