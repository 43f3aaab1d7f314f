//! `$trunk(name)`: what was decided about the message in hand. Read-only; `$null` for what is not set.
//! It must never show another message's decision.

use core::ffi::c_int;

use crate::judgement::Judgement;
use crate::kstr::KStr;
use crate::msg::SipMsg;
use crate::process;
use crate::sys;
use crate::verdict::Plain;

/// The inner names, in the order of their numbers.
const NAMES: [(&str, Name); 14] = [
    ("id", Name::Id),
    ("account", Name::Account),
    ("reason", Name::Reason),
    ("code", Name::Code),
    ("text", Name::Text),
    ("retry_after", Name::RetryAfter),
    ("limit", Name::Limit),
    ("count", Name::Count),
    ("generation", Name::Generation),
    ("uid", Name::Uid),
    ("realm", Name::Realm),
    ("gateway", Name::Gateway),
    ("attempts", Name::Attempts),
    ("stale", Name::Stale),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Id,
    Account,
    Reason,
    Code,
    Text,
    RetryAfter,
    Limit,
    Count,
    Generation,
    Uid,
    Realm,
    Gateway,
    Attempts,
    Stale,
}

/// What a variable holds.
#[derive(Debug, PartialEq, Eq)]
enum Value<'a> {
    Null,
    Text(&'a [u8]),
    Number(u64),
}

fn value(name: Name, of: &Judgement) -> Value<'_> {
    let text = |text| if text == b"" { Value::Null } else { Value::Text(text) };
    let number = |number: Option<u32>| number.map_or(Value::Null, |number| Value::Number(u64::from(number)));
    match name {
        Name::Id => text(of.trunk.bytes()),
        Name::Account => text(of.account.bytes()),
        Name::Reason => text(of.reason.map_or("", |reason| reason.name()).as_bytes()),
        Name::Code => number(of.answer().map(|(code, _)| u32::from(code))),
        Name::Text => text(of.answer().map_or("", |(_, text)| text).as_bytes()),
        Name::RetryAfter => number(of.retry_after()),
        Name::Limit => number(of.limit_and_count().map(|(limit, _)| limit)),
        Name::Count => number(of.limit_and_count().map(|(_, count)| count)),
        Name::Generation => Value::Number(of.generation),
        Name::Uid => text(of.uid.bytes()),
        Name::Realm => text(of.realm.bytes()),
        Name::Gateway => text(of.gateway.bytes()),
        Name::Stale => number(of.stale.then_some(1)),
        Name::Attempts if of.gateway.is_empty() => Value::Null,
        Name::Attempts => Value::Number(u64::from(of.attempts)),
    }
}

/// Reads one `$trunk(...)`. Kamailio uses the value at once; it points into this process's judgement.
pub(crate) fn get(msg: *mut sys::sip_msg, param: *mut sys::pv_param_t, to: *mut sys::pv_value_t) -> Plain {
    // SAFETY: Kamailio hands over the message of the running route.
    let message = unsafe { SipMsg::new(msg) };
    // SAFETY: and the parameter that `parse_name` filled in.
    let Some(inner) = (unsafe { param.as_ref() }) else { return null(msg, param, to) };
    // SAFETY: `parse_name` stored a number in this part of the union.
    let isname = unsafe { &inner.pvn.u.isname };
    // SAFETY: as above.
    let number = unsafe { isname.name.n };
    let name = usize::try_from(number).ok().and_then(|number| NAMES.get(number)).map(|(_, name)| *name);
    let (Some(message), Some(name)) = (message, name) else { return null(msg, param, to) };
    let answer = process::with(|process| {
        let judgement = &process.judgement;
        if judgement.key != message.key() {
            return None;
        }
        match value(name, judgement) {
            Value::Null => None,
            Value::Text(text) => {
                let mut text = KStr::from_bytes(text).as_sys();
                // SAFETY: stores pointer and length; the bytes stay until the next judgement.
                Some(Plain(unsafe { sys::pv_get_strval(msg, param, to, &raw mut text) }))
            }
            Value::Number(number) => {
                let number = c_int::try_from(number).unwrap_or(c_int::MAX);
                // SAFETY: stores the number, and its digits in a buffer of Kamailio's.
                Some(Plain(unsafe { sys::pv_get_sintval(msg, param, to, number) }))
            }
        }
    });
    answer.flatten().unwrap_or_else(|| null(msg, param, to))
}

fn null(msg: *mut sys::sip_msg, param: *mut sys::pv_param_t, to: *mut sys::pv_value_t) -> Plain {
    // SAFETY: only fills in `to`, which Kamailio owns.
    Plain(unsafe { sys::pv_get_null(msg, param, to) })
}

/// Checks a name when the configuration is read; an unknown one stops the start.
pub(crate) fn parse_name(spec: *mut sys::_pv_spec, name: *mut sys::str_) -> Plain {
    // SAFETY: Kamailio hands over the text between the brackets.
    let Some(name) = (unsafe { name.as_ref() }) else { return Plain(-1) };
    // SAFETY: as above.
    let name = unsafe { KStr::new(name) };
    let Some(number) = NAMES.iter().position(|(known, _)| known.as_bytes() == name.trimmed().bytes()) else {
        let known = NAMES.map(|(known, _)| known).join(", ");
        let text = name.bytes().escape_ascii();
        crate::log::once(
            crate::log::Level::Error,
            format_args!("$trunk({text}) is unknown; there are: {known}"),
        );
        return Plain(-1);
    };
    // SAFETY: Kamailio hands over the spec to fill in.
    let spec = unsafe { &mut *spec };
    spec.pvp.pvn.type_ = sys::PV_NAME_INTSTR as c_int;
    spec.pvp.pvn.u.isname.type_ = 0;
    spec.pvp.pvn.u.isname.name.n = number as c_int;
    Plain(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Text;
    use trunk_admission::Reason;

    #[test]
    fn a_refusal_by_a_limit_says_all_of_it() {
        let of = Judgement {
            reason: Some(Reason::CpsExceeded),
            limit: 2,
            count: 3,
            wait_ms: 480,
            trunk: Text::new(b"acme").expect("fits"),
            ..Judgement::NONE
        };
        assert_eq!(value(Name::Id, &of), Value::Text(b"acme"));
        assert_eq!(value(Name::Reason, &of), Value::Text(b"cps_exceeded"));
        assert_eq!(value(Name::Code, &of), Value::Number(503));
        assert_eq!(value(Name::RetryAfter, &of), Value::Number(1));
        assert_eq!((value(Name::Limit, &of), value(Name::Count, &of)), (Value::Number(2), Value::Number(3)));
        assert_eq!(value(Name::Gateway, &of), Value::Null);
        assert_eq!(value(Name::Attempts, &of), Value::Null);
    }

    #[test]
    fn an_admitted_call_has_no_reason() {
        for name in [Name::Reason, Name::Code, Name::Text, Name::RetryAfter, Name::Limit, Name::Count] {
            assert_eq!(value(name, &Judgement::NONE), Value::Null, "{name:?}");
        }
    }
}
