//! The call log as one CSV file (RFC 4180), however many calls it has: written while it is read, a page at a time.
//!
//! Callers choose their own names, so a cell that a spreadsheet would take for a formula gets an apostrophe in front.
//! Whatever ends it in the middle, a stop and a panic included, cuts the answer off without its end, which no client takes
//! for the whole.

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use http_body_util::channel::{Channel, Sender};
use serde_json::Value;

use super::view::CallView;
use crate::api::answer::Answer;
use crate::api::token::Holder;
use crate::api::{Api, trouble};
use crate::call::Call;
use crate::store::{CallFilter, CallPage, CallsFound};

/// Calls that are read at a time.
const PAGE: u32 = 500;
/// Pages that may wait for a slow client.
const PAGES_AHEAD: usize = 2;

/// The columns, which are the fields of a call in the order of its description.
const COLUMNS: [&str; 34] = [
    "callId",
    "sipCallId",
    "accountId",
    "trunkId",
    "applicationId",
    "direction",
    "from",
    "fromHost",
    "to",
    "requestUri",
    "sourceIp",
    "sourcePort",
    "allowed",
    "reason",
    "limit",
    "count",
    "retryAfterMs",
    "generation",
    "gateway",
    "attempts",
    "startAt",
    "ringAt",
    "answerAt",
    "endAt",
    "durationMs",
    "billableSeconds",
    "ringMs",
    "sipCode",
    "q850Cause",
    "status",
    "hangupBy",
    "cost",
    "currency",
    "reconciled",
];

/// Answers all calls of a filter.
pub(super) async fn answer(api: &Api, holder: &Holder, filter: CallFilter) -> Answer {
    let place = api.gate.csv_files.enter(holder.token)?;
    let page = CallPage { limit: PAGE, ..CallPage::default() };
    // Asked before anything is answered, so that trouble is a refusal as everywhere.
    let first = api.store.list_calls(filter.clone(), page).await;
    let first = first.map_err(|error| trouble(api, "api_read", error))?;
    let (mut file, body) = File::new();
    let api = api.clone();
    api.tracker.clone().spawn(async move {
        let _place = place;
        match api.stop.run_until_cancelled(write(&api, filter, first, &mut file)).await {
            Some(true) => file.done(),
            // The rest is cut off.
            Some(false) | None => drop(file),
        }
    });
    Ok(response(Body::new(body)))
}

/// The file was not written to its end.
#[derive(Debug, thiserror::Error)]
#[error("the file was not written to its end")]
struct CutOff;

/// The file on its way. Only [`File::done`] ends it; dropped before that, it breaks off: a sender that is just gone would
/// be taken for the end.
struct File(Option<Sender<Bytes, CutOff>>);

impl File {
    fn new() -> (File, Channel<Bytes, CutOff>) {
        let (to, body) = Channel::new(PAGES_AHEAD);
        (File(Some(to)), body)
    }

    /// Whether somebody still reads.
    async fn send(&mut self, text: Vec<u8>) -> bool {
        match &mut self.0 {
            Some(to) => to.send_data(Bytes::from(text)).await.is_ok(),
            None => false,
        }
    }

    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Some(to) = self.0.take() {
            to.abort(CutOff);
        }
    }
}

fn response(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"calls.csv\""),
    ];
    (headers, body).into_response()
}

/// Writes the calls from the first page on. Whether that was all of them.
async fn write(api: &Api, filter: CallFilter, mut found: CallsFound, file: &mut File) -> bool {
    let mut text = line(COLUMNS.map(str::to_owned));
    loop {
        found.calls.iter().for_each(|call| text.extend(row(call)));
        // Whoever has hung up wants no more.
        if !file.send(std::mem::take(&mut text)).await {
            return false;
        }
        let Some(after) = found.next else { return true };
        let page = CallPage { after: Some(after), limit: PAGE, ..CallPage::default() };
        found = match api.store.list_calls(filter.clone(), page).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "a CSV answer is cut off");
                api.metrics.store_errors.with_label_values(&["api_read"]).inc();
                return false;
            }
        };
    }
}

fn row(call: &Call) -> Vec<u8> {
    let view = serde_json::to_value(CallView::from(call)).unwrap_or_default();
    line(COLUMNS.map(|name| cell(&view[name])))
}

fn line(cells: [String; COLUMNS.len()]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Into memory: it cannot fail.
    let written = writer.write_record(&cells);
    written.ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if is_formula(text) => format!("'{text}"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a spreadsheet would compute it. A number with its sign is none.
fn is_formula(text: &str) -> bool {
    match text.as_bytes().first() {
        Some(b'=' | b'@' | b'\t' | b'\r') => true,
        Some(b'+' | b'-') => !text.bytes().skip(1).all(|byte| byte.is_ascii_digit()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_the_fields_of_a_call() {
        let call = Call::new(uuid::Uuid::nil(), None, 0);
        let view = serde_json::to_value(CallView::from(&call)).unwrap();
        let mut columns = COLUMNS;
        columns.sort_unstable();
        assert_eq!(view.as_object().unwrap().keys().collect::<Vec<_>>(), columns);
    }

    /// Each ending of a file as its reader sees it.
    #[tokio::test]
    async fn a_file_that_nobody_has_ended_breaks_off() {
        use http_body_util::BodyExt as _;

        let (mut file, body) = File::new();
        assert!(file.send(b"all".to_vec()).await);
        file.done();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "all");

        let (mut file, body) = File::new();
        assert!(file.send(b"half".to_vec()).await);
        drop(file);
        assert!(body.collect().await.is_err());

        let (mut file, body) = File::new();
        let writer = tokio::spawn(async move {
            assert!(file.send(b"half".to_vec()).await);
            panic!("a defect");
        });
        assert!(writer.await.is_err());
        assert!(body.collect().await.is_err());
    }

    #[test]
    fn no_cell_is_a_formula_and_every_line_is_one() {
        let mut call = Call::new(uuid::Uuid::nil(), Some("acme".into()), 0);
        call.from = Some("=HYPERLINK(\"http://192.0.2.1\",\"pay, now\")".into());
        call.to = Some("+15550100001".into());
        call.sip_call_id = Some("-1+1".into());
        let text = String::from_utf8(row(&call)).unwrap();
        assert!(text.contains(",\"'=HYPERLINK(\"\"http://192.0.2.1\"\",\"\"pay, now\"\")\","), "{text}");
        assert!(text.contains(",+15550100001,") && text.contains(",'-1+1,"), "{text}");
        assert_eq!((text.matches("\r\n").count(), text.ends_with("\r\n")), (1, true));
    }
}
