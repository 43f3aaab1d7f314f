//! The rates of a plan: shown page by page or as one CSV file, and imported as one, all of them or none.

use std::cell::RefCell;
use std::collections::HashSet;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{self, Answer, List};
use super::ask::{self, Ask};
use super::body::CsvBody;
use super::problem::{Fault, MAX_FAULTS, Refusal};
use super::turn::{Draft, Written};
use super::{Api, rate_plans, trouble};
use crate::change::Change;
use crate::cost::{Amount, INCREMENT, MAX_PREFIX_DIGITS, Rate};
use crate::input::problem::Broken;
use crate::store::Page;

/// Most rates of a plan.
const MAX_RATES: usize = 100_000;
/// Columns of a file. The first two must be there, in any order among the others.
const COLUMNS: [&str; 6] =
    ["prefix", "pricePerMinute", "connectionFee", "firstIncrement", "nextIncrement", "minimumCharge"];

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(import))
}

/// What calls to some destinations cost. Amounts are in the plan's currency.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Rate)]
struct RateView {
    /// First digits of the number that is called, without `+`; the longest prefix counts, and an empty one matches every
    /// destination.
    prefix: String,
    price_per_minute: String,
    /// For each answered call.
    connection_fee: String,
    /// Seconds that are billed at least.
    first_increment: u32,
    /// Seconds that are billed as a whole after that.
    next_increment: u32,
    /// Least cost of an answered call, fee included.
    minimum_charge: String,
}

impl From<&Rate> for RateView {
    fn from(rate: &Rate) -> RateView {
        RateView {
            prefix: rate.prefix.clone(),
            price_per_minute: rate.price.to_string(),
            connection_fee: rate.connection_fee.to_string(),
            first_increment: rate.first_s,
            next_increment: rate.next_s,
            minimum_charge: rate.minimum.to_string(),
        }
    }
}

/// What an import has made.
#[derive(Debug, Serialize, ToSchema)]
struct Imported {
    /// Rates of the plan from now on.
    rates: usize,
}

/// The rates of a plan, by prefix. `Accept: text/csv` has all of them as one file, as it can be imported.
#[utoipa::path(get, path = "/v1/rate-plans/{ratePlanId}/rates", tag = "rates",
    responses((status = 200, description = "A page of rates",
        content((List<RateView> = "application/json"), (String = "text/csv")))))]
async fn list(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.holder.admin()?;
    let csv = ask.wants_csv();
    let (page, wanted) = match csv {
        true => (ask.query(|_| ask::Page { limit: 0, offset: 0 })?, Page::ALL),
        false => {
            let (page, ()) = ask.page(|_| ())?;
            (page, page.into())
        }
    };
    let plan = api.store.rate_plan(id.clone()).await.map_err(|error| trouble(&api, "api_read", error))?;
    plan.ok_or_else(Refusal::not_found)?;
    let found = api.store.list_rates(id, wanted).await;
    let found = found.map_err(|error| trouble(&api, "api_read", error))?;
    let views: Vec<RateView> = found.objects.iter().map(RateView::from).collect();
    if !csv {
        return answer::list(page, found.total, views);
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Into memory: it cannot fail. Without a rate there is still the header.
    let _ = if views.is_empty() { writer.write_record(COLUMNS) } else { Ok(()) };
    let _ = views.iter().try_for_each(|view| writer.serialize(view));
    let text = writer.into_inner().unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present")], text).into_response())
}

/// Imports the rates of a plan from CSV, at most 16 MiB and 100,000 rates: they take the place of those that were there, all of
/// them or none. The header names the columns: `prefix` and `pricePerMinute`, and perhaps `connectionFee` (0), `firstIncrement` (1),
/// `nextIncrement` (1) and `minimumCharge` (0).
#[utoipa::path(post, path = "/v1/rate-plans/{ratePlanId}/rates:import", tag = "rates",
    request_body(content((String = "text/csv"))),
    responses((status = 200, description = "How many there are", body = Written<Imported>)))]
async fn import(State(api): State<Api>, Path(id): Path<String>, ask: Ask, body: CsvBody) -> Answer {
    ask.holder.admin()?;
    let (wait, ()) = ask.wait(|_| ())?;
    let bytes = body.0.clone();
    // Seconds of work for the largest file: not for a runtime thread.
    let parsed = tokio::task::spawn_blocking(move || parse(&bytes)).await;
    let parsed = parsed.map_err(|_| Refusal::of_status(StatusCode::INTERNAL_SERVER_ERROR))?;
    let rates = parsed.map_err(Refusal::of_faults)?;
    let turn = api.turn(&ask, &body.0, wait).await?;
    rate_plans::writable(&api, &turn, &ask, &id).await?;
    let imported = Imported { rates: rates.len() };
    let changes = vec![Change::PutRates { plan: id, rates }];
    turn.finish(Draft::new(StatusCode::OK, changes, imported)).await
}

/// Whether so much is wrong already that nobody would be told of more.
fn enough(faults: &RefCell<Vec<Fault>>) -> bool {
    faults.borrow().len() >= MAX_FAULTS
}

/// The rates of a file, or what is wrong with it, by line and column, up to as many faults as are told.
fn parse(bytes: &[u8]) -> Result<Vec<Rate>, Vec<Fault>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let faults = RefCell::new(Vec::new());
    let problem = |line: u64, column: &str, broken: Broken| {
        let pointer = if column.is_empty() { format!("/{line}") } else { format!("/{line}/{column}") };
        faults.borrow_mut().push(Fault { pointer, code: broken.code, detail: broken.rule.into_owned() });
    };
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => {
            problem(1, "", Broken::new("malformed", error.to_string()));
            return Err(faults.into_inner());
        }
    };
    let mut seen = HashSet::new();
    for name in &header {
        if enough(&faults) {
            break;
        }
        if !COLUMNS.contains(&name) {
            problem(
                1,
                name,
                Broken::new(
                    "unknown_field",
                    format!("is no column here; known ones are {}", COLUMNS.join(", ")),
                ),
            );
        } else if !seen.insert(name) {
            problem(1, name, Broken::new("duplicate", "stands here more than once"));
        }
    }
    for name in COLUMNS.iter().take(2).filter(|name| !seen.contains(*name)) {
        problem(1, name, Broken::new("required", "is required"));
    }
    let (mut rates, mut prefixes) = (Vec::new(), HashSet::new());
    for record in reader.records() {
        if enough(&faults) {
            break;
        }
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                problem(line, "", Broken::new("malformed", "is no line of UTF-8 text"));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            let rule = format!("has {} cells; the header has {}", record.len(), header.len());
            problem(line, "", Broken::new("malformed", rule));
            continue;
        }
        if rates.len() == MAX_RATES {
            problem(line, "", Broken::new("too_many", format!("at most {MAX_RATES} rates are allowed")));
            break;
        }
        let cell = |name: &str| header.iter().position(|known| known == name).and_then(|at| record.get(at));
        let amount = |name: &str| match cell(name).unwrap_or("") {
            "" if name != "pricePerMinute" => Some(Amount::ZERO),
            text => text
                .parse()
                .map_err(|error: crate::cost::NoAmount| {
                    problem(line, name, Broken::new("invalid_amount", error.to_string()))
                })
                .ok(),
        };
        let (price, connection_fee, minimum) =
            (amount("pricePerMinute"), amount("connectionFee"), amount("minimumCharge"));
        let seconds = |name: &str| match cell(name).unwrap_or("") {
            "" => Some(1),
            text => ask::number(text, INCREMENT).map_err(|broken| problem(line, name, broken)).ok(),
        };
        let (first_s, next_s) = (seconds("firstIncrement"), seconds("nextIncrement"));
        let prefix =
            prefix(cell("prefix").unwrap_or("")).map_err(|broken| problem(line, "prefix", broken)).ok();
        if let Some(prefix) = &prefix
            && !prefixes.insert(prefix.clone())
        {
            problem(line, "prefix", Broken::new("duplicate", "is listed twice"));
        }
        if let (Some(prefix), Some(price), Some(connection_fee), Some(first_s), Some(next_s), Some(minimum)) =
            (prefix, price, connection_fee, first_s, next_s, minimum)
        {
            rates.push(Rate { prefix, price, connection_fee, first_s, next_s, minimum });
        }
    }
    let faults = faults.into_inner();
    if faults.is_empty() { Ok(rates) } else { Err(faults) }
}

fn prefix(text: &str) -> Result<String, Broken> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let good = digits.len() <= MAX_PREFIX_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    let rule = format!("must be at most {MAX_PREFIX_DIGITS} digits, perhaps with + in front");
    good.then(|| digits.to_owned()).ok_or(Broken::new("invalid_prefix", rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_every_fault_is_told() {
        let rates =
            parse(b"\xef\xbb\xbfpricePerMinute, prefix ,firstIncrement\r\n0.01,+1,6\r\n0.05,,\r\n").unwrap();
        let told: Vec<_> = rates
            .iter()
            .map(|rate| (rate.prefix.as_str(), rate.price.to_string(), rate.first_s, rate.next_s))
            .collect();
        assert_eq!(told, [("1", "0.01".to_owned(), 6, 1), ("", "0.05".to_owned(), 1, 1)]);
        assert_eq!(parse(b"prefix,pricePerMinute\n").unwrap(), []);

        let faults = parse(
            b"prefix,pricePerMinute,connectionFee,nextIncrement,nextIncrement,x\n\
              1,0.01,-1,0,1,\n1,1e3,,,,\n4a,,,,,\n49,0.1\n\xff,1,,,,\n1234567890123456,0.1,,,,\n",
        )
        .unwrap_err();
        let told: Vec<_> = faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.code)).collect();
        assert_eq!(
            told,
            [
                "/1/nextIncrement duplicate",
                "/1/x unknown_field",
                "/2/connectionFee invalid_amount",
                "/2/nextIncrement out_of_range",
                "/3/pricePerMinute invalid_amount",
                "/3/prefix duplicate",
                "/4/pricePerMinute invalid_amount",
                "/4/prefix invalid_prefix",
                "/5 malformed",
                "/6 malformed",
                "/7/prefix invalid_prefix",
            ]
        );
        let hopeless = "prefix,pricePerMinute\n".to_owned() + &"x,y\n".repeat(100_000);
        let told = parse(hopeless.as_bytes()).unwrap_err().len();
        assert!((MAX_FAULTS..MAX_FAULTS + 6).contains(&told), "{told}");
        let told = parse("x,".repeat(100_000).as_bytes()).unwrap_err().len();
        assert!((MAX_FAULTS..MAX_FAULTS + 6).contains(&told), "{told}");
        for (bad, told) in [("", "/1/prefix required"), ("prefix\n1\n", "/1/pricePerMinute required")] {
            let faults = parse(bad.as_bytes()).unwrap_err();
            assert_eq!(format!("{} {}", faults[0].pointer, faults[0].code), told, "{bad:?}");
        }
    }
}
