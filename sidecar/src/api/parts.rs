//! What all parts of a trunk have in common: each is found in its trunk, changed there, and the trunk is written whole.

use axum::http::StatusCode;
use serde::Serialize;
use trunk_admission::model::Kind;
use uuid::Uuid;

use super::Api;
use super::answer::Answer;
use super::ask::Ask;
use super::body::Body;
use super::etag::ETag;
use super::owner;
use super::problem::Refusal;
use super::turn::{Draft, Nothing};
use crate::change::Change;
use crate::domain::{Credential, IpAcl, OriginationUri, Stamped, Trunk};
use crate::edit::parts;
use crate::store::PlacedTrunk;

/// A part of a trunk.
pub(super) trait Part: Stamped + Clone {
    /// Most of a trunk.
    const MOST: usize;
    /// The field that no two of a trunk have in common.
    const KEY: &'static str;
    /// The path below the trunk's.
    const PATH: &'static str;
    fn id(&self) -> Uuid;
    fn same_key(&self, other: &Self) -> bool;
    fn all(trunk: &Trunk) -> &[Self];
    fn all_mut(trunk: &mut Trunk) -> &mut Vec<Self>;
}

macro_rules! part {
    ($part:ty, $list:ident, $field:ident, $key:literal, $path:literal, $most:expr) => {
        impl Part for $part {
            const MOST: usize = $most;
            const KEY: &'static str = $key;
            const PATH: &'static str = $path;
            fn id(&self) -> Uuid {
                self.id
            }
            fn same_key(&self, other: &Self) -> bool {
                self.$field == other.$field
            }
            fn all(trunk: &Trunk) -> &[Self] {
                &trunk.$list
            }
            fn all_mut(trunk: &mut Trunk) -> &mut Vec<Self> {
                &mut trunk.$list
            }
        }
    };
}

part!(IpAcl, ip_acls, network, "ipAddress", "ip-acls", parts::MAX_IP_ACLS);
part!(Credential, credentials, username, "username", "credentials", parts::MAX_CREDENTIALS);
part!(OriginationUri, origination_uris, uri, "uri", "origination-uris", parts::MAX_ORIGINATION_URIS);

/// The version of a part.
pub(super) fn etag(part: &impl Part) -> ETag {
    ETag::new(part.stamp().revision)
}

/// A trunk, if the caller may see it, and where a part of it is.
pub(super) async fn find<P: Part>(
    api: &Api,
    ask: &Ask,
    trunk: String,
    id: &str,
) -> Result<(PlacedTrunk, usize), Refusal> {
    let found = owner::visible(api, &ask.holder, trunk, Kind::Trunk).await?;
    let index = position::<P>(&found.item, id)?;
    Ok((found, index))
}

fn position<P: Part>(trunk: &Trunk, id: &str) -> Result<usize, Refusal> {
    let id = Uuid::parse_str(id).map_err(|_| Refusal::not_found())?;
    P::all(trunk).iter().position(|part| part.id() == id).ok_or_else(Refusal::not_found)
}

/// Adds what `read` makes of the body, and answers what `show` shows of it.
pub(super) async fn add<P: Part, S, V: Serialize>(
    api: &Api,
    ask: &Ask,
    body: &Body,
    trunk: &str,
    read: impl FnOnce(&crate::input::section::Section<'_>, &str) -> Option<(P, S)>,
    show: impl FnOnce(&PlacedTrunk, &P, S) -> V,
) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let said = body.parse()?;
    let turn = api.turn(ask, &body.bytes, wait).await?;
    let now = owner::writable(api, &turn, &ask.holder, trunk, Kind::Trunk).await?;
    let realm = api.names.trunk_domain(trunk);
    let Some((part, secret)) = said.read(|section| read(section, &realm))? else {
        return Err(Refusal::of_status(StatusCode::UNPROCESSABLE_ENTITY).into());
    };
    if P::all(&now.item).len() >= P::MOST {
        let detail = format!("the trunk has {} already, which is the most", P::MOST);
        return Err(Refusal::new(StatusCode::CONFLICT, "too_many", detail).into());
    }
    let mut after = now.item.clone();
    P::all_mut(&mut after).push(part);
    unique::<P>(&after, after_last::<P>(&after))?;
    turn.session.settle(&mut after, Some(&now.item));
    let made = P::all(&after)[after_last::<P>(&after)].clone();
    let path = format!("/v1/trunks/{trunk}/{}/{}", P::PATH, made.id());
    let object = show(&now, &made, secret);
    let draft = Draft::new(StatusCode::CREATED, vec![Change::PutTrunk(Box::new(after))], object);
    turn.finish(draft.etag(etag(&made)).location(path)).await
}

fn after_last<P: Part>(trunk: &Trunk) -> usize {
    P::all(trunk).len().saturating_sub(1)
}

/// Changes a part by what `read` makes of the body.
pub(super) async fn change<P: Part, V: Serialize>(
    api: &Api,
    ask: &Ask,
    body: &Body,
    (trunk, id): (&str, &str),
    read: impl FnOnce(&crate::input::section::Section<'_>, P, &str) -> Option<P>,
    show: impl FnOnce(&PlacedTrunk, &P) -> V,
) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let said = body.parse()?;
    let turn = api.turn(ask, &body.bytes, wait).await?;
    let now = owner::writable(api, &turn, &ask.holder, trunk, Kind::Trunk).await?;
    let index = position::<P>(&now.item, id)?;
    let before = P::all(&now.item)[index].clone();
    ask.conditions.check(&etag(&before))?;
    let realm = api.names.trunk_domain(trunk);
    let Some(part) = said.read(|section| read(section, before, &realm))? else {
        return Err(Refusal::of_status(StatusCode::UNPROCESSABLE_ENTITY).into());
    };
    let mut after = now.item.clone();
    P::all_mut(&mut after)[index] = part;
    unique::<P>(&after, index)?;
    turn.session.settle(&mut after, Some(&now.item));
    let part = P::all(&after)[index].clone();
    let changes = if after == now.item { Vec::new() } else { vec![Change::PutTrunk(Box::new(after))] };
    let draft = Draft::new(StatusCode::OK, changes, show(&now, &part));
    turn.finish(draft.etag(etag(&part))).await
}

/// Takes a part out of its trunk.
pub(super) async fn remove<P: Part>(api: &Api, ask: &Ask, trunk: &str, id: &str) -> Answer {
    let (wait, ()) = ask.wait(|_| ())?;
    let turn = api.turn(ask, &[], wait).await?;
    let now = owner::writable(api, &turn, &ask.holder, trunk, Kind::Trunk).await?;
    let index = position::<P>(&now.item, id)?;
    let mut after = now.item.clone();
    let gone = P::all_mut(&mut after).remove(index);
    ask.conditions.check(&etag(&gone))?;
    turn.session.settle(&mut after, Some(&now.item));
    turn.finish(Draft::new(StatusCode::OK, vec![Change::PutTrunk(Box::new(after))], Nothing {})).await
}

/// Refuses a part that has the key of another one.
fn unique<P: Part>(trunk: &Trunk, index: usize) -> Result<(), Refusal> {
    let all = P::all(trunk);
    let part = &all[index];
    if all.iter().enumerate().any(|(at, other)| at != index && other.same_key(part)) {
        let refusal = Refusal::fault(format!("/{}", P::KEY), "duplicate", "is in this trunk already");
        return Err(refusal.with_status(StatusCode::CONFLICT, "duplicate"));
    }
    Ok(())
}
