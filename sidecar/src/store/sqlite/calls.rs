//! Calls as rows: loads one, saves one, finds those that are up.

use std::sync::LazyLock;

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use trunk_admission::Reason;
use uuid::Uuid;

use super::rates::rate_of;
use super::text::{self, damaged, get};
use crate::call::status::Status;
use crate::call::{Call, party_from_name, party_name};
use crate::cost::{Amount, Tariff};
use crate::domain::{Millis, kind_name};
use crate::store::{CallFilter, Recent, StoreError};

pub(super) fn load(db: &Transaction<'_>, id: Uuid) -> Result<Option<Call>, StoreError> {
    let mut select = db.prepare_cached("SELECT * FROM calls WHERE call_id = ?1")?;
    let mut rows = select.query([id.as_bytes()])?;
    rows.next()?.map(read).transpose()
}

/// What happened just now. Each part is a look into one index.
pub(super) fn recent(
    db: &Transaction<'_>,
    filter: &CallFilter,
    since_ms: Millis,
    limit: u32,
) -> Result<Recent, StoreError> {
    let (by, which, whose) = match (&filter.trunk, &filter.account) {
        (Some(trunk), _) => ("trunk", "trunk_id = ?1", trunk.as_str()),
        (None, Some(account)) => ("account", "account_id = ?1", account.as_str()),
        (None, None) => ("time", "?1 = ''", ""),
    };
    let all = format!("calls INDEXED BY calls_by_{by} WHERE {which}");
    let refused = format!("calls INDEXED BY calls_refused_by_{by} WHERE {which} AND allowed = 0");
    let count = |of: &str| -> Result<i64, StoreError> {
        let sql = format!("SELECT count(*) FROM {of} AND start_ms >= ?2");
        Ok(db.prepare_cached(&sql)?.query_row(params![whose, since_ms], |row| row.get(0))?)
    };
    let refused_count = count(&refused)?;
    let admitted = count(&all)? - refused_count;
    let sql = format!("SELECT * FROM {refused} ORDER BY start_ms DESC LIMIT ?2");
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params![whose, limit])?;
    let mut refusals = Vec::new();
    while let Some(row) = rows.next()? {
        refusals.push(read(row)?);
    }
    Ok(Recent { admitted, refused: refused_count, refusals })
}

pub(super) fn read(row: &Row<'_>) -> Result<Call, StoreError> {
    let source_ip: Option<String> = get(row, "source_ip")?;
    let source_port: Option<u16> = get(row, "source_port")?;
    let source_ip = source_ip.map(|ip| ip.parse().map_err(|_| damaged("source_ip", &ip))).transpose()?;
    Ok(Call {
        id: Uuid::from_bytes(get(row, "call_id")?),
        trunk: get(row, "trunk_id")?,
        account: get(row, "account_id")?,
        kind: text::read_kind(&get::<String>(row, "kind")?)?,
        sip_call_id: get(row, "sip_call_id")?,
        from: get(row, "from_user")?,
        from_host: get(row, "from_host")?,
        to: get(row, "to_user")?,
        request_uri: get(row, "request_uri")?,
        source: source_ip.zip(source_port),
        allowed: get(row, "allowed")?,
        reason: named(row, "reason", |name| Reason::ALL.into_iter().find(|reason| reason.name() == name))?,
        limit: get(row, "limit_value")?,
        count: get(row, "count_value")?,
        wait_ms: get(row, "wait_ms")?,
        generation: get(row, "generation")?,
        gateway: get(row, "gateway")?,
        attempts: get(row, "attempts")?,
        start_ms: get(row, "start_ms")?,
        ring_ms: get(row, "ring_ms")?,
        answer_ms: get(row, "answer_ms")?,
        end_ms: get(row, "end_ms")?,
        sip_code: get(row, "sip_code")?,
        q850: get(row, "q850")?,
        hangup_by: named(row, "hangup_by", party_from_name)?,
        status: named(row, "status", Status::from_name)?,
        reconciled: get(row, "reconciled")?,
        tariff: tariff(row)?,
        cost: get::<Option<i64>>(row, "cost_micros")?.map(Amount::from_micros),
    })
}

/// The rate that a call began under stands in its row whole, or not at all.
fn tariff(row: &Row<'_>) -> Result<Option<Tariff>, StoreError> {
    let (currency, prefix): (Option<String>, Option<String>) =
        (get(row, "currency")?, get(row, "rate_prefix")?);
    let Some((currency, prefix)) = currency.zip(prefix) else { return Ok(None) };
    Ok(Some(Tariff { currency, rate: rate_of(row, prefix)? }))
}

fn named<T>(row: &Row<'_>, column: &str, find: impl Fn(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
    let name: Option<String> = get(row, column)?;
    name.map(|name| find(&name).ok_or_else(|| damaged(column, &name))).transpose()
}

/// Columns of a call, in the order in which they are written.
const COLUMNS: [&str; 36] = [
    "call_id",
    "trunk_id",
    "account_id",
    "kind",
    "sip_call_id",
    "from_user",
    "from_host",
    "to_user",
    "request_uri",
    "source_ip",
    "source_port",
    "allowed",
    "reason",
    "limit_value",
    "count_value",
    "wait_ms",
    "generation",
    "gateway",
    "attempts",
    "start_ms",
    "ring_ms",
    "answer_ms",
    "end_ms",
    "sip_code",
    "q850",
    "hangup_by",
    "status",
    "reconciled",
    "currency",
    "rate_prefix",
    "price_micros",
    "fee_micros",
    "first_s",
    "next_s",
    "minimum_micros",
    "cost_micros",
];

/// Writes a call. Its row keeps its number, by which lists go.
pub(super) fn save(db: &Transaction<'_>, call: &Call) -> Result<(), StoreError> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let places: Vec<_> = (1..=COLUMNS.len()).map(|place| format!("?{place}")).collect();
        let changes: Vec<_> =
            COLUMNS.iter().zip(&places).skip(1).map(|(name, at)| format!("{name} = {at}")).collect();
        format!(
            "INSERT INTO calls ({}) VALUES ({}) ON CONFLICT (call_id) DO UPDATE SET {}",
            COLUMNS.join(", "),
            places.join(", "),
            changes.join(", ")
        )
    });
    let mut insert = db.prepare_cached(&SQL)?;
    let rate = call.tariff.as_ref().map(|tariff| &tariff.rate);
    insert.execute(params![
        call.id.as_bytes(),
        call.trunk,
        call.account,
        kind_name(call.kind),
        call.sip_call_id,
        call.from,
        call.from_host,
        call.to,
        call.request_uri,
        call.source.map(|(ip, _)| ip.to_string()),
        call.source.map(|(_, port)| port),
        call.allowed,
        call.reason.map(Reason::name),
        call.limit,
        call.count,
        call.wait_ms,
        call.generation,
        call.gateway,
        call.attempts,
        call.start_ms,
        call.ring_ms,
        call.answer_ms,
        call.end_ms,
        call.sip_code,
        call.q850,
        call.hangup_by.map(party_name),
        call.status.map(Status::name),
        call.reconciled,
        call.tariff.as_ref().map(|tariff| &tariff.currency),
        rate.map(|rate| &rate.prefix),
        rate.map(|rate| rate.price.micros()),
        rate.map(|rate| rate.connection_fee.micros()),
        rate.map(|rate| rate.first_s),
        rate.map(|rate| rate.next_s),
        rate.map(|rate| rate.minimum.micros()),
        call.cost.map(Amount::micros),
    ])?;
    Ok(())
}

/// Calls that have not ended and began before `before_ms`.
pub(super) fn open(db: &Transaction<'_>, before_ms: Millis) -> Result<Vec<Uuid>, StoreError> {
    let mut select = db.prepare_cached("SELECT call_id FROM calls WHERE end_ms IS NULL AND start_ms < ?1")?;
    let ids = select.query_map([before_ms], |row| row.get::<_, [u8; 16]>(0).map(Uuid::from_bytes))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Whether a call is over; `None` if it was never written down.
pub(super) fn has_ended(db: &Transaction<'_>, id: Uuid) -> Result<Option<bool>, StoreError> {
    let mut select = db.prepare_cached("SELECT end_ms IS NOT NULL FROM calls WHERE call_id = ?1")?;
    Ok(select.query_row([id.as_bytes()], |row| row.get(0)).optional()?)
}
