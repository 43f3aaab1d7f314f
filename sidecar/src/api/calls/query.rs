//! What a query may say about calls: filters, and the place in the list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use trunk_admission::model::Kind;
use utoipa::IntoParams;

use crate::api::ask::{self, DEFAULT_LIMIT, LIMIT};
use crate::api::owner;
use crate::api::problem::Refusal;
use crate::api::token::Holder;
use crate::call::payload::direction;
use crate::call::status::Status;
use crate::input::problem::Broken;
use crate::input::rules;
use crate::input::section::Section;
use crate::store::{CallCursor, CallFilter};

/// Farthest page that is counted from the newest call.
const OFFSET: std::ops::RangeInclusive<u64> = 0..=10_000;
/// Longest From, To and Call-ID that are kept, in bytes.
const MAX_TEXT_BYTES: usize = 255;

/// The filters as they are described; [`filter`] reads them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "it is a description only")]
pub(super) struct Filters {
    /// Only those over this trunk
    trunk_id: Option<String>,
    /// Only those to this voice application
    application_id: Option<String>,
    /// Only those of this account
    account_id: Option<String>,
    /// Only those that ended so, such as `USER_BUSY`
    status: Option<String>,
    /// Only `inbound` or `outbound` ones
    direction: Option<String>,
    /// Only admitted (true) or refused ones (false)
    allowed: Option<bool>,
    /// Only those from this user
    from: Option<String>,
    /// Only those to this user
    to: Option<String>,
    /// Only those with this Call-ID
    sip_call_id: Option<String>,
    /// Only those that began then or later (RFC 3339)
    since: Option<String>,
    /// Only those that began before (RFC 3339)
    until: Option<String>,
}

/// Filters, before it is known who asks.
pub(super) struct Asked(CallFilter);

impl Asked {
    /// What the caller may see of it.
    pub(super) fn confined(self, holder: &Holder) -> Result<CallFilter, Refusal> {
        let account = owner::filter(holder, self.0.account)?;
        Ok(CallFilter { account, ..self.0 })
    }
}

/// The filters of a query.
pub(super) fn filter(section: &Section<'_>) -> Asked {
    let trunk = section.parsed("trunkId", rules::label);
    let application = section.parsed("applicationId", rules::label);
    let kind = section.parsed("direction", |text| {
        let kinds = [Kind::Trunk, Kind::Application];
        let broken = || Broken::new("invalid_parameter", "must be inbound or outbound");
        kinds.into_iter().find(|kind| direction(*kind) == text).ok_or_else(broken)
    });
    let of_thing = match (&trunk, &application) {
        (Some(_), Some(_)) => {
            section.problem("applicationId", Broken::new("not_here", "has no place beside trunkId"));
            None
        }
        (Some(_), None) => Some(Kind::Trunk),
        (None, Some(_)) => Some(Kind::Application),
        (None, None) => None,
    };
    if let (Some(of_thing), Some(kind)) = (of_thing, kind)
        && of_thing != kind
    {
        let rule = "calls over a trunk are outbound, those to an application inbound";
        section.problem("direction", Broken::new("not_here", rule));
    }
    let (since_ms, until_ms) =
        (section.parsed("since", rules::instant), section.parsed("until", rules::instant));
    if let (Some(since), Some(until)) = (since_ms, until_ms)
        && since > until
    {
        section.problem("until", Broken::new("out_of_range", "must not be before since"));
    }
    Asked(CallFilter {
        trunk: trunk.or(application),
        account: section.parsed("accountId", rules::label),
        kind: of_thing.or(kind),
        status: section.parsed("status", status),
        allowed: section.parsed("allowed", ask::flag),
        from: section.parsed("from", plain),
        to: section.parsed("to", plain),
        sip_call_id: section.parsed("sipCallId", plain),
        since_ms,
        until_ms,
    })
}

fn status(text: &str) -> Result<Status, Broken> {
    let names = || Status::NAMES.map(|(_, name)| name).join(", ");
    Status::from_name(text)
        .ok_or_else(|| Broken::new("invalid_parameter", format!("must be one of {}", names())))
}

fn plain(text: &str) -> Result<String, Broken> {
    match text.len() <= MAX_TEXT_BYTES {
        true => Ok(text.to_owned()),
        false => Err(Broken::new("too_long", format!("must be at most {MAX_TEXT_BYTES} bytes"))),
    }
}

/// A place in the list.
pub(super) struct Place {
    pub(super) limit: u32,
    pub(super) offset: u64,
    pub(super) cursor: Option<CallCursor>,
}

/// `limit`, and either `offset` or `cursor`.
pub(super) fn place(section: &Section<'_>) -> Place {
    let limit = section.parsed("limit", |text| ask::number(text, LIMIT)).unwrap_or(DEFAULT_LIMIT);
    let offset = section.parsed("offset", |text| ask::number(text, OFFSET));
    let cursor = section.parsed("cursor", |text| {
        cursor(text).ok_or(Broken::new("invalid_parameter", "must be the nextCursor of a page"))
    });
    if offset.is_some() && section.has("cursor") {
        section.problem("offset", Broken::new("not_here", "has no place beside cursor"));
    }
    Place { limit, offset: offset.unwrap_or(0), cursor }
}

/// A cursor as the API writes it.
pub(super) fn cursor_text(cursor: CallCursor) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&cursor.start_ms.to_be_bytes());
    bytes[8..].copy_from_slice(&cursor.number.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn cursor(text: &str) -> Option<CallCursor> {
    let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (start, number) = bytes.split_first_chunk::<8>()?;
    let number = number.first_chunk::<8>()?;
    Some(CallCursor { start_ms: i64::from_be_bytes(*start), number: i64::from_be_bytes(*number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        for (start_ms, number) in [(0, 1), (1_790_000_000_000, 10_000_000), (i64::MAX, i64::MIN)] {
            let wanted = CallCursor { start_ms, number };
            assert_eq!(cursor(&cursor_text(wanted)), Some(wanted));
        }
        for bad in ["", "AAAA", "%", &"A".repeat(23), &"=".repeat(22)] {
            assert_eq!(cursor(bad), None, "{bad}");
        }
    }
}
