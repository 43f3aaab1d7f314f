//! Rate plans as rows: plans, rates, whose calls go by which, and the rate that a call begins under.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::commit::Work;
use super::configuration::rows;
use super::lists::Conditions;
use super::objects::stamp;
use super::record::Entry;
use super::text::get;
use crate::cost::{Amount, MAX_PREFIX_DIGITS, Rate, Tariff, digits};
use crate::domain::{Payer, RatePlan, audit, rate_plan_fields, settle};
use crate::store::{Listed, Page, StoreError};

/// What the audit log and people call a plan.
const KIND: &str = "ratePlan";

pub(super) fn plan(db: &Transaction<'_>, id: &str) -> Result<Option<RatePlan>, StoreError> {
    Ok(rows(db, "SELECT * FROM rate_plans WHERE rate_plan_id = ?1", [id], plan_of)?.pop())
}

pub(super) fn plans(db: &Transaction<'_>, page: Page) -> Result<Listed<RatePlan>, StoreError> {
    let column = "rate_plan_id";
    let (total, ids): (_, Vec<String>) =
        Conditions::default().page(db, column, "rate_plans", column, page)?;
    let objects = ids.iter().filter_map(|id| plan(db, id).transpose()).collect::<Result<_, _>>()?;
    Ok(Listed { total, objects })
}

pub(super) fn rates(db: &Transaction<'_>, plan: &str, page: Page) -> Result<Listed<Rate>, StoreError> {
    let mut conditions = Conditions::default();
    conditions.equal("rate_plan_id", Some(plan.to_owned()));
    let (total, prefixes): (_, Vec<String>) = conditions.page(db, "prefix", "rates", "prefix", page)?;
    let objects = prefixes.iter().filter_map(|prefix| rate(db, plan, prefix).transpose());
    Ok(Listed { total, objects: objects.collect::<Result<_, _>>()? })
}

/// The plan that somebody's calls go by, if it is his own.
pub(super) fn plan_of_payer(db: &Transaction<'_>, payer: &Payer) -> Result<Option<String>, StoreError> {
    let sql = "SELECT rate_plan_id FROM rate_assignments WHERE kind = ?1 AND id = ?2";
    Ok(db.prepare_cached(sql)?.query_row([payer.kind(), payer.id()], |row| row.get(0)).optional()?)
}

/// How many accounts, trunks and applications go by a plan.
pub(super) fn payers(db: &Transaction<'_>, plan: &str) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM rate_assignments WHERE rate_plan_id = ?1";
    let count: i64 = db.prepare_cached(sql)?.query_row([plan], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

/// The rate with the longest prefix of the number that is called, in the plan of the trunk, else of the account.
pub(super) fn tariff(
    db: &Transaction<'_>,
    trunk: Option<&str>,
    account: Option<&str>,
    number: &str,
) -> Result<Option<Tariff>, StoreError> {
    let payers = [trunk.map(|id| Payer::Trunk(id.into())), account.map(|id| Payer::Account(id.into()))];
    let mut found = None;
    for payer in payers.into_iter().flatten() {
        found = found.or(plan_of_payer(db, &payer)?);
    }
    let Some(id) = found else { return Ok(None) };
    let digits = digits(number);
    for length in (0..=digits.len().min(MAX_PREFIX_DIGITS)).rev() {
        if let Some(rate) = rate(db, &id, &digits[..length])? {
            let currency = plan(db, &id)?.map(|plan| plan.currency);
            return Ok(currency.map(|currency| Tariff { currency, rate }));
        }
    }
    Ok(None)
}

fn rate(db: &Transaction<'_>, plan: &str, prefix: &str) -> Result<Option<Rate>, StoreError> {
    let mut select = db.prepare_cached("SELECT * FROM rates WHERE rate_plan_id = ?1 AND prefix = ?2")?;
    let mut found = select.query([plan, prefix])?;
    found.next()?.map(|row| rate_of(row, get(row, "prefix")?)).transpose()
}

/// A rate from the columns that rates and calls have in common.
pub(super) fn rate_of(row: &Row<'_>, prefix: String) -> Result<Rate, StoreError> {
    let amount = |column| Ok::<_, StoreError>(Amount::from_micros(get(row, column)?));
    Ok(Rate {
        prefix,
        price: amount("price_micros")?,
        connection_fee: amount("fee_micros")?,
        first_s: get(row, "first_s")?,
        next_s: get(row, "next_s")?,
        minimum: amount("minimum_micros")?,
    })
}

fn plan_of(row: &Row<'_>) -> Result<RatePlan, StoreError> {
    Ok(RatePlan {
        id: get(row, "rate_plan_id")?,
        name: get(row, "name")?,
        description: get(row, "description")?,
        currency: get(row, "currency")?,
        stamp: stamp(row)?,
    })
}

impl Work<'_> {
    pub(super) fn put_rate_plan(&mut self, mut after: RatePlan) -> Result<(), StoreError> {
        let before = plan(self.db, &after.id)?;
        settle(&mut after, before.as_ref(), self.terms.stamp);
        self.db
            .prepare_cached(
                "INSERT INTO rate_plans VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (rate_plan_id)
                 DO UPDATE SET name = ?2, description = ?3, currency = ?4, updated_ms = ?6, revision = ?7",
            )?
            .execute(params![
                after.id,
                after.name,
                after.description,
                after.currency,
                after.stamp.created_ms,
                after.stamp.updated_ms,
                after.stamp.revision
            ])?;
        let id = after.id.clone();
        let entry = Entry { kind: KIND, id: &id, account: None };
        match &before {
            None => self.added(entry, audit::rate_plan(&after), None),
            Some(before) => {
                let change = audit::rate_plan_change(before, &after);
                self.changed(entry, rate_plan_fields(before, &after), change, None)
            }
        }
    }

    /// Its rates go with it. Whoever goes by it stands against that.
    pub(super) fn remove_rate_plan(&mut self, id: String) -> Result<(), StoreError> {
        let Some(before) = plan(self.db, &id)? else { return Ok(()) };
        self.db.prepare_cached("DELETE FROM rate_plans WHERE rate_plan_id = ?1")?.execute([&id])?;
        self.removed(Entry { kind: KIND, id: &id, account: None }, audit::rate_plan(&before), None)
    }

    /// All rates of a plan anew.
    pub(super) fn put_rates(&mut self, id: &str, rates: &[Rate]) -> Result<(), StoreError> {
        let db = self.db;
        let before: i64 = db
            .prepare_cached("SELECT count(*) FROM rates WHERE rate_plan_id = ?1")?
            .query_row([id], |row| row.get(0))?;
        db.prepare_cached("DELETE FROM rates WHERE rate_plan_id = ?1")?.execute([id])?;
        let mut insert = db.prepare_cached("INSERT INTO rates VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for rate in rates {
            insert.execute(params![
                id,
                rate.prefix,
                rate.price.micros(),
                rate.connection_fee.micros(),
                rate.first_s,
                rate.next_s,
                rate.minimum.micros()
            ])?;
        }
        let stamp = self.terms.stamp;
        db.prepare_cached("UPDATE rate_plans SET updated_ms = ?2, revision = ?3 WHERE rate_plan_id = ?1")?
            .execute(params![id, stamp.updated_ms, stamp.revision])?;
        let change = (audit::rates(before.cast_unsigned() as usize), audit::rates(rates.len()));
        self.changed(Entry { kind: KIND, id, account: None }, vec!["rates"], change, None)
    }

    /// Whose calls go by which plan from now on; `None` is by none of his own.
    pub(super) fn choose_rate_plan(&mut self, payer: &Payer, after: Option<&str>) -> Result<(), StoreError> {
        let before = plan_of_payer(self.db, payer)?;
        if before.as_deref() == after {
            return Ok(());
        }
        let key = [payer.kind(), payer.id()];
        match after {
            None => self
                .db
                .prepare_cached("DELETE FROM rate_assignments WHERE kind = ?1 AND id = ?2")?
                .execute(key)?,
            Some(plan) => self
                .db
                .prepare_cached(
                    "INSERT INTO rate_assignments VALUES (?1, ?2, ?3)
                     ON CONFLICT (kind, id) DO UPDATE SET rate_plan_id = ?3",
                )?
                .execute([key[0], key[1], plan])?,
        };
        // It is the plan that the log tells of: who pays by it may be managed by a file.
        let change = (audit::payer(payer, before.as_deref()), audit::payer(payer, after));
        let plan = after.or(before.as_deref()).unwrap_or_default().to_owned();
        self.changed(Entry { kind: KIND, id: &plan, account: None }, vec!["payers"], change, None)
    }
}
